// Standard output for commands: waits for slow readers and ends quietly when the reader goes away.
import { once } from "node:events";
import { isatty } from "node:tty";
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

/** Writes text or bytes to standard output, waiting while the pipe is full. A closed pipe (`| head`) ends the process. */
export async function print(data: string | Uint8Array): Promise<void> {
  if (!watched) process.stdout.on("error", endOnClosedPipe);
  watched = true;
  if (!process.stdout.write(data)) await once(process.stdout, "drain");
}

function endOnClosedPipe(error: NodeJS.ErrnoException): void {
  if (error.code === "EPIPE") process.exit(0);
  throw error;
}
