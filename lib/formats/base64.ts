// Base 64 of bytes in the two alphabets that Nix's formats use, without any platform's help.

import { TvixError } from "../base/error.ts";

const STANDARD = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const VALUES: Int8Array = new Int8Array(128).fill(-1);
for (let i = 0; i < 64; i++) VALUES[STANDARD.charCodeAt(i)] = i;

/** Number of chars of the padded form of `size` bytes. */
export function base64Length(size: number): number {
  return 4 * Math.ceil(size / 3);
}

/** Standard alphabet, padded with `=`. */
export function encodeBase64(bytes: Uint8Array): string {
  let out = "";
  for (let i = 0; i < bytes.length; i += 3) {
    const a = bytes[i] as number;
    const b = bytes[i + 1];
    const c = bytes[i + 2];
    const bits = (a << 16) | ((b ?? 0) << 8) | (c ?? 0);
    out += STANDARD[bits >> 18] as string;
    out += STANDARD[(bits >> 12) & 63] as string;
    out += b === undefined ? "=" : (STANDARD[(bits >> 6) & 63] as string);
    out += c === undefined ? "=" : (STANDARD[bits & 63] as string);
  }
  return out;
}

/** URL-safe alphabet (`-` and `_`), no padding. */
export function encodeBase64Url(bytes: Uint8Array): string {
  return encodeBase64(bytes).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

/** Reads the standard alphabet; length, padding and the unused bits must be exactly as written by an encoder. */
export function decodeBase64(text: string): Uint8Array {
  const bytes = decodeBase64Loosely(text);
  if (encodeBase64(bytes) !== text) {
    throw new TvixError("ERR_BASE64_NOT_CANONICAL", `'${excerpt(text)}' is not padded, canonical base-64`);
  }
  return bytes;
}

/** Reads the URL-safe alphabet without padding, exactly as written by an encoder. */
export function decodeBase64Url(text: string): Uint8Array {
  const bytes = decodeBase64Loosely(text.replaceAll("-", "+").replaceAll("_", "/"));
  if (encodeBase64Url(bytes) !== text) {
    throw new TvixError("ERR_BASE64_NOT_CANONICAL", `'${excerpt(text)}' is not unpadded, URL-safe base-64`);
  }
  return bytes;
}

/**
 * Reads the standard alphabet as Nix does where it reads hashes: reading ends at the first `=`, line feeds are
 * skipped, padding may be missing and unused bits are not looked at. Throws `ERR_BASE64_DIGIT`.
 */
export function decodeBase64Loosely(text: string): Uint8Array {
  const out = new Uint8Array(Math.floor((text.length * 3) / 4));
  let size = 0;
  let bits = 0;
  let count = 0;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code === 0x3d) break;
    if (code === 0x0a) continue;
    const value = code > 127 ? -1 : (VALUES[code] as number);
    if (value < 0) {
      throw new TvixError("ERR_BASE64_DIGIT", `invalid base-64 char ${JSON.stringify(text[i])} at position ${i}`);
    }
    bits = ((bits << 6) | value) & 0xffffff;
    count += 6;
    if (count >= 8) {
      count -= 8;
      out[size++] = (bits >> count) & 255;
    }
  }
  return out.subarray(0, size);
}

function excerpt(text: string): string {
  return text.length <= 100 ? text : `${text.slice(0, 100)}…`;
}
