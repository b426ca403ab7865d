// Nix's base-32: the digits of one little-endian number, most significant first, without the letters e, o, u and t.
//
// Digit k from the left of L stands for the five bits at bit offset 5·(L−1−k), where bit b of the bytes is bit b mod 8
// of byte b div 8. The number of digits is the least that holds all bits; the surplus high bits must be zero.

import { TvixError } from "../base/error.ts";

const ALPHABET = "0123456789abcdfghijklmnpqrsvwxyz";
const INVALID = 255;
const VALUES: Uint8Array = new Uint8Array(256).fill(INVALID);
for (let i = 0; i < 32; i++) VALUES[ALPHABET.charCodeAt(i)] = i;

/** Number of digits for `size` bytes. */
export function encodedLength(size: number): number {
  return Math.ceil((size * 8) / 5);
}

/** Writes bytes in Nix's base-32. */
export function encode(bytes: Uint8Array): string {
  // All at once: a text that grows by one char is an object for each.
  const codes: number[] = [];
  for (let bit = 5 * (encodedLength(bytes.length) - 1); bit >= 0; bit -= 5) {
    const byte = bit >> 3;
    const shift = bit & 7;
    // A group that reaches past its byte takes the rest from the next one; past the end, those bits are zero.
    const pair = (bytes[byte] as number) | ((bytes[byte + 1] ?? 0) << 8);
    codes.push(ALPHABET.charCodeAt((pair >> shift) & 31));
  }
  return String.fromCharCode(...codes);
}

/** Whether every char of `text` from `start` to `end` is a digit of Nix's base-32. */
export function isDigits(text: string, start: number, end: number): boolean {
  for (let i = start; i < end; i++) {
    const code = text.charCodeAt(i);
    if (code > 127 || VALUES[code] === INVALID) return false;
  }
  return true;
}

/** Reads Nix's base-32. Throws `ERR_NIXBASE32_LENGTH`, `ERR_NIXBASE32_DIGIT` or `ERR_NIXBASE32_SURPLUS_BITS`. */
export function decode(text: string): Uint8Array {
  const size = Math.floor((text.length * 5) / 8);
  if (encodedLength(size) !== text.length) {
    throw new TvixError("ERR_NIXBASE32_LENGTH", `no number of bytes has ${text.length} base-32 digits`);
  }
  const out = new Uint8Array(size);
  for (let k = 0; k < text.length; k++) {
    const code = text.charCodeAt(k);
    const value = code > 127 ? INVALID : (VALUES[code] as number);
    if (value === INVALID) {
      throw new TvixError("ERR_NIXBASE32_DIGIT", `invalid base-32 digit ${JSON.stringify(text[k])} at position ${k}`, {
        notes: [`the digits are ${ALPHABET}`],
      });
    }
    const bit = 5 * (text.length - 1 - k);
    const byte = bit >> 3;
    const pair = value << (bit & 7);
    out[byte] = (out[byte] as number) | (pair & 255);
    if (pair > 255) {
      if (byte + 1 >= size) {
        throw new TvixError("ERR_NIXBASE32_SURPLUS_BITS", `'${text}' sets bits beyond its ${size} bytes`);
      }
      out[byte + 1] = (out[byte + 1] as number) | (pair >> 8);
    }
  }
  return out;
}
