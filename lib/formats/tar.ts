// Reads tar archives as they arrive, byte-exact: names are bytes, whatever the headers say their encoding is.
//
// Understood are the old form, POSIX ustar with its name prefix, GNU's long names and large numbers, and pax headers.
// Sparse files, multiple volumes and what else would need guessing are refused. Whether an entry's path may be
// followed is for {@link tarPathParts}; the reader itself only reports what the archive says.

import { TvixError } from "../base/error.ts";
import { bytesToLatin1, displayBytes } from "../base/text.ts";

/** What an entry is. */
export type TarKind = "file" | "directory" | "symlink" | "hardlink" | "fifo" | "character device" | "block device";

/** An entry; `contents` pieces of `size` bytes together follow (none when it is 0, as it is for all but files). */
export interface TarEntry {
  /** As the archive has it: possibly absolute, with `.`, `..` or slashes at its end. */
  readonly path: Uint8Array;
  readonly kind: TarKind;
  /** Permission bits. */
  readonly mode: number;
  /** Whether the owner may execute it, the one permission that a store keeps. */
  readonly executable: boolean;
  readonly size: number;
  /** Seconds since 1970, possibly with a fraction. */
  readonly mtime: number;
  /** Of links: what a symlink points to, or the path in the archive that a hard link repeats. */
  readonly target?: Uint8Array;
}

/** A step through an archive. */
export type TarEvent =
  | ({ readonly type: "entry" } & TarEntry)
  | { readonly type: "contents"; readonly bytes: Uint8Array };

const BLOCK = 512;
/** Bytes of a long name or a pax header at most. */
const META_MAX = 1024 * 1024;

const KINDS: Readonly<Record<string, TarKind>> = {
  "1": "hardlink",
  "2": "symlink",
  "3": "character device",
  "4": "block device",
  "5": "directory",
  "6": "fifo",
};

/** What a header before the next entry said about it. */
interface Override {
  path?: Uint8Array;
  target?: Uint8Array;
  size?: number;
  mtime?: number;
  /** Whether a pax header was there at all. */
  pax?: boolean;
}

type MetaKind = "L" | "K" | "x" | "g";

/**
 * A push parser. Memory is bounded by the largest long name or pax header (1 MiB), whatever the input. After an error
 * the reader stays failed.
 *
 * @throws TvixError `ERR_TAR_CHECKSUM`, `ERR_TAR_NUMBER`, `ERR_TAR_META_TOO_LONG`, `ERR_TAR_PAX`, `ERR_TAR_PATH_EMPTY`,
 *   `ERR_TAR_PATH_NUL`, `ERR_TAR_UNSUPPORTED`, `ERR_TAR_TRUNCATED`
 */
export class TarReader {
  readonly #emit: (event: TarEvent) => void;
  readonly #block = new Uint8Array(BLOCK);
  #have = 0;
  /** Contents still to come, then padding still to skip. */
  #contents = 0;
  #skip = 0;
  /** A long name or pax header being gathered. */
  #meta: { kind: MetaKind; bytes: Uint8Array; have: number } | undefined;
  #next: Override = {};
  #offset = 0;
  #state: "start" | "entries" | "end" = "start";
  #failure: TvixError | undefined;

  /** @param emit is given each event; `contents` bytes are views of the pushed piece */
  constructor(emit: (event: TarEvent) => void) {
    this.#emit = emit;
  }

  /** Takes the next piece. What follows the archive's end is ignored, as it is by every tar. */
  push(piece: Uint8Array): void {
    if (this.#failure !== undefined) throw this.#failure;
    try {
      let at = 0;
      while (at < piece.length && this.#state !== "end") at += this.#take(piece, at);
    } catch (error) {
      this.#failure = error as TvixError;
      throw error;
    }
  }

  /** Says that there is no more; throws `ERR_TAR_TRUNCATED` in the middle of an entry or before any. */
  end(): void {
    if (this.#failure !== undefined) throw this.#failure;
    if (this.#state === "end") return;
    const inside = this.#contents + this.#skip + this.#have > 0 || this.#meta !== undefined || hasOverride(this.#next);
    if (inside || this.#state === "start") {
      this.#failure = this.#error("ERR_TAR_TRUNCATED", "the archive ends early");
      throw this.#failure;
    }
  }

  /** Takes some bytes at `at`; returns how many. */
  #take(piece: Uint8Array, at: number): number {
    const available = piece.length - at;
    let size: number;
    if (this.#meta !== undefined && this.#meta.have < this.#meta.bytes.length) {
      size = Math.min(this.#meta.bytes.length - this.#meta.have, available);
      this.#meta.bytes.set(piece.subarray(at, at + size), this.#meta.have);
      this.#meta.have += size;
      if (this.#meta.have === this.#meta.bytes.length && this.#skip === 0) this.#finishMeta();
    } else if (this.#contents > 0) {
      size = Math.min(this.#contents, available);
      this.#contents -= size;
      this.#emit({ type: "contents", bytes: piece.subarray(at, at + size) });
    } else if (this.#skip > 0) {
      size = Math.min(this.#skip, available);
      this.#skip -= size;
      if (this.#skip === 0) this.#finishMeta();
    } else {
      size = Math.min(BLOCK - this.#have, available);
      this.#block.set(piece.subarray(at, at + size), this.#have);
      this.#have += size;
      if (this.#have === BLOCK) {
        this.#have = 0;
        this.#takeHeader(this.#block);
      }
    }
    this.#offset += size;
    return size;
  }

  #takeHeader(header: Uint8Array): void {
    if (header.every((byte) => byte === 0)) {
      this.#state = "end";
      return;
    }
    this.#checkSum(header);
    this.#state = "entries";
    const flag = String.fromCharCode(header[156] as number);
    const size = this.#number(header, 124, 12, "size");
    if (flag === "L" || flag === "K" || flag === "x" || flag === "g") {
      if (size > META_MAX) throw this.#error("ERR_TAR_META_TOO_LONG", `a header of ${size} bytes for one entry`);
      this.#meta = { kind: flag, bytes: new Uint8Array(size), have: 0 };
      this.#skip = paddingOf(size);
      if (size === 0) this.#finishMeta();
      return;
    }
    if (flag === "V") {
      this.#skip = size + paddingOf(size);
      return;
    }
    this.#takeEntry(header, flag, size);
  }

  #takeEntry(header: Uint8Array, flag: string, headerSize: number): void {
    if (flag === "S" || flag === "M" || flag === "N") {
      throw this.#error("ERR_TAR_UNSUPPORTED", `an entry of type '${flag}' (sparse files and volumes are not read)`);
    }
    const next = this.#next;
    this.#next = {};
    const path = next.path ?? headerPath(header);
    if (path.length === 0) throw this.#error("ERR_TAR_PATH_EMPTY", "an entry has no name");
    const endsInSlash = path.at(-1) === 0x2f;
    // The oldest archives mark a directory by the slash at its end only. Types that are not known are files, by POSIX.
    let kind: TarKind = flag === "D" ? "directory" : (KINDS[flag] ?? "file");
    if (kind === "file" && endsInSlash && (flag === "\0" || flag === "0")) kind = "directory";
    const size = next.size ?? headerSize;
    const mode = this.#number(header, 100, 8, "mode") & 0o7777;
    // A hard link has its file's size in old archives, without any contents; only pax says what it means.
    const hasBody = kind === "file" || flag === "D" || (kind === "hardlink" && next.pax === true);
    const body = hasBody ? size : 0;
    const entry: TarEntry = {
      path,
      kind,
      mode,
      executable: (mode & 0o100) !== 0,
      size: kind === "directory" ? 0 : body,
      mtime: next.mtime ?? this.#number(header, 136, 12, "mtime", true),
    };
    const isLink = kind === "symlink" || kind === "hardlink";
    this.#emit({ type: "entry", ...entry, ...(isLink ? { target: next.target ?? field(header, 157, 100) } : {}) });
    this.#contents = entry.size;
    this.#skip = body - entry.size + paddingOf(body);
  }

  #finishMeta(): void {
    const meta = this.#meta;
    if (meta === undefined) return;
    this.#meta = undefined;
    if (meta.kind === "L") this.#next.path = upToNul(meta.bytes);
    else if (meta.kind === "K") this.#next.target = upToNul(meta.bytes);
    else {
      // What a global header says would apply to all entries; archives use it for comments only.
      const records = this.#paxRecords(meta.bytes);
      if (meta.kind === "x") this.#applyPax(records);
    }
  }

  #applyPax(records: ReadonlyMap<string, Uint8Array>): void {
    this.#next.pax = true;
    for (const [key, value] of records) {
      if (key === "path" || key === "linkpath") {
        if (value.includes(0)) throw this.#error("ERR_TAR_PATH_NUL", `'${displayBytes(value)}' has a NUL byte`);
        if (key === "path") this.#next.path = value;
        else this.#next.target = value;
      } else if (key === "size") {
        this.#next.size = this.#decimal(value, /^[0-9]{1,16}$/, key);
      } else if (key === "mtime") {
        this.#next.mtime = this.#decimal(value, /^-?[0-9]{1,16}(\.[0-9]*)?$/, key);
      } else if (key.startsWith("GNU.sparse.")) {
        throw this.#error("ERR_TAR_UNSUPPORTED", "a sparse file");
      }
    }
  }

  /** Records are `<length> <key>=<value>\n`, the length in decimal and counting all of it. */
  #paxRecords(bytes: Uint8Array): Map<string, Uint8Array> {
    const records = new Map<string, Uint8Array>();
    for (let at = 0; at < bytes.length; ) {
      const digits = /^([1-9][0-9]{0,7}) /.exec(bytesToLatin1(bytes.subarray(at, at + 9)));
      const end = at + Number(digits?.[1]);
      const start = at + (digits?.[0].length ?? 0);
      const equals = bytes.indexOf(0x3d, start);
      if (digits === null || end > bytes.length || bytes[end - 1] !== 0x0a || equals < start || equals >= end) {
        throw this.#error("ERR_TAR_PAX", "a pax header that is not made of records");
      }
      records.set(bytesToLatin1(bytes.subarray(start, equals)), bytes.slice(equals + 1, end - 1));
      at = end;
    }
    return records;
  }

  #decimal(value: Uint8Array, form: RegExp, key: string): number {
    const text = bytesToLatin1(value.subarray(0, 64));
    const number = form.test(text) ? Number(text) : Number.NaN;
    if (!(Math.abs(number) <= Number.MAX_SAFE_INTEGER)) {
      throw this.#error("ERR_TAR_NUMBER", `pax ${key} '${displayBytes(value.subarray(0, 64))}'`);
    }
    return number;
  }

  /** A number in octal, or, with the first bit set, in base 256. */
  #number(header: Uint8Array, start: number, length: number, what: string, signed = false): number {
    const bytes = header.subarray(start, start + length);
    const first = bytes[0] as number;
    let value = 0;
    if (first >= 0x80) {
      const negative = (first & 0x40) !== 0;
      value = negative ? (first | 0x80) - 0x100 : first & 0x3f;
      for (const byte of bytes.subarray(1)) value = value * 256 + byte;
    } else {
      const digits = /^ *([0-7]*)(?:[\0 ]|$)/.exec(bytesToLatin1(bytes));
      value = digits === null ? Number.NaN : Number.parseInt(digits[1] || "0", 8);
    }
    if (!Number.isSafeInteger(value) || (value < 0 && !signed)) {
      throw this.#error("ERR_TAR_NUMBER", `an entry's ${what} is no number: '${displayBytes(bytes)}'`);
    }
    return value;
  }

  #checkSum(header: Uint8Array): void {
    let unsigned = 0;
    let signed = 0;
    for (let i = 0; i < BLOCK; i++) {
      const byte = i >= 148 && i < 156 ? 0x20 : (header[i] as number);
      unsigned += byte;
      signed += byte > 127 ? byte - 256 : byte;
    }
    const expected = this.#number(header, 148, 8, "checksum");
    if (expected !== unsigned && expected !== signed) {
      const code = this.#state === "start" ? "this is not a tar archive, or a damaged one" : "a header is damaged";
      throw this.#error("ERR_TAR_CHECKSUM", code);
    }
  }

  #error(code: TarErrorCode, message: string): TvixError {
    return new TvixError(code, `${message} (at byte ${this.#offset} of the tar archive)`);
  }
}

type TarErrorCode =
  | "ERR_TAR_CHECKSUM"
  | "ERR_TAR_NUMBER"
  | "ERR_TAR_META_TOO_LONG"
  | "ERR_TAR_PAX"
  | "ERR_TAR_PATH_EMPTY"
  | "ERR_TAR_PATH_NUL"
  | "ERR_TAR_UNSUPPORTED"
  | "ERR_TAR_TRUNCATED";

/** Reads an archive from pieces of any size; a piece must stay unchanged until the next is asked for. */
export async function* readTar(
  source: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
): AsyncGenerator<TarEvent, void, undefined> {
  const events: TarEvent[] = [];
  const reader = new TarReader((event) => events.push(event));
  for await (const piece of source) {
    reader.push(piece);
    yield* events;
    events.length = 0;
  }
  reader.end();
}

/**
 * The names that lead to an entry from the archive's root; none for the root itself.
 *
 * @throws TvixError `ERR_TAR_PATH_ABSOLUTE`, `ERR_TAR_PATH_PARENT`, `ERR_TAR_PATH_TOO_LONG` for a name over 255 bytes
 */
export function tarPathParts(path: Uint8Array): Uint8Array[] {
  const refuse = (code: "ERR_TAR_PATH_ABSOLUTE" | "ERR_TAR_PATH_PARENT" | "ERR_TAR_PATH_TOO_LONG", why: string) =>
    new TvixError(code, `entry '${displayBytes(path.subarray(0, 300))}' ${why}`);
  if (path[0] === 0x2f) throw refuse("ERR_TAR_PATH_ABSOLUTE", "has an absolute path");
  const parts: Uint8Array[] = [];
  for (let at = 0; at <= path.length; ) {
    const slash = path.indexOf(0x2f, at);
    const part = path.subarray(at, slash < 0 ? path.length : slash);
    at += part.length + 1;
    const dots = part.length <= 2 && part.every((byte) => byte === 0x2e) ? part.length : -1;
    if (dots === 2) throw refuse("ERR_TAR_PATH_PARENT", "leads out of its directory");
    if (part.length > 255) throw refuse("ERR_TAR_PATH_TOO_LONG", "has a name of more than 255 bytes");
    if (part.length > 0 && dots !== 1) parts.push(part);
  }
  return parts;
}

function hasOverride(next: Override): boolean {
  return next.path !== undefined || next.target !== undefined || next.pax === true;
}

/** The name in a header, with POSIX's prefix. */
function headerPath(header: Uint8Array): Uint8Array {
  const name = field(header, 0, 100);
  const isPosix = bytesToLatin1(header.subarray(257, 263)) === "ustar\0";
  const prefix = isPosix ? field(header, 345, 155) : new Uint8Array(0);
  if (prefix.length === 0) return name;
  const path = new Uint8Array(prefix.length + 1 + name.length);
  path.set(prefix);
  path[prefix.length] = 0x2f;
  path.set(name, prefix.length + 1);
  return path;
}

function field(header: Uint8Array, start: number, length: number): Uint8Array {
  return upToNul(header.subarray(start, start + length));
}

function upToNul(bytes: Uint8Array): Uint8Array {
  const end = bytes.indexOf(0);
  return bytes.slice(0, end < 0 ? bytes.length : end);
}

function paddingOf(size: number): number {
  return (BLOCK - (size % BLOCK)) % BLOCK;
}
