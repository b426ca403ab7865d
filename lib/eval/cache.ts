// Compiled units by content: what is stored for a source file, under which key, and when it is refused.
//
// An entry holds the emitted JavaScript, its tables, and V8's code cache for it. The key covers everything that the
// entry depends on: the source text, the compiler (its format number and the global names it knew), the JavaScript
// engine and its flags. So nothing ever has to be invalidated; whoever keeps the entries may drop any of them.
//
//   entry := magic (8 bytes) · warm (1) · four lengths (u32, little endian)
//            · tables (JSON) · details (JSON, read when needed) · text · V8 data

import { bytesToLatin1 } from "../base/text.ts";
import { sha256HexOfLatin1 } from "../formats/digest.ts";
import type { Emitted, EmittedDetails, EmittedTables } from "./vm/emitted.ts";

/** Raised whenever emitted text or tables change their meaning. */
const FORMAT = 7;
const MAGIC = "tvixunit";
/** So many digits of a realm tell it from others: entries are trusted anyway. */
const REALM_DIGITS = 24;
const HEADER = 8 + 1 + 16;

/** A unit as it is stored, and its key in hexadecimal. */
export interface UnitEntry {
  readonly key: string;
  readonly bytes: Uint8Array;
}

/** Keeps bytes by key: a directory, a table, a Map. Failures must be hidden: a cache is never necessary. */
export interface UnitStorage {
  read(key: string): Uint8Array | undefined;
  /** Keeps what an evaluation adds or replaces, all at once. */
  write(entries: readonly UnitEntry[]): void;
}

/** A stored unit. */
export interface StoredUnit {
  readonly emitted: Emitted;
  /** V8's code cache, empty when there is none. */
  readonly code: Uint8Array;
  /** Whether `code` was made after the unit had run, so that it holds the functions that are used. */
  readonly warm: boolean;
}

/** What all keys of an evaluator begin with. */
export function cacheRealm(globals: Iterable<string>, features: Iterable<string>, engine: string): string {
  const lists = [features, globals].map((names) => [...names].sort().join("\0"));
  return sha256HexOfLatin1(`${FORMAT}\0${engine}\0${lists.join("\0\0")}`);
}

/** The key of a source text. */
export function unitKey(realm: string, text: string): string {
  return sha256HexOfLatin1(text) + realm.slice(0, REALM_DIGITS);
}

/** An entry as bytes. */
export function encodeUnit({ emitted, code, warm }: StoredUnit): Uint8Array {
  const parts = [jsonBytes(emitted.tables), jsonBytes(emitted.details()), asciiBytes(emitted.text), code];
  const out = new Uint8Array(HEADER + parts.reduce((sum, part) => sum + part.length, 0));
  out.set(asciiBytes(MAGIC), 0);
  out[8] = warm ? 1 : 0;
  const view = new DataView(out.buffer);
  let at = HEADER;
  parts.forEach((part, i) => {
    view.setUint32(9 + 4 * i, part.length, true);
    out.set(part, at);
    at += part.length;
  });
  return out;
}

/** The inverse of {@link encodeUnit}; `undefined` for anything that is not an entry. */
export function decodeUnit(bytes: Uint8Array): StoredUnit | undefined {
  if (bytes.length < HEADER || asciiText(bytes, 0, 8) !== MAGIC) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const tablesEnd = HEADER + view.getUint32(9, true);
  const detailsEnd = tablesEnd + view.getUint32(13, true);
  const textEnd = detailsEnd + view.getUint32(17, true);
  if (textEnd + view.getUint32(21, true) !== bytes.length) return undefined;
  try {
    const tables = JSON.parse(asciiText(bytes, HEADER, tablesEnd)) as EmittedTables;
    // A copy, so that it does not keep all of the entry in memory.
    const json = bytes.slice(tablesEnd, detailsEnd);
    let details: EmittedDetails | undefined;
    const emitted: Emitted = {
      text: asciiText(bytes, detailsEnd, textEnd),
      tables,
      details: () => (details ??= JSON.parse(asciiText(json, 0, json.length)) as EmittedDetails),
    };
    return { emitted, code: bytes.subarray(textEnd), warm: bytes[8] === 1 };
  } catch {
    return undefined;
  }
}

function jsonBytes(data: unknown): Uint8Array {
  return asciiBytes(JSON.stringify(data).replace(/[\u007f-\uffff]/g, escapeChar));
}

function asciiText(bytes: Uint8Array, start: number, end: number): string {
  return bytesToLatin1(bytes.subarray(start, end));
}

function asciiBytes(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

function escapeChar(char: string): string {
  return `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`;
}
