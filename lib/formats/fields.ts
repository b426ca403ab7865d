// Lines of `Key: value`, the form of narinfo and nix-cache-info.

import { TvixError } from "../base/error.ts";
import { decodeUtf8 } from "../base/text.ts";

/** Codes with which {@link readFields} refuses a text of its caller's kind. */
export interface FieldsOf {
  readonly what: string;
  readonly syntax: "ERR_NARINFO_SYNTAX" | "ERR_CACHE_INFO_SYNTAX";
}

/** A line taken apart, `line` counting from 1. */
export interface Field {
  readonly key: string;
  readonly value: string;
  readonly line: number;
}

/**
 * Splits a text into its lines' keys and values. Every line ends with a line feed and has `: ` (or, at its end, `:`)
 * after the key. Input beyond `limit` bytes is refused, so that what a server sends cannot fill the memory.
 */
export function readFields(input: string | Uint8Array, of: FieldsOf, limit: number): Field[] {
  if (input.length > limit) throw new TvixError(of.syntax, `${of.what} is larger than ${limit} bytes`);
  const text = typeof input === "string" ? input : decodeUtf8(input);
  if (text === undefined) throw new TvixError(of.syntax, `${of.what} is not UTF-8`);
  const fields: Field[] = [];
  let start = 0;
  for (let line = 1; start < text.length; line++) {
    const end = text.indexOf("\n", start);
    if (end < 0) throw new TvixError(of.syntax, `line ${line} of ${of.what} has no line feed at its end`);
    const colon = text.indexOf(":", start);
    const next = text.charCodeAt(colon + 1);
    if (colon <= start || colon >= end || (next !== 0x20 && next !== 0x0a)) {
      const shown = JSON.stringify(text.slice(start, Math.min(end, start + 100)));
      throw new TvixError(of.syntax, `line ${line} of ${of.what} is not 'Key: value': ${shown}`);
    }
    fields.push({ key: text.slice(start, colon), value: text.slice(colon + 2, end), line });
    start = end + 1;
  }
  return fields;
}
