// Standard output for commands: waits for slow readers and ends quietly when the reader goes away.
import { once } from "node:events";

/** Writes text or bytes to standard output, waiting while the pipe is full. */
export async function print(data: string | Uint8Array): Promise<void> {
  if (!process.stdout.write(data)) await once(process.stdout, "drain");
}

/** Makes a closed pipe (`tvix … | head`) end the process without an error message. */
export function endOnClosedPipe(): void {
  process.stdout.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code === "EPIPE") process.exit(0);
    throw error;
  });
}
