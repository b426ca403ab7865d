// The Nix archive format (NAR): its events, its strings and the rules that reader and writer share.
//
// A NAR is a sequence of strings, each a u64 length, the bytes, and zero bytes up to a multiple of eight:
//
//     archive   = "nix-archive-1" node
//     node      = "(" "type" ( regular | symlink | directory ) ")"
//     regular   = "regular" [ "executable" "" ] "contents" BYTES
//     symlink   = "symlink" "target" TARGET
//     directory = "directory" entry*
//     entry     = "entry" "(" "name" NAME "node" node ")"
//
// Names ascend strictly, compared bytewise, so that a tree has exactly one NAR. The reader is strict: whatever it
// accepts, the writer writes back byte for byte.

import { compareBytes } from "../../base/bytes.ts";
import { TvixError } from "../../base/error.ts";
import { displayBytes, encodeUtf8 } from "../../base/text.ts";
import { paddingOf, writeU64 } from "../u64.ts";

/**
 * A step through an archive, depth first. `name` is the entry's name in its directory and `undefined` for the root.
 * `regular` is followed by `contents` pieces of `size` bytes together (none when it is 0); `directory` by its entries
 * and `end`. `offset` is the position of the first contents byte in the archive; the writer does not look at it.
 */
export type NarEvent =
  | { readonly type: "directory"; readonly name: Uint8Array | undefined }
  | { readonly type: "end" }
  | {
      readonly type: "regular";
      readonly name: Uint8Array | undefined;
      readonly executable: boolean;
      readonly size: number;
      readonly offset?: number;
    }
  | { readonly type: "contents"; readonly bytes: Uint8Array }
  | { readonly type: "symlink"; readonly name: Uint8Array | undefined; readonly target: Uint8Array };

/** Bytes in a name at most. */
export const NAME_MAX = 255;
/** Bytes in a symlink's target at most. */
export const TARGET_MAX = 4095;
/** Directories within each other at most, unless an option says otherwise. */
export const DEPTH_MAX = 1024;

export const MAGIC: Uint8Array = encodeUtf8("nix-archive-1");

/** One string of the format: length, bytes, padding. */
export function narString(bytes: Uint8Array): Uint8Array {
  const out = new Uint8Array(8 + bytes.length + paddingOf(bytes.length));
  writeU64(out, 0, bytes.length);
  out.set(bytes, 8);
  return out;
}

/** Checks one entry's name against the rules and against the `previous` name in the same directory. */
export function checkEntryName(name: Uint8Array, previous: Uint8Array | undefined, offset?: number): void {
  if (name.length === 0) throw narError("ERR_NAR_NAME_EMPTY", "an entry has an empty name", offset);
  if (name.length > NAME_MAX) {
    throw narError("ERR_NAR_NAME_TOO_LONG", `an entry's name has ${name.length} bytes, more than ${NAME_MAX}`, offset);
  }
  if (name[0] === 0x2e && (name.length === 1 || (name.length === 2 && name[1] === 0x2e))) {
    throw narError("ERR_NAR_NAME_DOT", `an entry is named '${displayBytes(name)}'`, offset);
  }
  for (const byte of name) {
    if (byte === 0x2f) throw narError("ERR_NAR_NAME_SLASH", `entry name '${displayBytes(name)}' has a slash`, offset);
    if (byte === 0) throw narError("ERR_NAR_NAME_NUL", `entry name '${displayBytes(name)}' has a NUL byte`, offset);
  }
  if (previous === undefined) return;
  const order = compareBytes(previous, name);
  if (order === 0) throw narError("ERR_NAR_NAME_DUPLICATE", `entry '${displayBytes(name)}' occurs twice`, offset);
  if (order > 0) {
    const names = `'${displayBytes(name)}' comes after '${displayBytes(previous)}'`;
    throw narError("ERR_NAR_NAME_ORDER", `entries are not sorted: ${names}`, offset);
  }
}

/** Checks a symlink's target. */
export function checkTarget(target: Uint8Array, offset?: number): void {
  if (target.length === 0) throw narError("ERR_NAR_TARGET_EMPTY", "a symlink has an empty target", offset);
  if (target.length > TARGET_MAX) {
    const text = `a symlink's target has ${target.length} bytes, more than ${TARGET_MAX}`;
    throw narError("ERR_NAR_TARGET_TOO_LONG", text, offset);
  }
  if (target.includes(0)) {
    throw narError("ERR_NAR_TARGET_NUL", `symlink target '${displayBytes(target)}' has a NUL byte`, offset);
  }
}

/** The codes of everything that can be wrong with an archive, or with the events given to the writer. */
export type NarErrorCode =
  | "ERR_NAR_BAD_MAGIC"
  | "ERR_NAR_BAD_PADDING"
  | "ERR_NAR_UNEXPECTED_TOKEN"
  | "ERR_NAR_UNKNOWN_TYPE"
  | "ERR_NAR_MISSING_CONTENTS"
  | "ERR_NAR_NAME_EMPTY"
  | "ERR_NAR_NAME_TOO_LONG"
  | "ERR_NAR_NAME_DOT"
  | "ERR_NAR_NAME_SLASH"
  | "ERR_NAR_NAME_NUL"
  | "ERR_NAR_NAME_DUPLICATE"
  | "ERR_NAR_NAME_ORDER"
  | "ERR_NAR_TARGET_EMPTY"
  | "ERR_NAR_TARGET_TOO_LONG"
  | "ERR_NAR_TARGET_NUL"
  | "ERR_NAR_SIZE_OVERFLOW"
  | "ERR_NAR_SIZE_MISMATCH"
  | "ERR_NAR_TOO_DEEP"
  | "ERR_NAR_TRUNCATED"
  | "ERR_NAR_TRAILING_BYTES"
  | "ERR_NAR_EVENT_ORDER";

/** Makes the error; `offset` is where in the archive the offending string starts. */
export function narError(code: NarErrorCode, message: string, offset?: number): TvixError {
  return new TvixError(code, offset === undefined ? message : `${message} (at byte ${offset} of the NAR)`);
}
