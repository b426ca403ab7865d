// Standard output for commands: waits for slow readers and ends quietly when the reader goes away.
//
// A command that runs again, in a thread with more stack, says nothing twice: such a thread is told how much the first
// attempt had said, and holds back as much.
//
// Node's stream objects cost a tenth of a short command's time to load, so output is written without them where the
// kernel takes it at once.
import { writeSync } from "node:fs";
import { TvixError } from "../base/error.ts";
import { encodeUtf8 } from "../base/text.ts";
import { fitBytesForTerminal } from "./render/terminal.ts";

/**
 * Descriptors for code that reads and writes by itself. Node's stream objects make pipes non-blocking as soon as they
 * are touched, so a command uses either these numbers or `process.stdin`/`process.stdout`, never both.
 */
export const STDIN = 0;
export const STDOUT = 1;
const STDERR = 2;

/** Refuses to write binary data to a terminal. @throws TvixError `ERR_CLI_TERMINAL` */
export function refuseTerminal(): void {
  if (!process.getBuiltinModule("node:tty").isatty(STDOUT)) return;
  throw new TvixError("ERR_CLI_TERMINAL", "a NAR is not for terminals", {
    notes: ["redirect standard output to a file or a pipe"],
  });
}

/** How much a command has said, in bytes. */
export interface Said {
  stdout: number;
  stderr: number;
}

const said: Said = { stdout: 0, stderr: 0 };
let saidBefore: Readonly<Said> = { stdout: 0, stderr: 0 };

/** Tells a thread that repeats a command how much had been said before it. */
export function repeatAfter(before: Readonly<Said>): void {
  saidBefore = before;
}

/** How much this thread has said by {@link print} and {@link note}. */
export function saidSoFar(): Readonly<Said> {
  return said;
}

/** The part of `data` that was not said before. */
function news(data: string | Uint8Array, stream: keyof Said): Uint8Array {
  const bytes = typeof data === "string" ? new TextEncoder().encode(data) : data;
  const known = Math.max(0, saidBefore[stream] - said[stream]);
  said[stream] += bytes.length;
  return bytes.subarray(known);
}

/**
 * Writes text or bytes to standard output and waits until they are written, so that bytes may be used again. A closed
 * pipe (`| head`) ends the process.
 */
export async function print(data: string | Uint8Array): Promise<void> {
  const rest = writeNow(STDOUT, news(data, "stdout"));
  if (rest.length === 0) return;
  if (!streamed.has(STDOUT)) process.stdout.on("error", endOnClosedPipe);
  streamed.add(STDOUT);
  await new Promise<void>((done) => {
    process.stdout.write(rest, () => done());
  });
}

/** Writes what is to be known on the way to standard error; control characters in it are left out. */
export function note(data: string | Uint8Array): void {
  const bytes = typeof data === "string" ? encodeUtf8(data) : data;
  const rest = writeNow(STDERR, news(fitBytesForTerminal(bytes), "stderr"));
  if (rest.length === 0) return;
  streamed.add(STDERR);
  process.stderr.write(rest);
}

/** The descriptors that have been written to through Node's streams, which may still hold something back. */
const streamed = new Set<number>();

/** Whether all that was said has left the process. */
export function hasSaidAll(): boolean {
  return streamed.size === 0;
}

/**
 * Writes what a descriptor takes; answers the rest, which is for the stream. A write can wait for a slow reader, and
 * nobody could interrupt the command meanwhile: one that handles interrupts itself writes through the stream.
 */
function writeNow(descriptor: number, data: Uint8Array): Uint8Array {
  if (streamed.has(descriptor) || process.listenerCount("SIGINT") > 0) return data;
  let rest = data;
  try {
    while (rest.length > 0) rest = rest.subarray(writeSync(descriptor, rest));
  } catch (error) {
    // A full pipe that is shared with somebody who made it non-blocking; all else is for the stream to report.
    if ((error as NodeJS.ErrnoException).code === "EPIPE" && descriptor === STDOUT) process.exit(0);
  }
  return rest;
}

function endOnClosedPipe(error: NodeJS.ErrnoException): void {
  if (error.code === "EPIPE") process.exit(0);
  throw error;
}
