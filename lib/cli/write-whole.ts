// Files that are there whole or not at all: several processes may write the same one.
import { renameSync, rmSync, writeFileSync } from "node:fs";

/** Writes a file by way of a draft beside it, of which nothing stays behind. @throws what writing and renaming throw */
export function writeWhole(file: string, bytes: Uint8Array | string, mode = 0o666): void {
  const draft = `${file}.${process.pid}`;
  try {
    writeFileSync(draft, bytes, { mode });
    renameSync(draft, file);
  } catch (error) {
    try {
      rmSync(draft, { force: true });
    } catch {
      // Where there is no directory there is no draft either; the first error is what went wrong.
    }
    throw error;
  }
}
