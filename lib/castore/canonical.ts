// The canonical bytes of directories and nodes: a hand-written protobuf encoding with exactly one form per value.
//
// A directory's digest is the hash of these bytes, so there must be no choice: fields in ascending number, proto3
// defaults (0, false, empty) left out, shortest varints, nothing unknown. The reader accepts this form alone, hence
// encode(decode(x)) = x for all it accepts. Messages and numbers are those of the castore.v1 protocol:
//
//   Directory      1 directories*  2 files*  3 symlinks*
//   DirectoryNode  1 name  2 digest  3 size          FileNode  1 name  2 digest  3 size  4 executable
//   SymlinkNode    1 name  2 target                  Node      one of 1 directory, 2 file, 3 symlink
import { TvixError } from "../base/error.ts";
import { asDigest } from "./digest.ts";
import type { Node } from "./node.ts";

/** A named node, as directories hold them. */
export interface Entry {
  readonly name: Uint8Array;
  readonly node: Node;
}

const LENGTH_DELIMITED = 2;
const VARINT = 0;
const FIELD = { directory: 1, file: 2, symlink: 3 } as const;
const KINDS = ["directory", "file", "symlink"] as const;

/** The canonical bytes of a directory whose entries are sorted by name and valid. */
export function encodeEntries(entries: readonly Entry[]): Uint8Array {
  let length = 0;
  for (const entry of entries) {
    const inner = entryLength(entry);
    length += 1 + varintLength(inner) + inner;
  }
  const out = new Uint8Array(length);
  let at = 0;
  for (const kind of KINDS) {
    for (const entry of entries) if (entry.node.type === kind) at = writeField(out, at, entry);
  }
  return out;
}

/**
 * The entries of a directory in the order of the bytes: directories, files, symlinks, each list as it stands.
 * Names and their order are not checked here.
 * @throws TvixError `ERR_CASTORE_ENCODING` with the offset, for bytes not in canonical form.
 */
export function decodeEntries(bytes: Uint8Array): Entry[] {
  const reader = new Reader(bytes, 0, bytes.length);
  const entries: Entry[] = [];
  let last = 0;
  while (!reader.done) {
    const at = reader.at;
    const field = reader.tag(LENGTH_DELIMITED, 3);
    if (field < last) throw encodingError(at, `field ${field} after field ${last}`);
    last = field;
    entries.push(readEntry(reader, field));
  }
  return entries;
}

/** A node as the protocol's `Node` message; `name` is empty for an anonymous root. */
export function encodeNode(node: Node, name: Uint8Array = new Uint8Array(0)): Uint8Array {
  const entry = { name, node };
  const inner = entryLength(entry);
  const out = new Uint8Array(1 + varintLength(inner) + inner);
  writeField(out, 0, entry);
  return out;
}

/**
 * Reads a `Node` message in canonical form.
 * @throws TvixError `ERR_CASTORE_ENCODING`.
 */
export function decodeNode(bytes: Uint8Array): Entry {
  const reader = new Reader(bytes, 0, bytes.length);
  if (reader.done) throw encodingError(0, "no node is set");
  const entry = readEntry(reader, reader.tag(LENGTH_DELIMITED, 3));
  if (!reader.done) throw encodingError(reader.at, "bytes after the node");
  return entry;
}

function entryLength({ name, node }: Entry): number {
  let length = fieldLength(name);
  if (node.type === "symlink") return length + fieldLength(node.target);
  length += fieldLength(node.digest);
  if (node.size > 0) length += 1 + varintLength(node.size);
  return node.type === "file" && node.executable ? length + 2 : length;
}

function fieldLength(bytes: Uint8Array): number {
  return bytes.length === 0 ? 0 : 1 + varintLength(bytes.length) + bytes.length;
}

function varintLength(value: number): number {
  let length = 1;
  for (let rest = value; rest >= 128; rest = Math.floor(rest / 128)) length++;
  return length;
}

function writeVarint(out: Uint8Array, start: number, value: number): number {
  let at = start;
  let rest = value;
  for (; rest >= 128; rest = Math.floor(rest / 128)) out[at++] = (rest % 128) | 128;
  out[at++] = rest;
  return at;
}

function writeBytes(out: Uint8Array, start: number, field: number, bytes: Uint8Array): number {
  if (bytes.length === 0) return start;
  out[start] = (field << 3) | LENGTH_DELIMITED;
  const at = writeVarint(out, start + 1, bytes.length);
  out.set(bytes, at);
  return at + bytes.length;
}

function writeField(out: Uint8Array, start: number, entry: Entry): number {
  const { name, node } = entry;
  out[start] = (FIELD[node.type] << 3) | LENGTH_DELIMITED;
  let at = writeVarint(out, start + 1, entryLength(entry));
  at = writeBytes(out, at, 1, name);
  if (node.type === "symlink") return writeBytes(out, at, 2, node.target);
  at = writeBytes(out, at, 2, node.digest);
  if (node.size > 0) {
    out[at] = (3 << 3) | VARINT;
    at = writeVarint(out, at + 1, node.size);
  }
  if (node.type === "file" && node.executable) {
    out[at++] = (4 << 3) | VARINT;
    out[at++] = 1;
  }
  return at;
}

function readEntry(outer: Reader, field: number): Entry {
  const reader = outer.message();
  const name = reader.bytesField(1) ?? new Uint8Array(0);
  const at = reader.at;
  const second = reader.bytesField(2);
  if (field === FIELD.symlink) {
    reader.end();
    return { name, node: { type: "symlink", target: second ?? new Uint8Array(0) } };
  }
  if (second?.length !== 32) throw encodingError(at, `a digest has 32 bytes, this one has ${second?.length ?? 0}`);
  const digest = asDigest(second);
  const size = reader.numberField(3) ?? 0;
  if (field === FIELD.directory) {
    reader.end();
    return { name, node: { type: "directory", digest, size } };
  }
  const executable = reader.numberField(4);
  if (executable !== undefined && executable !== 1) throw encodingError(reader.at - 1, "a boolean is neither 0 nor 1");
  reader.end();
  return { name, node: { type: "file", digest, size, executable: executable === 1 } };
}

/** Reads canonical protobuf fields in order; every deviation is an error at an offset of the whole. */
class Reader {
  readonly #bytes: Uint8Array;
  readonly #end: number;
  at: number;

  constructor(bytes: Uint8Array, start: number, end: number) {
    this.#bytes = bytes;
    this.at = start;
    this.#end = end;
  }

  get done(): boolean {
    return this.at === this.#end;
  }

  /** A field number from 1 to `highest` with the wire type `type`. */
  tag(type: number, highest: number): number {
    const at = this.at;
    const tag = this.varint();
    const field = Math.floor(tag / 8);
    if (field < 1 || field > highest) throw encodingError(at, `unknown field ${field}`);
    if (tag % 8 !== type) throw encodingError(at, `field ${field} has wire type ${tag % 8} instead of ${type}`);
    return field;
  }

  varint(): number {
    const start = this.at;
    let value = 0;
    for (let factor = 1; ; factor *= 128) {
      if (this.at >= this.#end) throw encodingError(start, "a number ends too early");
      const byte = this.#bytes[this.at++] as number;
      if (byte === 0 && factor > 1) throw encodingError(start, "a number is not in its shortest form");
      value += (byte & 127) * factor;
      if (value > Number.MAX_SAFE_INTEGER) throw encodingError(start, "a number is greater than 2^53-1");
      if (byte < 128) return value;
    }
  }

  #delimited(): number {
    const start = this.at;
    const length = this.varint();
    if (length > this.#end - this.at) {
      throw encodingError(start, `${length} bytes announced, ${this.#end - this.at} left`);
    }
    return length;
  }

  message(): Reader {
    const length = this.#delimited();
    const inner = new Reader(this.#bytes, this.at, this.at + length);
    this.at += length;
    return inner;
  }

  /** Bytes of field `field`, a view; `undefined` when the next field is another. */
  bytesField(field: number): Uint8Array | undefined {
    if (this.done || this.#bytes[this.at] !== ((field << 3) | LENGTH_DELIMITED)) return undefined;
    const start = this.at++;
    const length = this.#delimited();
    if (length === 0) throw encodingError(start, `field ${field} is present but empty`);
    this.at += length;
    return this.#bytes.subarray(this.at - length, this.at);
  }

  numberField(field: number): number | undefined {
    if (this.done || this.#bytes[this.at] !== ((field << 3) | VARINT)) return undefined;
    const start = this.at++;
    const value = this.varint();
    if (value === 0) throw encodingError(start, `field ${field} is present but zero`);
    return value;
  }

  end(): void {
    if (!this.done) throw encodingError(this.at, "an unknown, repeated or misplaced field");
  }
}

function encodingError(at: number, what: string): TvixError {
  return new TvixError("ERR_CASTORE_ENCODING", `not the canonical bytes of a castore message: ${what} (offset ${at})`);
}
