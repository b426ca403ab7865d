// The subset of ATerm in which derivations are written: strings, lists and tuples, without white space.
//
// Text here is a byte string, one char (0…255) per byte. Reading is exact: a string has one spelling, so what is read
// and written again is the same bytes.

import { ByteWriter } from "../base/byte-writer.ts";
import { TvixError } from "../base/error.ts";
import { writeLatin1 } from "../base/text.ts";

const UNESCAPES: Readonly<Record<string, string>> = { '"': '"', "\\": "\\", n: "\n", r: "\r", t: "\t" };
/** What follows the backslash of a byte that is escaped; 0 for the others. */
const ESCAPES = new Uint8Array(256);
for (const [letter, char] of Object.entries(UNESCAPES)) ESCAPES[char.charCodeAt(0)] = letter.charCodeAt(0);

/** A part of what an {@link AtermWriter} has written: from one byte to before another. */
export interface Range {
  readonly start: number;
  readonly end: number;
}

/**
 * Writes a derivation, and may be used again for another one. Derivations are written to be hashed, and joining a text
 * of many small pieces only to take its bytes costs more than hashing them.
 */
export class AtermWriter extends ByteWriter {
  constructor() {
    super(1 << 14);
  }

  /** Writes a string: quoted, with `\ " LF CR TAB` escaped and every other byte as it is. */
  quoted(text: string): void {
    const { length } = text;
    const bytes = this.reserve(2 * length + 2);
    const start = this.end + 1;
    const end = start + length;
    bytes[start - 1] = 0x22;
    writeLatin1(bytes, start, text, length);
    let escapes = 0;
    for (let i = start; i < end; i++) if (ESCAPES[bytes[i] as number] !== 0) escapes++;
    // From the end: what moves to make room does not cover what is still to be moved.
    for (let from = end - 1, to = end + escapes; to - from > 1; from--) {
      const code = bytes[from] as number;
      const escape = ESCAPES[code] as number;
      bytes[--to] = escape === 0 ? code : escape;
      if (escape !== 0) bytes[--to] = 0x5c;
    }
    bytes[end + escapes] = 0x22;
    this.end = end + escapes + 1;
  }

  /** Writes a list of strings. */
  quotedList(texts: readonly string[]): void {
    for (let i = 0; i < texts.length; i++) {
      this.raw(i === 0 ? "[" : ",");
      this.quoted(texts[i] as string);
    }
    this.raw(texts.length === 0 ? "[]" : "]");
  }

  /** Writes again what was written before. */
  again(start: number, end: number): void {
    this.reserve(end - start).copyWithin(this.end, start, end);
    this.end += end - start;
  }

  /** The bytes of a range, until something else is written. */
  bytes({ start, end }: Range): Uint8Array {
    return this.room.subarray(start, end);
  }
}

/** Reads tokens one after the other. Errors name the byte they are at. */
export class AtermReader {
  readonly #text: string;
  #at = 0;
  /** Position of the next backslash at or after `#at`, or the text's length: most strings have none. */
  #backslash = -1;

  /** @throws TvixError `ERR_ATERM_RAW_CONTROL` for a line feed, carriage return or tab that is not escaped */
  constructor(text: string) {
    this.#text = text;
    const control = text.search(/[\n\r\t]/);
    if (control >= 0) {
      throw new TvixError("ERR_ATERM_RAW_CONTROL", `an unescaped control character (at byte ${control})`);
    }
  }

  /** Where the next token starts. */
  get at(): number {
    return this.#at;
  }

  /** Whether the next char is `char`. */
  isNext(char: string): boolean {
    return this.#text[this.#at] === char;
  }

  /** Takes `token`, which must be next; throws `ERR_ATERM_SYNTAX`. */
  expect(token: string): void {
    if (!this.#text.startsWith(token, this.#at)) throw this.#expected(`'${token}'`);
    this.#at += token.length;
  }

  /** Takes `token` if it is next. */
  accept(token: string): boolean {
    if (!this.#text.startsWith(token, this.#at)) return false;
    this.#at += token.length;
    return true;
  }

  /** Takes a string; throws `ERR_ATERM_SYNTAX`, `ERR_ATERM_UNTERMINATED` or `ERR_ATERM_ESCAPE`. */
  string(): string {
    const start = this.#at + 1;
    if (this.#text.charCodeAt(this.#at) !== 0x22) throw this.#expected("a string");
    const end = this.#text.indexOf('"', start);
    if (end < 0) throw this.#unterminated();
    if (this.#backslash < start) {
      const next = this.#text.indexOf("\\", start);
      this.#backslash = next < 0 ? this.#text.length : next;
    }
    if (this.#backslash > end) {
      this.#at = end + 1;
      return this.#text.slice(start, end);
    }
    return this.#escapedString(start);
  }

  /** Takes a list whose elements `read` takes. */
  list<T>(read: () => T): T[] {
    const out: T[] = [];
    this.expect("[");
    if (this.accept("]")) return out;
    do out.push(read());
    while (this.accept(","));
    this.expect("]");
    return out;
  }

  /** Takes a list of strings. */
  strings(): string[] {
    return this.list(() => this.string());
  }

  /** Checks that nothing is left; throws `ERR_ATERM_SYNTAX`. */
  end(): void {
    if (this.#at < this.#text.length) throw this.#expected("the end");
  }

  #escapedString(start: number): string {
    let out = "";
    let from = start;
    for (;;) {
      const quoteAt = this.#text.indexOf('"', from);
      if (quoteAt < 0) throw this.#unterminated();
      const backslash = this.#text.indexOf("\\", from);
      if (backslash < 0 || backslash > quoteAt) {
        this.#at = quoteAt + 1;
        return out + this.#text.slice(from, quoteAt);
      }
      const escaped = this.#text.charAt(backslash + 1);
      const char = UNESCAPES[escaped];
      if (char === undefined) {
        const shown = JSON.stringify(`\\${escaped}`);
        throw new TvixError("ERR_ATERM_ESCAPE", `unknown escape ${shown} (at byte ${backslash})`);
      }
      out += this.#text.slice(from, backslash) + char;
      from = backslash + 2;
    }
  }

  #expected(what: string): TvixError {
    const found = this.#at < this.#text.length ? JSON.stringify(this.#text.slice(this.#at, this.#at + 20)) : "the end";
    return new TvixError("ERR_ATERM_SYNTAX", `expected ${what}, found ${found} (at byte ${this.#at})`);
  }

  #unterminated(): TvixError {
    return new TvixError("ERR_ATERM_UNTERMINATED", `the string that starts at byte ${this.#at} does not end`);
  }
}
