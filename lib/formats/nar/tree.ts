// Trees of files held in memory, and their archives: packing, unpacking, walking.

import { concatBytes } from "../../base/bytes.ts";
import { assert, unreachable } from "../../base/error.ts";
import { NarReader, type NarReaderOptions } from "./reader.ts";
import { DEPTH_MAX, type NarEvent, narError } from "./wire.ts";
import { NarWriter } from "./writer.ts";

/** A file-system object as archives know it. `C` is what stands for a file's contents: its bytes, or a reference. */
export type NarNode<C = Uint8Array> = NarDirectory<C> | NarFile<C> | NarSymlink;

/** A directory; `entries` ascend by name, bytewise. */
export interface NarDirectory<C = Uint8Array> {
  readonly type: "directory";
  readonly entries: readonly NarEntry<C>[];
}

/** A named child of a directory. */
export interface NarEntry<C = Uint8Array> {
  readonly name: Uint8Array;
  readonly node: NarNode<C>;
}

/** A regular file of `size` bytes. */
export interface NarFile<C = Uint8Array> {
  readonly type: "regular";
  readonly executable: boolean;
  readonly size: number;
  readonly contents: C;
}

/** A symbolic link. */
export interface NarSymlink {
  readonly type: "symlink";
  readonly target: Uint8Array;
}

/** Reads a whole archive; contents are views of `bytes`. Throws what {@link NarReader} throws. */
export function unpackNar(bytes: Uint8Array, options: NarReaderOptions = {}): NarNode {
  const builder = new NarTreeBuilder();
  const reader = new NarReader((event) => builder.add(event), options);
  reader.push(bytes);
  reader.end();
  return builder.finish();
}

/** Writes the archive of a tree. Throws what {@link NarWriter} throws. */
export function packNar(root: NarNode): Uint8Array {
  const pieces: Uint8Array[] = [];
  const writer = new NarWriter((piece) => pieces.push(piece));
  for (const event of narEvents(root)) {
    writer.write(event);
    if (event.type === "regular" && event.size > 0) writer.write({ type: "contents", bytes: event.contents });
  }
  writer.end();
  return concatBytes(pieces);
}

/** An event of {@link narEvents}: a file comes with what stands for its contents, and without `contents` events. */
export type NarTreeEvent<C> =
  | Exclude<NarEvent, { type: "regular" | "contents" }>
  | (Extract<NarEvent, { type: "regular" }> & { readonly contents: C });

/** Walks a tree depth first. Throws `ERR_NAR_TOO_DEEP` beyond 1024 directories within each other. */
export function* narEvents<C>(root: NarNode<C>): Generator<NarTreeEvent<C>, void, undefined> {
  const open: Iterator<NarEntry<C>>[] = [];
  yield enter(undefined, root, open);
  for (let top = open.at(-1); top !== undefined; top = open.at(-1)) {
    const next = top.next();
    if (next.done === true) {
      open.pop();
      yield { type: "end" };
    } else {
      yield enter(next.value.name, next.value.node, open);
    }
  }
}

function enter<C>(name: Uint8Array | undefined, node: NarNode<C>, open: Iterator<NarEntry<C>>[]): NarTreeEvent<C> {
  switch (node.type) {
    case "directory":
      if (open.length >= DEPTH_MAX) {
        throw narError("ERR_NAR_TOO_DEEP", `more than ${DEPTH_MAX} directories lie within each other`);
      }
      open.push(node.entries[Symbol.iterator]());
      return { type: "directory", name };
    case "regular":
      return { type: "regular", name, executable: node.executable, size: node.size, contents: node.contents };
    case "symlink":
      return { type: "symlink", name, target: node.target };
    default:
      return unreachable(node);
  }
}

/** Gathers the events of one archive, as a {@link NarReader} emits them, into a tree. */
export class NarTreeBuilder {
  #root: NarNode | undefined;
  readonly #open: NarEntry[][] = [];
  #file: { name: Uint8Array | undefined; executable: boolean; size: number; pieces: Uint8Array[] } | undefined;

  /** Takes the next event. */
  add(event: NarEvent): void {
    if (event.type === "contents") {
      this.#file?.pieces.push(event.bytes);
      return;
    }
    this.#finishFile();
    switch (event.type) {
      case "directory": {
        const entries: NarEntry[] = [];
        this.#put(event.name, { type: "directory", entries });
        this.#open.push(entries);
        return;
      }
      case "end":
        this.#open.pop();
        return;
      case "regular":
        this.#file = { name: event.name, executable: event.executable, size: event.size, pieces: [] };
        return;
      case "symlink":
        this.#put(event.name, { type: "symlink", target: event.target });
    }
  }

  /** The tree, after the last event. */
  finish(): NarNode {
    this.#finishFile();
    assert(this.#root !== undefined && this.#open.length === 0, "events of a whole archive");
    return this.#root;
  }

  #finishFile(): void {
    if (this.#file === undefined) return;
    const { name, executable, size, pieces } = this.#file;
    this.#file = undefined;
    const [first] = pieces;
    const contents = pieces.length === 1 && first !== undefined ? first : concatBytes(pieces);
    this.#put(name, { type: "regular", executable, size, contents });
  }

  #put(name: Uint8Array | undefined, node: NarNode): void {
    if (name === undefined) this.#root = node;
    else this.#open.at(-1)?.push({ name, node });
  }
}
