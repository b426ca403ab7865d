// Writes archives as they are described: events go in, bytes come out.

import { concatBytes } from "../../base/bytes.ts";
import { encodeUtf8 } from "../../base/text.ts";
import { paddingOf, writeU64 } from "../u64.ts";
import { checkEntryName, checkTarget, DEPTH_MAX, MAGIC, type NarEvent, narError, narString } from "./wire.ts";

const words = (...texts: string[]): Uint8Array => concatBytes(texts.map((text) => narString(encodeUtf8(text))));

const START = narString(MAGIC);
const DIRECTORY = words("(", "type", "directory");
const REGULAR = words("(", "type", "regular", "contents");
const EXECUTABLE = words("(", "type", "regular", "executable", "", "contents");
const SYMLINK = words("(", "type", "symlink", "target");
const CLOSE = words(")");
const CLOSE_TWICE = words(")", ")");
const ENTRY = words("entry", "(", "name");
const NODE = words("node");

const BUFFER_SIZE = 16 * 1024;

/**
 * Turns events into an archive. The events must describe one tree: names ascending, contents as long as announced.
 *
 * @throws TvixError the reader's codes for bad names and targets, `ERR_NAR_SIZE_MISMATCH` for contents of another
 *   length than announced, `ERR_NAR_EVENT_ORDER` for events that make no tree
 */
export class NarWriter {
  readonly #sink: (bytes: Uint8Array) => void;
  #buffer = new Uint8Array(BUFFER_SIZE);
  #used = 0;
  #flushed = 0;
  /** Per open directory, the name of its latest entry. */
  readonly #names: (Uint8Array | undefined)[] = [];
  #state: "start" | "node" | "contents" | "end" = "start";
  #size = 0;
  #left = 0;

  /**
   * @param sink is given the archive piece by piece. Small strings are gathered into pieces of up to 16 KiB that are
   *   the receiver's to keep; large contents are passed on as they came.
   */
  constructor(sink: (bytes: Uint8Array) => void) {
    this.#sink = sink;
  }

  /** Bytes of the archive written so far. */
  get offset(): number {
    return this.#flushed + this.#used;
  }

  /** Takes the next event. */
  write(event: NarEvent): void {
    if (event.type === "contents") {
      this.#takeContents(event.bytes.length);
      this.#put(event.bytes);
      this.#finishContents();
      return;
    }
    if (this.#state === "contents") {
      throw narError("ERR_NAR_SIZE_MISMATCH", `a file is ${this.#left} bytes shorter than its announced ${this.#size}`);
    }
    if (event.type === "end") {
      if (this.#names.length === 0) throw narError("ERR_NAR_EVENT_ORDER", "an end without a directory");
      this.#names.pop();
      this.#closeNode();
      return;
    }
    this.#openNode(event.name);
    this.#putNode(event);
  }

  /**
   * Counts the contents of the file just announced as written without writing them: for a rendering whose contents
   * come from elsewhere. What was written before has reached the sink when this returns.
   */
  omitContents(): void {
    this.flush();
    this.#flushed += this.#left;
    this.#takeContents(this.#left);
    this.#finishContents();
  }

  /** Says that there is no more; throws `ERR_NAR_EVENT_ORDER` unless the archive is complete. */
  end(): void {
    if (this.#state !== "end") throw narError("ERR_NAR_EVENT_ORDER", "the events end before the tree is complete");
    this.flush();
  }

  /** Hands what has been gathered to the sink. */
  flush(): void {
    if (this.#used === 0) return;
    const piece = this.#buffer.subarray(0, this.#used);
    this.#flushed += this.#used;
    this.#buffer = new Uint8Array(BUFFER_SIZE);
    this.#used = 0;
    this.#sink(piece);
  }

  #openNode(name: Uint8Array | undefined): void {
    if (this.#state === "end") throw narError("ERR_NAR_EVENT_ORDER", "an archive has one root");
    if (this.#names.length === 0) {
      if (name !== undefined) throw narError("ERR_NAR_EVENT_ORDER", "the root has no name");
      this.#put(START);
    } else {
      if (name === undefined) throw narError("ERR_NAR_EVENT_ORDER", "an entry of a directory needs a name");
      checkEntryName(name, this.#names.at(-1));
      this.#names[this.#names.length - 1] = name.slice();
      this.#put(ENTRY);
      this.#putString(name);
      this.#put(NODE);
    }
    this.#state = "node";
  }

  #putNode(event: Exclude<NarEvent, { type: "contents" | "end" }>): void {
    switch (event.type) {
      case "directory":
        if (this.#names.length >= DEPTH_MAX) {
          throw narError("ERR_NAR_TOO_DEEP", `more than ${DEPTH_MAX} directories lie within each other`);
        }
        this.#put(DIRECTORY);
        this.#names.push(undefined);
        return;
      case "symlink":
        checkTarget(event.target);
        this.#put(SYMLINK);
        this.#putString(event.target);
        this.#closeNode();
        return;
      case "regular":
        if (!Number.isSafeInteger(event.size) || event.size < 0) {
          throw narError("ERR_NAR_SIZE_OVERFLOW", `${event.size} is not the size of a file`);
        }
        this.#put(event.executable ? EXECUTABLE : REGULAR);
        this.#putLength(event.size);
        this.#size = event.size;
        this.#left = event.size;
        this.#state = "contents";
        if (event.size === 0) this.#finishContents();
    }
  }

  #takeContents(size: number): void {
    if (this.#state !== "contents") {
      if (size === 0) return;
      throw narError("ERR_NAR_SIZE_MISMATCH", `${size} bytes of contents where none are due`);
    }
    if (size > this.#left) {
      throw narError("ERR_NAR_SIZE_MISMATCH", `a file is longer than its announced ${this.#size} bytes`);
    }
    this.#left -= size;
  }

  #finishContents(): void {
    if (this.#state !== "contents" || this.#left > 0) return;
    this.#put(new Uint8Array(paddingOf(this.#size)));
    this.#closeNode();
  }

  /** Closes the node and, unless it is the root, its entry. */
  #closeNode(): void {
    const isRoot = this.#names.length === 0;
    this.#put(isRoot ? CLOSE : CLOSE_TWICE);
    this.#state = isRoot ? "end" : "node";
  }

  #putString(bytes: Uint8Array): void {
    this.#putLength(bytes.length);
    this.#put(bytes);
    this.#put(new Uint8Array(paddingOf(bytes.length)));
  }

  #putLength(length: number): void {
    const bytes = new Uint8Array(8);
    writeU64(bytes, 0, length);
    this.#put(bytes);
  }

  #put(bytes: Uint8Array): void {
    if (bytes.length > BUFFER_SIZE - this.#used) this.flush();
    if (bytes.length > BUFFER_SIZE) {
      this.#flushed += bytes.length;
      this.#sink(bytes);
      return;
    }
    this.#buffer.set(bytes, this.#used);
    this.#used += bytes.length;
  }
}

/** Writes the archive that the events describe; pieces may be views of `contents` bytes. */
export async function* writeNar(
  events: AsyncIterable<NarEvent> | Iterable<NarEvent>,
): AsyncGenerator<Uint8Array, void, undefined> {
  const pieces: Uint8Array[] = [];
  const writer = new NarWriter((piece) => pieces.push(piece));
  for await (const event of events) {
    writer.write(event);
    yield* pieces;
    pieces.length = 0;
  }
  writer.end();
  yield* pieces;
}
