// Reads archives as they arrive: bytes are pushed in pieces of any size, events come out.

import { equalBytes } from "../../base/bytes.ts";
import type { TvixError } from "../../base/error.ts";
import { displayBytes, encodeUtf8 } from "../../base/text.ts";
import { paddingOf, readU64 } from "../u64.ts";
import {
  checkEntryName,
  checkTarget,
  DEPTH_MAX,
  MAGIC,
  NAME_MAX,
  type NarErrorCode,
  type NarEvent,
  narError,
  TARGET_MAX,
} from "./wire.ts";

/** Options of {@link NarReader}. */
export interface NarReaderOptions {
  /** Directories within each other at most; default 1024. */
  readonly maxDepth?: number;
}

/** What the grammar expects next. The plain words are strings of the format. */
type State =
  | "magic"
  | "(" // of a node
  | "type"
  | "kind"
  | "executable or contents"
  | "executable marker"
  | "contents"
  | "contents size"
  | "target"
  | "target text"
  | ") of node"
  | "entry or )"
  | "( of entry"
  | "name"
  | "name text"
  | "node"
  | ") of entry"
  | "end";

/** Longest string of the format's own words, and what is read of a string that should be one of them. */
const WORD_MAX = 16;

const WORDS: ReadonlyMap<string, Uint8Array> = new Map(
  [
    "(",
    ")",
    "type",
    "regular",
    "symlink",
    "directory",
    "executable",
    "contents",
    "target",
    "entry",
    "name",
    "node",
  ].map((word) => [word, encodeUtf8(word)]),
);

/**
 * A push parser for one archive. Memory is bounded by the longest legal string (4 KiB) and one name per open
 * directory, whatever the input. After an error the reader stays failed.
 *
 * @throws TvixError with a {@link NarErrorCode} at the first violation, before any event of the offending node
 */
export class NarReader {
  readonly #emit: (event: NarEvent) => void;
  readonly #maxDepth: number;
  /** A string split between pieces is gathered here; its whole is `#need` bytes. */
  readonly #pending = new Uint8Array(TARGET_MAX + 8);
  #have = 0;
  #need = 8;
  /** What the `#need` bytes are. */
  #part: "length" | "body" | "contents padding" = "length";
  /** Length of the string whose body or padding is next. */
  #length = 0;
  /** Contents bytes still to come. */
  #contents = 0;
  #offset = 0;
  #state: State = "magic";
  #executable = false;
  /** Name of the node being read; `undefined` for the root. */
  #name: Uint8Array | undefined;
  /** Per open directory, the name of its latest entry. */
  readonly #names: (Uint8Array | undefined)[] = [];
  #failure: TvixError | undefined;

  /**
   * @param emit is given each event as soon as it is known; `contents` bytes are views of the pushed piece, names and
   *   targets are its own
   */
  constructor(emit: (event: NarEvent) => void, options: NarReaderOptions = {}) {
    this.#emit = emit;
    this.#maxDepth = options.maxDepth ?? DEPTH_MAX;
  }

  /** Bytes of the archive taken so far. */
  get offset(): number {
    return this.#offset;
  }

  /** Whether the archive is complete. */
  get done(): boolean {
    return this.#state === "end";
  }

  /** Takes the next piece. Bytes after the archive's end are refused as `ERR_NAR_TRAILING_BYTES`. */
  push(piece: Uint8Array): void {
    const taken = this.take(piece);
    if (taken < piece.length) throw this.#fail("ERR_NAR_TRAILING_BYTES", "bytes follow the archive's end");
  }

  /** Takes the next piece up to the archive's end, for archives inside other streams; returns how many bytes. */
  take(piece: Uint8Array): number {
    if (this.#failure !== undefined) throw this.#failure;
    try {
      return this.#take(piece);
    } catch (error) {
      this.#failure = error as TvixError;
      throw error;
    }
  }

  /** Says that there is no more; throws `ERR_NAR_TRUNCATED` unless the archive is complete. */
  end(): void {
    if (this.#failure !== undefined) throw this.#failure;
    if (!this.done) throw this.#fail("ERR_NAR_TRUNCATED", `the archive ends early, ${describe(this.#state)} was next`);
  }

  #take(piece: Uint8Array): number {
    let at = 0;
    while (at < piece.length && this.#state !== "end") {
      const available = piece.length - at;
      if (this.#contents > 0) {
        const size = Math.min(this.#contents, available);
        this.#emit({ type: "contents", bytes: piece.subarray(at, at + size) });
        at += size;
        this.#offset += size;
        this.#contents -= size;
        if (this.#contents === 0) this.#finishContents();
      } else if (this.#have === 0 && available >= this.#need) {
        const start = at;
        at += this.#need;
        this.#takePart(piece, start);
      } else {
        const size = Math.min(this.#need - this.#have, available);
        this.#pending.set(piece.subarray(at, at + size), this.#have);
        this.#have += size;
        at += size;
        if (this.#have < this.#need) break;
        this.#have = 0;
        this.#takePart(this.#pending, 0);
      }
    }
    return at;
  }

  /** Handles the `#need` bytes at `start`, which are all there. */
  #takePart(bytes: Uint8Array, start: number): void {
    if (this.#part === "length") {
      this.#takeLength(readU64(bytes, start));
      return;
    }
    const end = start + this.#need;
    const padded = this.#part === "body" ? start + this.#length : start;
    for (let i = padded; i < end; i++) {
      if (bytes[i] !== 0) throw this.#error("ERR_NAR_BAD_PADDING", "padding is not zero");
    }
    const body = this.#part === "body" ? bytes.subarray(start, padded) : undefined;
    if (body !== undefined) this.#takeString(body);
    this.#offset += this.#need;
    this.#expectLength();
  }

  #takeLength(length: number): void {
    if (this.#state === "contents size") {
      if (length === Number.POSITIVE_INFINITY) {
        throw this.#error("ERR_NAR_SIZE_OVERFLOW", "a file claims more than 2^53−1 bytes");
      }
      this.#offset += 8;
      this.#length = length;
      this.#emit({
        type: "regular",
        name: this.#name,
        executable: this.#executable,
        size: length,
        offset: this.#offset,
      });
      this.#contents = length;
      if (length === 0) this.#finishContents();
      return;
    }
    this.#checkLength(length);
    this.#offset += 8;
    this.#length = length;
    this.#part = "body";
    this.#need = length + paddingOf(length);
    if (this.#need === 0) {
      this.#takeString(new Uint8Array(0));
      this.#expectLength();
    }
  }

  #checkLength(length: number): void {
    if (this.#state === "name text") {
      if (length <= NAME_MAX) return;
      throw this.#error("ERR_NAR_NAME_TOO_LONG", `an entry's name has more than ${NAME_MAX} bytes`);
    }
    if (this.#state === "target text") {
      if (length <= TARGET_MAX) return;
      throw this.#error("ERR_NAR_TARGET_TOO_LONG", `a symlink's target has more than ${TARGET_MAX} bytes`);
    }
    if (length <= WORD_MAX) return;
    const code = this.#state === "magic" ? "ERR_NAR_BAD_MAGIC" : "ERR_NAR_UNEXPECTED_TOKEN";
    throw this.#error(code, `expected ${describe(this.#state)}, found a string of ${length} bytes`);
  }

  #expectLength(): void {
    this.#part = "length";
    this.#need = 8;
  }

  #finishContents(): void {
    this.#state = ") of node";
    this.#need = paddingOf(this.#length);
    if (this.#need === 0) this.#expectLength();
    else this.#part = "contents padding";
  }

  #takeString(text: Uint8Array): void {
    switch (this.#state) {
      case "magic":
        if (!equalBytes(text, MAGIC)) throw this.#error("ERR_NAR_BAD_MAGIC", "this is not a Nix archive");
        this.#state = "(";
        return;
      case "(":
        return this.#word(text, "(", "type");
      case "type":
        return this.#word(text, "type", "kind");
      case "kind":
        return this.#takeKind(text);
      case "executable or contents":
        if (is(text, "executable")) this.#state = "executable marker";
        else if (is(text, ")")) throw this.#error("ERR_NAR_MISSING_CONTENTS", "a regular file has no contents");
        else this.#word(text, "contents", "contents size");
        return;
      case "executable marker":
        if (text.length > 0) throw this.#unexpected(text);
        this.#executable = true;
        this.#state = "contents";
        return;
      case "contents":
        if (is(text, ")")) throw this.#error("ERR_NAR_MISSING_CONTENTS", "a regular file has no contents");
        return this.#word(text, "contents", "contents size");
      case "target":
        return this.#word(text, "target", "target text");
      case "target text":
        checkTarget(text, this.#offset);
        this.#emit({ type: "symlink", name: this.#name, target: text.slice() });
        this.#state = ") of node";
        return;
      case ") of node":
        this.#word(text, ")", ") of entry");
        return this.#closeNode();
      case "entry or )":
        return this.#takeEntry(text);
      case "( of entry":
        return this.#word(text, "(", "name");
      case "name":
        return this.#word(text, "name", "name text");
      case "name text":
        checkEntryName(text, this.#names.at(-1), this.#offset);
        this.#name = text.slice();
        this.#names[this.#names.length - 1] = this.#name;
        this.#state = "node";
        return;
      case "node":
        return this.#word(text, "node", "(");
      case ") of entry":
        return this.#word(text, ")", "entry or )");
      case "contents size":
      case "end":
        throw this.#unexpected(text);
    }
  }

  #takeKind(text: Uint8Array): void {
    if (is(text, "regular")) {
      this.#executable = false;
      this.#state = "executable or contents";
    } else if (is(text, "symlink")) {
      this.#state = "target";
    } else if (is(text, "directory")) {
      if (this.#names.length >= this.#maxDepth) {
        throw this.#error("ERR_NAR_TOO_DEEP", `more than ${this.#maxDepth} directories lie within each other`);
      }
      this.#emit({ type: "directory", name: this.#name });
      this.#names.push(undefined);
      this.#state = "entry or )";
    } else {
      throw this.#error("ERR_NAR_UNKNOWN_TYPE", `unknown file type '${displayBytes(text)}'`);
    }
  }

  #takeEntry(text: Uint8Array): void {
    if (is(text, "entry")) {
      this.#state = "( of entry";
      return;
    }
    this.#word(text, ")", ") of entry");
    this.#names.pop();
    this.#emit({ type: "end" });
    this.#closeNode();
  }

  /** After the `)` of a node: its entry is to be closed, or it was the root. */
  #closeNode(): void {
    this.#state = this.#names.length === 0 ? "end" : ") of entry";
  }

  #word(text: Uint8Array, expected: string, next: State): void {
    if (!is(text, expected)) throw this.#unexpected(text);
    this.#state = next;
  }

  #unexpected(text: Uint8Array): TvixError {
    const message = `expected ${describe(this.#state)}, found '${displayBytes(text)}'`;
    return this.#error("ERR_NAR_UNEXPECTED_TOKEN", message);
  }

  #error(code: NarErrorCode, message: string): TvixError {
    return narError(code, message, this.#offset);
  }

  #fail(code: NarErrorCode, message: string): TvixError {
    this.#failure = this.#error(code, message);
    return this.#failure;
  }
}

/** Reads an archive from pieces of any size; a piece must stay unchanged until the next is asked for. */
export async function* readNar(
  source: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  options: NarReaderOptions = {},
): AsyncGenerator<NarEvent, void, undefined> {
  const events: NarEvent[] = [];
  const reader = new NarReader((event) => events.push(event), options);
  for await (const piece of source) {
    reader.push(piece);
    yield* events;
    events.length = 0;
  }
  reader.end();
}

function is(text: Uint8Array, word: string): boolean {
  return equalBytes(text, WORDS.get(word) as Uint8Array);
}

function describe(state: State): string {
  switch (state) {
    case "magic":
      return "'nix-archive-1'";
    case "kind":
      return "a file type";
    case "executable or contents":
      return "'executable' or 'contents'";
    case "executable marker":
      return "the empty string after 'executable'";
    case "contents size":
      return "a file's contents";
    case ") of node":
    case ") of entry":
      return "')'";
    case "entry or )":
      return "'entry' or ')'";
    case "( of entry":
      return "'('";
    case "name text":
      return "an entry's name";
    case "target text":
      return "a symlink's target";
    default:
      return `'${state}'`;
  }
}
