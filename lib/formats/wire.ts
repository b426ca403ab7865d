// Numbers, strings and lists as the export format and the daemon's protocol write them: u64s and padded bytes.
//
// Strings are byte strings with one char per byte. Whatever is read has a limit, since the other side decides lengths.

import { concatBytes } from "../base/bytes.ts";
import { TvixError } from "../base/error.ts";
import { bytesToLatin1, latin1ToBytes } from "../base/text.ts";
import { paddingOf, readU64, writeU64 } from "./u64.ts";

/** Bytes in a string at most, unless the reading place says otherwise. */
export const STRING_MAX: number = 1024 * 1024;
/** Elements in a list at most. */
export const LIST_MAX = 1_000_000;

/** Gathers fields into bytes. */
export class WireWriter {
  readonly #pieces: Uint8Array[] = [];

  /** A number from 0 to 2^53−1, or `Infinity` for the largest u64. */
  u64(value: number): this {
    const bytes = new Uint8Array(8);
    if (value === Number.POSITIVE_INFINITY) {
      bytes.fill(255);
    } else if (!Number.isSafeInteger(value) || value < 0) {
      throw new TvixError("ERR_WIRE_NUMBER", `${value} cannot be written as an unsigned 64-bit number`);
    } else {
      writeU64(bytes, 0, value);
    }
    return this.raw(bytes);
  }

  /** 1 or 0. */
  bool(value: boolean): this {
    return this.u64(value ? 1 : 0);
  }

  /** A string: length, bytes, padding. */
  bytes(bytes: Uint8Array): this {
    return this.u64(bytes.length)
      .raw(bytes)
      .raw(new Uint8Array(paddingOf(bytes.length)));
  }

  /** A string of one char per byte. */
  string(text: string): this {
    return this.bytes(latin1ToBytes(text));
  }

  /** A list of strings: their count, then each. */
  strings(texts: readonly string[]): this {
    this.u64(texts.length);
    for (const text of texts) this.string(text);
    return this;
  }

  /** Bytes as they are. */
  raw(bytes: Uint8Array): this {
    if (bytes.length > 0) this.#pieces.push(bytes);
    return this;
  }

  /** All that was written since the last call. */
  take(): Uint8Array {
    return concatBytes(this.#pieces.splice(0));
  }
}

/** Takes fields off a stream of pieces. What is asked for beyond the stream's end throws `ERR_WIRE_TRUNCATED`. */
export class WireReader {
  readonly #source: AsyncIterator<Uint8Array>;
  #piece: Uint8Array = new Uint8Array(0);
  #ended = false;
  #offset = 0;

  constructor(source: AsyncIterable<Uint8Array>) {
    this.#source = source[Symbol.asyncIterator]();
  }

  /** Bytes taken so far. */
  get offset(): number {
    return this.#offset;
  }

  /** Whether the stream has ended; waits for a byte or the end. */
  async atEnd(): Promise<boolean> {
    while (this.#piece.length === 0 && !this.#ended) {
      const next = await this.#source.next();
      if (next.done === true) this.#ended = true;
      else this.#piece = next.value;
    }
    return this.#piece.length === 0;
  }

  /** Whatever has arrived, at least a byte and at most `limit`; `undefined` at the end. */
  async some(limit: number = Number.POSITIVE_INFINITY): Promise<Uint8Array | undefined> {
    if (await this.atEnd()) return undefined;
    return this.#take(Math.min(limit, this.#piece.length));
  }

  /** Gives back bytes just taken by {@link some}: they are read again. */
  unread(bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    this.#piece = this.#piece.length === 0 ? bytes : concatBytes([bytes, this.#piece]);
    this.#offset -= bytes.length;
  }

  /** Exactly `size` bytes; the caller has checked that `size` is acceptable. */
  async raw(size: number): Promise<Uint8Array> {
    if (this.#piece.length >= size) return this.#take(size);
    const pieces: Uint8Array[] = [];
    for (let left = size; left > 0; ) {
      const piece = await this.some(left);
      if (piece === undefined) throw this.#error("ERR_WIRE_TRUNCATED", `the stream ends ${left} bytes early`);
      pieces.push(piece);
      left -= piece.length;
    }
    return concatBytes(pieces);
  }

  /** A number up to 2^53−1; larger ones throw `ERR_WIRE_NUMBER`. */
  async u64(): Promise<number> {
    const value = await this.u64OrInfinity();
    if (value === Number.POSITIVE_INFINITY) throw this.#error("ERR_WIRE_NUMBER", "a number is larger than 2^53−1");
    return value;
  }

  /** A number; beyond 2^53−1, `Infinity`: for limits, where the largest u64 means none. */
  async u64OrInfinity(): Promise<number> {
    return readU64(await this.raw(8), 0);
  }

  /** A number, as a truth value. */
  async bool(): Promise<boolean> {
    return (await this.u64OrInfinity()) !== 0;
  }

  /** A string of at most `limit` bytes; throws `ERR_WIRE_STRING_TOO_LONG`, `ERR_WIRE_BAD_PADDING`. */
  async bytes(limit: number = STRING_MAX): Promise<Uint8Array> {
    const size = await this.u64OrInfinity();
    if (size > limit) throw this.#error("ERR_WIRE_STRING_TOO_LONG", `a string has ${size} bytes, more than ${limit}`);
    const bytes = await this.raw(size);
    for (const byte of await this.raw(paddingOf(size))) {
      if (byte !== 0) throw this.#error("ERR_WIRE_BAD_PADDING", "the padding after a string is not zero");
    }
    return bytes;
  }

  /** A string as one char per byte. */
  async string(limit: number = STRING_MAX): Promise<string> {
    return bytesToLatin1(await this.bytes(limit));
  }

  /** A list: a count of at most `limit`, then what `read` reads. Throws `ERR_WIRE_LIST_TOO_LONG`. */
  async list<T>(read: () => Promise<T>, limit: number = LIST_MAX): Promise<T[]> {
    const count = await this.u64OrInfinity();
    if (count > limit) throw this.#error("ERR_WIRE_LIST_TOO_LONG", `a list has ${count} elements, more than ${limit}`);
    const out: T[] = [];
    for (let i = 0; i < count; i++) out.push(await read());
    return out;
  }

  /** A list of strings. */
  async strings(): Promise<string[]> {
    return this.list(() => this.string());
  }

  /** Says that no more will be read. */
  async close(): Promise<void> {
    this.#ended = true;
    this.#piece = new Uint8Array(0);
    await this.#source.return?.();
  }

  #take(size: number): Uint8Array {
    const taken = this.#piece.subarray(0, size);
    this.#piece = this.#piece.subarray(size);
    this.#offset += size;
    return taken;
  }

  #error(code: WireErrorCode, message: string): TvixError {
    return new TvixError(code, `${message} (at byte ${this.#offset})`);
  }
}

type WireErrorCode =
  | "ERR_WIRE_TRUNCATED"
  | "ERR_WIRE_NUMBER"
  | "ERR_WIRE_STRING_TOO_LONG"
  | "ERR_WIRE_BAD_PADDING"
  | "ERR_WIRE_LIST_TOO_LONG";
