// Recording a command so that it can be replayed: what it read, what it said, and what came of it.
import { latin1ToBytes } from "../../../base/text.ts";
import { type EvidenceRecorder, recordEvidence } from "../../../eval/io/evidence.ts";
import type { EvalIO } from "../../../eval/io.ts";
import type { StoreReader } from "../../../nix/store-reader.ts";
import { entry } from "../../entry.ts";
import { note } from "../../output.ts";
import { replayKey, type ReplayRecord, writeReplay } from "../../replay.ts";
import type { WorldFlags } from "./flags.ts";

/** Variables that say where the default store is. */
const STORE_VARIABLES = ["TVIX_STORE", "XDG_DATA_HOME", "HOME"];

/** What came of a command. */
export type ReplayOutcome = Pick<ReplayRecord, "stdout" | "drvPaths">;

/** The key of this command; `undefined` where it is not to be replayed. */
export function commandKey(flags: WorldFlags): string | undefined {
  const watched = flags.stats === true || flags.traceIo === true || flags.profile !== undefined;
  const argv = process.argv.slice(2);
  // Standard input cannot be read again.
  if (!flags.replay || !flags.cache || watched || argv.includes("-")) return undefined;
  return replayKey(argv, entry());
}

/** Passes on what a command asks and says, and keeps it when the command is done. */
export class Recorder {
  readonly io: EvalIO;
  readonly #key: string | undefined;
  readonly #evidence: EvidenceRecorder | undefined;
  #said = "";

  constructor(flags: WorldFlags, io: EvalIO) {
    this.#key = commandKey(flags);
    this.#evidence = this.#key === undefined ? undefined : recordEvidence(io);
    this.io = this.#evidence?.io ?? io;
    if (this.#evidence !== undefined) for (const name of STORE_VARIABLES) this.io.variable(name);
  }

  /** Prints a text (one char per byte) to standard error. */
  say(text: string): void {
    this.#said += text;
    note(latin1ToBytes(text));
  }

  /** Says that this command cannot be replayed. */
  refuse(): void {
    this.#evidence?.refuse();
  }

  /** A reader of which nothing may be asked if the command is to be replayed: a store changes unnoticed. */
  watch(reader: StoreReader): StoreReader {
    const noting =
      <A, R>(ask: (subject: A) => R) =>
      (subject: A): R => {
        this.refuse();
        return ask(subject);
      };
    return {
      info: noting((path) => reader.info(path)),
      directory: noting((digest) => reader.directory(digest)),
      file: noting((digest) => reader.file(digest)),
    };
  }

  /** Keeps what came of the command, for the next time. */
  keep(outcome: ReplayOutcome): void {
    const evidence = this.#evidence?.evidence();
    if (this.#key === undefined || evidence === undefined) return;
    writeReplay(this.#key, { ...outcome, evidence, stderr: this.#said });
  }
}
