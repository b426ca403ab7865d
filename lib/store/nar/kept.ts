// A castore that keeps here what is sent to another one far away: to be read again without being fetched back.
import type { BlobReader, BlobService, BlobWriter, ChunkMeta } from "../../castore/blob/service.ts";
import { clampRange } from "../../castore/blob/range.ts";
import { asDigest, type Digest, digestKey, digestOf } from "../../castore/digest.ts";
import { walkClosure } from "../../castore/directory/closure.ts";
import type { DirectoryService } from "../../castore/directory/service.ts";
import type { Directory } from "../../castore/directory.ts";
import type { Castore } from "../../castore/tree.ts";
import { Blake3 } from "../../native/blake3.ts";
import { Spool } from "./spool.ts";

/** Bytes of contents kept in memory; what comes beyond goes to a file without a name. */
const MEMORY = 32 << 20;
const PIECE = 1 << 20;

/** A far castore and what has gone there through here. What was there before is read from there. */
export class KeptCastore implements Castore {
  readonly blobs: KeptBlobs;
  readonly directories: KeptDirectories;

  constructor(far: Castore, memory: number = MEMORY) {
    this.blobs = new KeptBlobs(far.blobs, memory);
    this.directories = new KeptDirectories(far.directories);
  }

  /** Lets go of what was kept. Idempotent. */
  close(): Promise<void> {
    return this.blobs.close();
  }
}

/** A part of a blob in the spool. */
interface Extent {
  readonly at: number;
  readonly length: number;
}

class KeptBlobs implements BlobService {
  readonly #far: BlobService;
  /** Contents by digest: the bytes, or where they are in the spool. */
  readonly #kept = new Map<string, Uint8Array | readonly Extent[]>();
  readonly #spool = new Spool(0);
  /** Bytes that may still be held. */
  #room: number;
  /** The last use of the spool, which takes one at a time. */
  #turn: Promise<unknown> = Promise.resolve();

  constructor(far: BlobService, memory: number) {
    this.#far = far;
    this.#room = memory;
  }

  has(digests: readonly Digest[]): Promise<boolean[]> {
    return this.#far.has(digests);
  }

  chunks(digest: Digest): Promise<readonly ChunkMeta[] | undefined> {
    return this.#far.chunks(digest);
  }

  async put(blobs: readonly Uint8Array[]): Promise<Digest[]> {
    const digests = await this.#far.put(blobs);
    for (const bytes of blobs) {
      // Under its own digest, whatever is said far away.
      const key = digestKey(digestOf(bytes));
      if (this.#kept.has(key)) continue;
      this.#room -= bytes.length;
      this.#kept.set(key, this.#room >= 0 ? bytes.slice() : [await this.#append(bytes)]);
    }
    return digests;
  }

  openWrite(): BlobWriter {
    const writer = this.#far.openWrite();
    const hash = new Blake3();
    const extents: Extent[] = [];
    let isOpen = true;
    return {
      write: async (bytes) => {
        await writer.write(bytes);
        hash.update(bytes);
        extents.push(await this.#append(bytes));
      },
      close: async () => {
        const digest = await writer.close();
        if (isOpen) this.#kept.set(digestKey(asDigest(hash.digest())), extents);
        isOpen = false;
        return digest;
      },
      abort: () => writer.abort(),
    };
  }

  async openRead(digest: Digest): Promise<BlobReader | undefined> {
    const kept = this.#kept.get(digestKey(digest));
    if (kept === undefined) return await this.#far.openRead(digest);
    const size = kept instanceof Uint8Array ? kept.length : kept.reduce((sum, { length }) => sum + length, 0);
    const read = async (offset: number, length: number): Promise<Uint8Array> => {
      const { start, end } = clampRange(size, offset, length);
      return kept instanceof Uint8Array ? kept.slice(start, end) : await this.#gather(kept, start, end);
    };
    const stream = async function* (from = 0, to = size): AsyncGenerator<Uint8Array> {
      const { start, end } = clampRange(size, from, to - from);
      for (let at = start; at < end; at += PIECE) yield await read(at, Math.min(PIECE, end - at));
    };
    return { size, read, stream };
  }

  async close(): Promise<void> {
    this.#kept.clear();
    await this.#inTurn(() => this.#spool.close());
  }

  async #append(bytes: Uint8Array): Promise<Extent> {
    return await this.#inTurn(async () => {
      const at = this.#spool.size;
      await this.#spool.write(bytes);
      return { at, length: bytes.length };
    });
  }

  /** Bytes `start` to `end` of a blob that lies in the spool. */
  async #gather(extents: readonly Extent[], start: number, end: number): Promise<Uint8Array> {
    const out = new Uint8Array(end - start);
    let before = 0;
    for (const { at, length } of extents) {
      const from = Math.max(start, before);
      const to = Math.min(end, before + length);
      if (from < to) out.set(await this.#inTurn(() => this.#spool.read(at + from - before, to - from)), from - start);
      before += length;
    }
    return out;
  }

  async #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#turn.then(work);
    this.#turn = turn.catch(() => undefined);
    return await turn;
  }
}

class KeptDirectories implements DirectoryService {
  readonly #far: DirectoryService;
  readonly #kept = new Map<string, Directory>();

  constructor(far: DirectoryService) {
    this.#far = far;
  }

  has(digests: readonly Digest[]): Promise<boolean[]> {
    return this.#far.has(digests);
  }

  async get(digest: Digest): Promise<Directory | undefined> {
    return this.#kept.get(digestKey(digest)) ?? (await this.#far.get(digest));
  }

  async put(directories: readonly Directory[]): Promise<Digest[]> {
    for (const directory of directories) this.#kept.set(digestKey(directory.digest()), directory);
    return await this.#far.put(directories);
  }

  async *getClosure(root: Digest): AsyncGenerator<Directory> {
    if (this.#kept.has(digestKey(root))) yield* walkClosure((digest) => this.get(digest), root);
    else yield* this.#far.getClosure(root);
  }

  async putClosure(directories: Iterable<Directory> | AsyncIterable<Directory>): Promise<Digest> {
    const all: Directory[] = [];
    for await (const directory of directories) all.push(directory);
    const root = await this.#far.putClosure(all);
    for (const directory of all) this.#kept.set(digestKey(directory.digest()), directory);
    return root;
  }
}
