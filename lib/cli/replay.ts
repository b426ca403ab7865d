// Replay: a command that ran before and would read exactly the same again prints what it printed then.
//
// A record is kept per command line, working directory, user and build of this program. Everything else that the answer
// depends on is evidence in the record (lib/eval/io/evidence.ts): files, listings, links, variables. Only successful
// evaluations are recorded, and none that asked for the time, a store or the network.
//
// tvix.ts tries this before it loads the program, so this file imports little. Records are files of their own, written
// whole or not at all, in 16 directories of a bounded size; any may be deleted at any time.
//
//   record := SHA-256 of the rest (hexadecimal) · line feed · JSON
import { mkdirSync, readdirSync, readFileSync, rmSync, statSync, utimesSync } from "node:fs";
import { dirname, join } from "node:path";
import { sha256HexOfLatin1 } from "../formats/digest.ts";
import { bytesToLatin1, encodeUtf8, latin1ToBytes } from "../base/text.ts";
import { type Evidence, stillHolds } from "../eval/io/evidence.ts";
import { fileSystemIO } from "../eval/io/files.ts";
import { cacheDirectory } from "./cache-home.ts";
import { note, print } from "./output.ts";
import { writeWhole } from "./write-whole.ts";

/** What a command read and what came of it; texts have one char per byte. */
export interface ReplayRecord {
  readonly evidence: readonly Evidence[];
  readonly stdout: string;
  /** What the program said on the way: traces and warnings. */
  readonly stderr: string;
  /** Derivations that must be in the store, for a command that wrote them. */
  readonly drvPaths?: readonly string[];
}

/** Bytes of records that share the first digit of their keys; larger records are not kept. */
const BUCKET_BYTES = 16 << 20;

/** The key of a command line of this process; `undefined` where the program is not bundled and so has no identity. */
export function replayKey(argv: readonly string[], entry: URL): string | undefined {
  const directory = workingDirectory();
  const program = statSync(new URL("program.cjs", entry), { bigint: true, throwIfNoEntry: false });
  if (program === undefined || directory === undefined) return undefined;
  const build = [program.dev, program.ino, program.size, program.mtimeNs].map(String);
  const facts = [...build, process.arch, process.platform, String(process.getuid?.()), directory, ...argv];
  return sha256HexOfLatin1(bytesToLatin1(encodeUtf8(JSON.stringify(facts))));
}

/** `undefined` where it has been removed: that is for the command to report. */
function workingDirectory(): string | undefined {
  try {
    return process.cwd();
  } catch {
    return undefined;
  }
}

/** Prints what the command line printed before, if that still holds; tells whether it did. */
export async function replay(argv: readonly string[], entry: URL): Promise<boolean> {
  const key = replayKey(argv, entry);
  const record = key === undefined ? undefined : findReplay(key);
  if (record === undefined || record.drvPaths !== undefined) return false;
  await printReplay(record);
  return true;
}

/** The record under a key, if everything it rests on is as it was. */
export function findReplay(key: string): ReplayRecord | undefined {
  const record = readRecord(key);
  return record !== undefined && stillHolds(record.evidence, fileSystemIO()) ? record : undefined;
}

/** Prints what the recorded command printed. */
export async function printReplay(record: ReplayRecord): Promise<void> {
  if (record.stderr !== "") note(latin1ToBytes(record.stderr));
  await print(latin1ToBytes(record.stdout));
}

function placeOf(key: string): string {
  return join(cacheDirectory("replay"), key.slice(0, 1), key.slice(1));
}

function readRecord(key: string): ReplayRecord | undefined {
  const place = placeOf(key);
  let text: string;
  try {
    text = readFileSync(place, "latin1");
  } catch {
    return undefined;
  }
  const body = text.slice(65);
  try {
    if (text.slice(0, 64) === sha256HexOfLatin1(body)) {
      const now = new Date();
      utimesSync(place, now, now);
      return JSON.parse(body) as ReplayRecord;
    }
    rmSync(place, { force: true });
  } catch {
    // Somebody else's file, or a disk that cannot be written: as if there were nothing.
  }
  return undefined;
}

/** Keeps a record; whatever fails is as if nothing had been recorded. */
export function writeReplay(key: string, record: ReplayRecord): void {
  const body = JSON.stringify(record).replace(/[\u007f-\uffff]/g, escapeChar);
  if (body.length > BUCKET_BYTES) return;
  const place = placeOf(key);
  try {
    mkdirSync(dirname(place), { recursive: true, mode: 0o700 });
    writeWhole(place, `${sha256HexOfLatin1(body)}\n${body}`, 0o600);
    shrink(dirname(place));
  } catch {
    // A record is never necessary.
  }
}

/** Removes the records of a directory that were used longest ago, until the others are few enough bytes. */
function shrink(directory: string): void {
  const files = readdirSync(directory).map((name) => {
    const path = join(directory, name);
    const { size, mtimeMs } = statSync(path);
    return { path, size, mtimeMs };
  });
  let bytes = 0;
  for (const { path, size } of files.sort((a, b) => b.mtimeMs - a.mtimeMs)) {
    bytes += size;
    if (bytes > BUCKET_BYTES) rmSync(path, { force: true });
  }
}

function escapeChar(char: string): string {
  return `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`;
}
