// Byte strings of many small pieces, written into an array that grows: as strings the pieces are several times dearer,
// and of a long text all of them are there until they are joined.
import { bytesToLatin1, writeLatin1 } from "./text.ts";

/** Absent in browsers. */
const NodeBuffer: typeof Buffer | undefined = globalThis.Buffer;

function newBytes(length: number): Uint8Array {
  return NodeBuffer === undefined ? new Uint8Array(length) : NodeBuffer.allocUnsafeSlow(length);
}

/** What has been written so far, and the means to write more; one char is one byte. */
export class ByteWriter {
  /** Room for what is written; it may be another array after each call of {@link reserve}. */
  protected room: Uint8Array;
  /** How many bytes of it are written. */
  protected end: number = 0;

  /** @param capacity how many bytes there is room for to begin with */
  constructor(capacity: number) {
    this.room = newBytes(capacity);
  }

  /** How many bytes there are. */
  get length(): number {
    return this.end;
  }

  /** How many bytes there is room for. */
  get capacity(): number {
    return this.room.length;
  }

  /** What was written. */
  get text(): string {
    return bytesToLatin1(this.room.subarray(0, this.end));
  }

  /** Forgets what was written. */
  clear(): void {
    this.end = 0;
  }

  /** Writes text as it is. */
  raw(text: string): void {
    const { length } = text;
    writeLatin1(this.reserve(length), this.end, text, length);
    this.end += length;
  }

  /** Makes room for so many bytes more. */
  protected reserve(length: number): Uint8Array {
    const needed = this.end + length;
    if (needed > this.room.length) {
      const grown = newBytes(Math.max(needed, 2 * this.room.length));
      grown.set(this.room.subarray(0, this.end));
      this.room = grown;
    }
    return this.room;
  }
}
