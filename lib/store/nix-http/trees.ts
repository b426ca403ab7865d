// Trees from a cache that keeps them as trees: only what is missing is fetched, in bulk, for many paths at once.
//
// Three questions, each a POST of digests, 32 bytes each, one behind the other; the answers come in the order asked,
// each as its length (u32, big-endian) and that many bytes, or as 0xffffffff for what the cache does not have:
//
//   castore/directories   canonical bytes of directories
//   castore/chunks        how blobs are cut, as StatBlobResponse; empty for those that are not
//   castore/blobs         contents of blobs, or of chunks
//
// And `GET castore/blobs/<64 hex digits>` for one blob of any size. `lib/server` answers them. All that comes is checked
// against the digest that was asked for before it is stored. What such a tree is worth is another question: its root is
// no part of what a cache signs, so that its NAR has to be hashed when it is whole.
import { concatBytes, equalBytes } from "../../base/bytes.ts";
import { TvixError } from "../../base/error.ts";
import { decodeStat } from "../../castore/blob/object.ts";
import { readBlob } from "../../castore/blob/range.ts";
import type { ChunkMeta } from "../../castore/blob/service.ts";
import { type Digest, digestHex, digestKey, digestOf, digestText } from "../../castore/digest.ts";
import { Directory } from "../../castore/directory.ts";
import type { FileNode, Node } from "../../castore/node.ts";
import { mapBounded } from "../../castore/object/service.ts";
import type { OperationOptions } from "../../castore/progress.ts";
import type { Castore } from "../../castore/tree.ts";
import type { Fetcher } from "./fetch.ts";

/** Digests in one question at most. */
export const BULK_DIGESTS = 4096;
/** Bytes of contents that a client asks for at once. */
const BULK_BYTES = 8 << 20;
/** Files longer than this are fetched chunk by chunk. */
const LARGE = 1 << 20;
/** Length of an answer that says "not here". */
export const ABSENT = 0xffffffff;
const DIRECTORY_MAX = 256 << 20;
const STAT_MAX = 64 << 20;
const AT_ONCE = 3;

/** Fetches trees into a castore. */
export class TreeFetcher {
  readonly #fetcher: Fetcher;
  readonly #to: Castore;
  readonly #options: OperationOptions;
  /** Bytes that may still come: no tree has more than its NAR. */
  #budget: number;
  #fetched = 0;

  /** @param budget the sum of the sizes of the NARs whose trees are fetched */
  constructor(fetcher: Fetcher, to: Castore, budget: number, options: OperationOptions = {}) {
    this.#fetcher = fetcher;
    this.#to = to;
    this.#budget = budget;
    this.#options = options;
  }

  /** Bytes of contents that came. */
  get fetched(): number {
    return this.#fetched;
  }

  /**
   * Fetches what is missing of the trees below `roots`; false when the cache does not answer such questions.
   * @throws TvixError `ERR_CACHE_TREE` when an answer is not what was asked for, `ERR_HTTP_…`
   */
  async fetch(roots: readonly Node[]): Promise<boolean> {
    const files = new Map<string, FileNode>();
    for (const root of roots) if (root.type === "file") files.set(digestKey(root.digest), root);
    const directories = await this.#directories(roots, files);
    if (directories === undefined) return false;
    await this.#sizesAgree(directories);
    if (!(await this.#blobs([...files.values()]))) return false;
    // Children before parents, so that a directory that is there has all that is below it.
    await this.#to.directories.put([...directories.values()].reverse());
    return true;
  }

  /** Level by level, those that are missing; their files are added to `files`. */
  async #directories(
    roots: readonly Node[],
    files: Map<string, FileNode>,
  ): Promise<Map<string, Directory> | undefined> {
    const found = new Map<string, Directory>();
    let level = new Map<string, Digest>();
    for (const root of roots) if (root.type === "directory") level.set(digestKey(root.digest), root.digest);
    while (level.size > 0) {
      const digests = [...level.values()];
      const there = await this.#to.directories.has(digests);
      const missing = digests.filter((_, i) => !there[i]);
      level = new Map();
      for (let at = 0; at < missing.length; at += BULK_DIGESTS) {
        const asked = missing.slice(at, at + BULK_DIGESTS);
        const answers = await this.#ask("castore/directories", asked, asked.length * 4 + DIRECTORY_MAX);
        if (answers === undefined) return undefined;
        for (const [i, bytes] of answers.entries()) {
          const digest = asked[i] as Digest;
          this.#spend(bytes.length);
          const directory = Directory.decode(checked(bytes, digest).slice());
          // Moved to the end when it was met before: parents stay before their children.
          found.delete(digestKey(digest));
          found.set(digestKey(digest), directory);
          for (const { node } of directory.entries) {
            if (node.type === "file") files.set(digestKey(node.digest), node);
            else if (node.type === "directory") level.set(digestKey(node.digest), node.digest);
          }
        }
      }
    }
    return found;
  }

  /** What a directory says of the size of another must be so: nobody else checks it. */
  async #sizesAgree(directories: ReadonlyMap<string, Directory>): Promise<void> {
    for (const directory of directories.values()) {
      for (const child of directory.directories()) {
        const is = directories.get(digestKey(child.digest)) ?? (await this.#to.directories.get(child.digest));
        if (is?.size === child.size) continue;
        const text = `${digestText(directory.digest())} records size ${child.size} for ${digestText(child.digest)}`;
        throw treeError(`${text}, whose size is ${is?.size}`);
      }
    }
  }

  async #blobs(files: readonly FileNode[]): Promise<boolean> {
    const there = await this.#to.blobs.has(files.map((file) => file.digest));
    const missing = files.filter((_, i) => !there[i]);
    const small = missing.filter((file) => file.size <= LARGE);
    const put = async (batch: readonly ChunkMeta[]): Promise<boolean> => {
      const bytes = await this.#contents(batch);
      if (bytes === undefined) return false;
      await this.#to.blobs.put(bytes);
      return true;
    };
    const results = await mapBounded(batches(small), AT_ONCE, put);
    if (results.includes(false)) return false;
    for (const file of missing) {
      if (file.size > LARGE && !(await this.#large(file))) return false;
    }
    return true;
  }

  /** A file chunk by chunk; those that are here already, from another file perhaps, are not fetched. */
  async #large(file: FileNode): Promise<boolean> {
    const [stat] = (await this.#ask("castore/chunks", [file.digest], STAT_MAX)) ?? [];
    if (stat === undefined) return false;
    const chunks = decodeStat(stat);
    if (chunks.reduce((sum, chunk) => sum + chunk.size, 0) !== (chunks.length > 0 ? file.size : 0)) {
      throw treeError(`the chunks of ${digestText(file.digest)} do not have its ${file.size} bytes together`);
    }
    const writer = this.#to.blobs.openWrite();
    try {
      const pieces = chunks.length > 0 ? this.#assembled(chunks) : this.#whole(file);
      for await (const piece of pieces) await writer.write(piece);
      const digest = await writer.close();
      if (!equalBytes(digest, file.digest)) throw treeError(`${digestText(file.digest)} came as ${digestText(digest)}`);
      return true;
    } finally {
      writer.abort();
    }
  }

  async *#assembled(chunks: readonly ChunkMeta[]): AsyncGenerator<Uint8Array> {
    for (const batch of batches(chunks)) {
      const there = await this.#to.blobs.has(batch.map((chunk) => chunk.digest));
      const fetched = (await this.#contents(batch.filter((_, i) => !there[i])))?.values();
      if (fetched === undefined) throw treeError("it has stopped answering");
      for (const [i, chunk] of batch.entries()) {
        yield there[i] ? await readBlob(this.#to.blobs, chunk.digest) : (fetched.next().value as Uint8Array);
      }
    }
  }

  async *#whole(file: FileNode): AsyncGenerator<Uint8Array> {
    const path = `castore/blobs/${digestHex(file.digest)}`;
    const pieces = await this.#fetcher.stream(path, file.size, this.#options.signal);
    if (pieces === undefined) throw treeError(`it does not have ${digestText(file.digest)}`);
    for await (const piece of pieces) {
      this.#spend(piece.length);
      this.#fetched += piece.length;
      yield piece;
    }
  }

  async #contents(blobs: readonly ChunkMeta[]): Promise<Uint8Array[] | undefined> {
    if (blobs.length === 0) return [];
    const size = blobs.reduce((sum, blob) => sum + blob.size, 0);
    this.#spend(size);
    const digests = blobs.map((blob) => blob.digest);
    const answers = await this.#ask("castore/blobs", digests, size + 4 * blobs.length);
    for (const [i, bytes] of answers?.entries() ?? []) {
      const { digest, size: wanted } = blobs[i] as ChunkMeta;
      if (bytes.length !== wanted) throw treeError(`${digestText(digest)} has ${bytes.length} bytes, not ${wanted}`);
      checked(bytes, digest);
    }
    this.#fetched += answers === undefined ? 0 : size;
    return answers;
  }

  async #ask(path: string, digests: readonly Digest[], limit: number): Promise<Uint8Array[] | undefined> {
    const { signal } = this.#options;
    signal?.throwIfAborted();
    const bytes = await this.#fetcher.post(path, concatBytes(digests), limit, signal);
    return bytes && readAnswers(bytes, digests);
  }

  #spend(bytes: number): void {
    this.#budget -= bytes;
    if (this.#budget < 0) throw treeError("its trees are larger than their NARs");
  }
}

/** Groups blobs so that each group can be asked for and held at once. */
function batches<Blob extends { readonly size: number }>(blobs: readonly Blob[]): Blob[][] {
  const out: Blob[][] = [];
  let batch: Blob[] = [];
  let bytes = 0;
  for (const blob of blobs) {
    if (batch.length === BULK_DIGESTS || (batch.length > 0 && bytes + blob.size > BULK_BYTES)) {
      out.push(batch);
      batch = [];
      bytes = 0;
    }
    batch.push(blob);
    bytes += blob.size;
  }
  if (batch.length > 0) out.push(batch);
  return out;
}

function readAnswers(bytes: Uint8Array, digests: readonly Digest[]): Uint8Array[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const out: Uint8Array[] = [];
  let at = 0;
  for (const digest of digests) {
    const length = bytes.length - at < 4 ? undefined : view.getUint32(at);
    if (length === ABSENT) throw treeError(`it does not have ${digestText(digest)}`);
    if (length === undefined || length > bytes.length - at - 4) throw treeError("an answer is cut short");
    out.push(bytes.subarray(at + 4, at + 4 + length));
    at += 4 + length;
  }
  if (at !== bytes.length) throw treeError("it answers more than was asked");
  return out;
}

function checked(bytes: Uint8Array, digest: Digest): Uint8Array {
  if (equalBytes(digestOf(bytes), digest)) return bytes;
  throw treeError(`other bytes came for ${digestText(digest)}`);
}

function treeError(why: string): TvixError {
  return new TvixError("ERR_CACHE_TREE", `the cache does not give the trees that it names: ${why}`);
}
