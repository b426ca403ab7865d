// What an evaluation learnt from the outside, kept so that a later process can tell whether all of it still holds.
//
// Each different question is kept with a short form of its answer: contents and listings as digests, the rest as it is.
// Checking asks again and compares. A file is not read again while its stamp (identity, size, times of change) is the
// same, in the manner of git: the time of a change cannot be set by programs, so a file rewritten with its old size and
// date is noticed. A stamp says nothing of a file that changed just before, because file systems keep times coarsely,
// nor of one whose size is not that of its contents (/proc): such files have none, and are read each time.
//
// Some answers can never be checked: the clock, pipes, and whatever an embedder declares so with `refuse`.
import { type BigIntStats, statSync } from "node:fs";
import { latin1ToBytes } from "../../base/text.ts";
import { sha256HexOfLatin1 } from "../../formats/digest.ts";
import type { EvalIO } from "../io.ts";
import { type IoOperation, type IoRecord, recordingIO } from "./recording.ts";

/** One question, the short form of its answer, and for a file its stamp (empty: ask again). */
export type Evidence = readonly [operation: IoOperation, subject: string, answer: string, stamp: string];

/** I/O that remembers what was asked. */
export interface EvidenceRecorder {
  readonly io: EvalIO;
  /** Says that the evaluation depends on something that is no evidence here. */
  refuse(): void;
  /** Everything that was asked so far; `undefined` when it cannot be checked later. */
  evidence(): readonly Evidence[] | undefined;
}

/** How long before its stamp a file must have changed last, in milliseconds: no file system's clock is coarser. */
const SETTLED_MS = 2000;

/**
 * Records the questions to `io`, which must be that of this machine's file system.
 * @param now the time in milliseconds since 1970, by the clock that dates files
 */
export function recordEvidence(io: EvalIO, now: () => number = Date.now): EvidenceRecorder {
  const known = new Map<string, Evidence>();
  let checkable = true;
  // Taken before a file is read: what changes after that no longer fits it.
  let status: BigIntStats | undefined;
  let taken = 0;
  const before = (operation: IoOperation, subject: string): void => {
    if (operation !== "readFile") return;
    status = statusOf(subject);
    taken = now();
    // Reading a pipe takes away what is in it.
    if (status !== undefined && !status.isFile() && !status.isDirectory()) checkable = false;
  };
  const note = ({ operation, subject, answer }: IoRecord): void => {
    const key = `${operation} ${subject}`;
    const short = shortForm(answer);
    const earlier = known.get(key);
    if (earlier === undefined) {
      const stamp = operation === "readFile" && "value" in answer ? settledStamp(status, answer.value, taken) : "";
      known.set(key, [operation, subject, short, stamp]);
    }
    if (operation === "time" || (earlier !== undefined && earlier[2] !== short)) checkable = false;
  };
  return {
    io: recordingIO(io, note, before),
    refuse: () => {
      checkable = false;
    },
    evidence: () => (checkable ? [...known.values()] : undefined),
  };
}

/** Whether everything is as it was. */
export function stillHolds(evidence: readonly Evidence[], io: EvalIO): boolean {
  return evidence.every(
    ([operation, subject, answer, stamp]) =>
      (stamp !== "" && stamp === stampOf(statusOf(subject))) || answer === shortForm(ask(io, operation, subject)),
  );
}

function ask(io: EvalIO, operation: IoOperation, subject: string): IoRecord["answer"] {
  try {
    return { value: io[operation](subject) };
  } catch (error) {
    return { error: error instanceof Error ? error.message : String(error) };
  }
}

function shortForm(answer: IoRecord["answer"]): string {
  if ("error" in answer) return `error: ${answer.error}`;
  const { value } = answer;
  if (value === undefined) return "";
  // Listings come in no order.
  const text =
    typeof value === "string" ? value : JSON.stringify(Array.isArray(value) ? value.map(String).sort() : value);
  return text.length > 64 ? `#${sha256HexOfLatin1(text)}` : `=${text}`;
}

/** The stamp of a file that was read after `taken`, where it can be relied on. */
function settledStamp(status: BigIntStats | undefined, contents: unknown, taken: number): string {
  if (status === undefined || Number(status.size) !== (contents as string).length) return "";
  const changed = status.ctimeMs > status.mtimeMs ? status.ctimeMs : status.mtimeMs;
  return Number(changed) > taken - SETTLED_MS ? "" : stampOf(status);
}

function statusOf(path: string): BigIntStats | undefined {
  try {
    return statSync(Buffer.from(latin1ToBytes(path)), { bigint: true, throwIfNoEntry: false });
  } catch {
    return undefined;
  }
}

function stampOf(status: BigIntStats | undefined): string {
  if (status === undefined) return "";
  return `${status.dev}.${status.ino}.${status.size}.${status.mtimeNs}.${status.ctimeNs}`;
}
