// Standard output for commands: waits for slow readers and ends quietly when the reader goes away.
//
// A command that runs again, in a thread with more stack, says nothing twice: such a thread is told how much the first
// attempt had said, and holds back as much.
import { once } from "node:events";
import { isatty } from "node:tty";
import { isMainThread, workerData } from "node:worker_threads";
import { TvixError } from "../base/error.ts";

/**
 * Descriptors for code that reads and writes by itself. Node's stream objects make pipes non-blocking as soon as they
 * are touched, so a command uses either these numbers or `process.stdin`/`process.stdout`, never both.
 */
export const STDIN = 0;
export const STDOUT = 1;

/** Refuses to write binary data to a terminal. @throws TvixError `ERR_CLI_TERMINAL` */
export function refuseTerminal(): void {
  if (!isatty(STDOUT)) return;
  throw new TvixError("ERR_CLI_TERMINAL", "a NAR is not for terminals", {
    notes: ["redirect standard output to a file or a pipe"],
  });
}

let watched = false;

/** How much a command has said, in bytes. */
export interface Said {
  stdout: number;
  stderr: number;
}

const said: Said = { stdout: 0, stderr: 0 };
const saidBefore: Readonly<Said> = isMainThread ? { stdout: 0, stderr: 0 } : (workerData as Said);

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

/** Writes text or bytes to standard output, waiting while the pipe is full. A closed pipe (`| head`) ends the process. */
export async function print(data: string | Uint8Array): Promise<void> {
  if (!watched) process.stdout.on("error", endOnClosedPipe);
  watched = true;
  if (!process.stdout.write(news(data, "stdout"))) await once(process.stdout, "drain");
}

/** Writes what is to be known on the way to standard error. */
export function note(data: string | Uint8Array): void {
  process.stderr.write(news(data, "stderr"));
}

function endOnClosedPipe(error: NodeJS.ErrnoException): void {
  if (error.code === "EPIPE") process.exit(0);
  throw error;
}
