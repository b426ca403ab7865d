// The plan of a tree: its listing and the places of all its bytes, as native rendering takes them.
import { concatBytes, equalBytes } from "../../base/bytes.ts";
import type { RenderPlan } from "../../native/nar.ts";
import { PackReader } from "../../native/pack.ts";
import { DIRECTORY, EXECUTABLE, REGULAR, SYMLINK, type TreeListing } from "../../native/tree.ts";
import { corrupt, missingBlob } from "../blob/range.ts";
import type { ChunkMeta } from "../blob/service.ts";
import { type Digest, EMPTY_DIGEST } from "../digest.ts";
import { missingDirectory } from "../directory/closure.ts";
import type { Node } from "../node.ts";
import { decodeChunkList } from "./blobs.ts";
import type { LocalStore } from "./store.ts";

/** A render plan with pack readers of its own; {@link OwnedPlan.close} closes them. */
export interface OwnedPlan extends RenderPlan {
  close(): void;
}

/** Plans tree `root`. @throws TvixError `ERR_CASTORE_MISSING`, `ERR_CASTORE_CORRUPT` */
export function planTree(store: LocalStore, root: Node): OwnedPlan {
  return new Planner(store).plan(root);
}

/**
 * The chunks of a blob, whether it was stored as several or as one.
 * @throws TvixError `ERR_CASTORE_MISSING`
 */
export function blobChunks(store: LocalStore, digest: Digest): readonly ChunkMeta[] {
  const list = store.index.blobs.getSealed(digest);
  if (list) return decodeChunkList(list);
  const location = store.blobs.locate(digest);
  if (location) return [{ digest, size: location.length }];
  if (equalBytes(digest, EMPTY_DIGEST)) return [];
  throw missingBlob(digest);
}

class Planner {
  readonly #store: LocalStore;
  readonly #kinds: number[] = [];
  readonly #parents: number[] = [];
  readonly #sizes: number[] = [];
  readonly #ends: number[] = [];
  readonly #text: Uint8Array[] = [];
  #textLength = 0;
  readonly #counts: number[] = [];
  readonly #offsets: number[] = [];
  readonly #lengths: number[] = [];
  readonly #digests: Uint8Array[] = [];
  readonly #packs: number[] = [];
  readonly #readers = new Map<number, { index: number; reader: PackReader }>();

  constructor(store: LocalStore) {
    this.#store = store;
  }

  plan(root: Node): OwnedPlan {
    try {
      this.#walk(root);
    } catch (error) {
      this.#close();
      throw error;
    }
    const listing: TreeListing = {
      kinds: Uint8Array.from(this.#kinds),
      parents: Uint32Array.from(this.#parents),
      sizes: Float64Array.from(this.#sizes),
      ends: Uint32Array.from(this.#ends),
      text: concatBytes(this.#text),
    };
    return {
      listing,
      chunkCounts: Uint32Array.from(this.#counts),
      extents: {
        offsets: Float64Array.from(this.#offsets),
        lengths: Uint32Array.from(this.#lengths),
        digests: concatBytes(this.#digests),
      },
      packs: Uint32Array.from(this.#packs),
      readers: [...this.#readers.values()].map(({ reader }) => reader),
      close: () => this.#close(),
    };
  }

  #close(): void {
    for (const { reader } of this.#readers.values()) reader.close();
  }

  /** Depth first, with a stack: the last pushed is the next in NAR order. */
  #walk(root: Node): void {
    const stack = [{ name: new Uint8Array(0), node: root, parent: 0xffffffff }];
    for (let top = stack.pop(); top !== undefined; top = stack.pop()) {
      const { name, node, parent } = top;
      const index = this.#kinds.length;
      this.#add(name, node, parent);
      if (node.type !== "directory") continue;
      const directory = this.#store.directories.getSync(node.digest);
      if (directory === undefined) throw missingDirectory(node.digest);
      this.#sizes[index] = directory.entries.length;
      for (const entry of [...directory.entries].reverse())
        stack.push({ ...entry, name: entry.name.slice(), parent: index });
    }
  }

  #add(name: Uint8Array, node: Node, parent: number): void {
    const target = node.type === "symlink" ? node.target : new Uint8Array(0);
    const kind =
      node.type === "directory"
        ? DIRECTORY
        : node.type === "symlink"
          ? SYMLINK
          : node.executable
            ? EXECUTABLE
            : REGULAR;
    this.#kinds.push(kind);
    this.#parents.push(parent);
    this.#text.push(name, target);
    this.#ends.push(this.#textLength + name.length);
    this.#textLength += name.length + target.length;
    this.#ends.push(this.#textLength);
    this.#sizes.push(node.type === "file" ? node.size : target.length);
    if (node.type === "file") this.#addFile(node);
  }

  #addFile(node: Node & { type: "file" }): void {
    const chunks = blobChunks(this.#store, node.digest);
    const size = chunks.reduce((sum, chunk) => sum + chunk.size, 0);
    if (size !== node.size) throw corrupt(node.digest, `the tree gives it ${node.size} bytes, the store has ${size}`);
    this.#counts.push(chunks.length);
    for (const chunk of chunks) {
      this.#digests.push(chunk.digest);
      this.#store.blobs.atPlace(chunk, ({ pack, offset, length }) => {
        this.#packs.push(this.#reader(pack));
        this.#offsets.push(offset);
        this.#lengths.push(length);
      });
    }
  }

  #reader(pack: number): number {
    const known = this.#readers.get(pack);
    if (known) return known.index;
    const index = this.#readers.size;
    this.#readers.set(pack, { index, reader: PackReader.open(this.#store.packs.path(pack)) });
    return index;
  }
}
