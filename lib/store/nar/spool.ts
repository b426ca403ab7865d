// Bytes that come once and are needed again: in memory while they are few, in a file without a name when they are many.
import { type FileHandle, mkdtemp, open, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** Bytes held in memory. */
const MEMORY = 32 << 20;
const PIECE = 1 << 20;

/** Takes bytes, then gives them. */
export class Spool {
  #parts: Uint8Array[] = [];
  #held = 0;
  #file: FileHandle | undefined;
  #size = 0;
  readonly #memory: number;

  /** @param memory bytes that are held before there is a file */
  constructor(memory: number = MEMORY) {
    this.#memory = memory;
  }

  /** Bytes taken so far. */
  get size(): number {
    return this.#size;
  }

  /** Takes the next bytes, which may be used again afterwards. */
  async write(bytes: Uint8Array): Promise<void> {
    this.#parts.push(bytes.slice());
    this.#held += bytes.length;
    this.#size += bytes.length;
    if (this.#held <= this.#memory) return;
    this.#file ??= await nameless();
    for (const part of this.#parts.splice(0)) await this.#file.writeFile(part);
    this.#held = 0;
  }

  /** All that was taken, in pieces that are the caller's until the next one. */
  async *stream(): AsyncGenerator<Uint8Array, void, void> {
    if (this.#file) {
      const piece = new Uint8Array(PIECE);
      for (let at = 0; at < this.#size - this.#held; ) {
        const { bytesRead } = await this.#file.read(piece, 0, PIECE, at);
        yield piece.subarray(0, bytesRead);
        at += bytesRead;
      }
    }
    yield* this.#parts;
  }

  /** `length` bytes from `at`; they must have been taken. */
  async read(at: number, length: number): Promise<Uint8Array> {
    const out = new Uint8Array(length);
    let start = this.#size - this.#held;
    for (let done = 0; this.#file && done < length && at + done < start; ) {
      const { bytesRead } = await this.#file.read(out, done, Math.min(length, start - at) - done, at + done);
      done += bytesRead;
    }
    for (const part of this.#parts) {
      const from = Math.max(at, start);
      const to = Math.min(at + length, start + part.length);
      if (from < to) out.set(part.subarray(from - start, to - start), from - at);
      start += part.length;
    }
    return out;
  }

  /** Lets go of the file. Idempotent. */
  async close(): Promise<void> {
    await this.#file?.close();
    this.#file = undefined;
  }
}

/** A file that goes with its descriptor, however the process ends. */
async function nameless(): Promise<FileHandle> {
  const directory = await mkdtemp(join(tmpdir(), "tvix-spool-"));
  try {
    return await open(join(directory, "bytes"), "w+", 0o600);
  } finally {
    await rm(directory, { recursive: true });
  }
}
