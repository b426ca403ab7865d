// Marking: everything that trees reach in a local store, for collection.
import type { Digest } from "../digest.ts";
import { missingDirectory } from "../directory/closure.ts";
import type { Node } from "../node.ts";
import { decodeChunkList } from "./blobs.ts";
import { DigestSet } from "./digest-set.ts";
import type { LocalStore } from "./store.ts";

/** Nodes between two pauses of a walk. */
const PAUSE = 1024;

/**
 * What is alive. A directory marked has everything below it marked, so a second walk over the same tree is short.
 * With a `base`, what that has marked counts as marked and is not added again.
 */
export class Marker {
  readonly #store: LocalStore;
  readonly #base: Marker | undefined;
  readonly #directories = new DigestSet();
  readonly #blobs = new DigestSet();
  readonly #chunks = new DigestSet();
  /** Bytes of the chunks marked. */
  bytes = 0;

  constructor(store: LocalStore, base?: Marker) {
    this.#store = store;
    this.#base = base;
  }

  hasDirectory(digest: Digest): boolean {
    return this.#directories.has(digest) || this.#base?.hasDirectory(digest) === true;
  }

  hasBlob(digest: Digest): boolean {
    return this.#blobs.has(digest) || this.#base?.hasBlob(digest) === true;
  }

  hasChunk(digest: Digest): boolean {
    return this.#chunks.has(digest) || this.#base?.hasChunk(digest) === true;
  }

  /** Whether a root has been marked. */
  has(node: Node): boolean {
    if (node.type === "directory") return this.hasDirectory(node.digest);
    return node.type === "symlink" || node.size === 0 || this.hasChunk(node.digest) || this.hasBlob(node.digest);
  }

  /** Objects marked. */
  get size(): number {
    return this.#directories.size + this.#blobs.size + this.#chunks.size;
  }

  /** Marks a tree in one go. */
  mark(root: Node): void {
    for (const _ of this.walk(root));
  }

  /**
   * Marks a tree, pausing every so often.
   * @throws TvixError `ERR_CASTORE_MISSING`, `ERR_CASTORE_CORRUPT` for a directory that cannot be read: what is below it
   *   could not be told from garbage
   */
  *walk(root: Node): Generator<void> {
    const stack: Node[] = [root];
    let count = 0;
    for (let node = stack.pop(); node !== undefined; node = stack.pop()) {
      if (node.type === "file") this.#markFile(node.digest);
      else if (node.type === "directory" && !this.hasDirectory(node.digest)) {
        const directory = this.#store.directories.getSync(node.digest);
        if (directory === undefined) throw missingDirectory(node.digest);
        this.#directories.add(node.digest);
        for (const entry of directory.entries) if (entry.node.type !== "symlink") stack.push(entry.node);
      }
      if (++count % PAUSE === 0) yield;
    }
  }

  #markFile(digest: Digest): void {
    if (this.hasChunk(digest) || this.hasBlob(digest)) return;
    const list = this.#store.index.blobs.getSealed(digest);
    if (list === undefined) {
      this.#markChunk(digest);
      return;
    }
    this.#blobs.add(digest);
    for (const chunk of decodeChunkList(list)) this.#markChunk(chunk.digest);
  }

  #markChunk(digest: Digest): void {
    if (this.hasChunk(digest)) return;
    this.#chunks.add(digest);
    this.bytes += this.#store.blobs.locate(digest)?.length ?? 0;
  }

  /** Adds all that a marker based on this one has marked. */
  absorb(other: Marker): void {
    for (const digest of other.#directories) this.#directories.add(digest);
    for (const digest of other.#blobs) this.#blobs.add(digest);
    for (const digest of other.#chunks) this.#chunks.add(digest);
    this.bytes += other.bytes;
  }
}
