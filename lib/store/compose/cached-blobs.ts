// Blobs near by in front of blobs far away: what is read is kept, long blobs in pieces.
//
// A piece is kept under its own digest. Which digest the piece of a blob at some place has is known by having read it,
// verified, from the far store, and remembered in memory; nobody's word is taken for it.
import { equalBytes } from "../../base/bytes.ts";
import { bytesReader, clampRange, corrupt, readBlob } from "../../castore/blob/range.ts";
import type { BlobReader, BlobService, BlobWriter, ChunkMeta } from "../../castore/blob/service.ts";
import { type Digest, digestKey } from "../../castore/digest.ts";

/** Longer blobs are read in pieces of this many bytes. */
const PIECE = 512 << 10;
/** Pieces whose digests are remembered: those of some 50 GB. */
const PIECES = 100_000;

/** Reads from `near`, then from each of `far`; writes to all `targets`. */
export class CachedBlobService implements BlobService {
  readonly #near: BlobService;
  readonly #far: readonly BlobService[];
  readonly #targets: readonly BlobService[];
  readonly #pieces = new Map<string, Digest>();

  constructor(near: BlobService, far: readonly BlobService[], targets: readonly BlobService[]) {
    this.#near = near;
    this.#far = far;
    this.#targets = targets;
  }

  async has(digests: readonly Digest[]): Promise<boolean[]> {
    const found = await this.#near.has(digests);
    for (const far of this.#far) {
      const missing = digests.filter((_, i) => !found[i]);
      if (missing.length === 0) break;
      const there = (await far.has(missing)).values();
      for (const [i, here] of found.entries()) if (!here) found[i] = there.next().value === true;
    }
    return found;
  }

  async openRead(digest: Digest): Promise<BlobReader | undefined> {
    const near = await this.#near.openRead(digest);
    if (near) return near;
    for (const far of this.#far) {
      const reader = await far.openRead(digest);
      if (reader === undefined) continue;
      if (reader.size > PIECE)
        return new CachedReader(digest, reader, this.#near, (at, read) => this.#piece(digest, at, read));
      const bytes = await reader.read(0, reader.size);
      await this.#near.put([bytes]);
      return bytesReader(bytes);
    }
    return undefined;
  }

  /** The piece of a blob that starts at `at`: from near, else by `read`, and kept. */
  async #piece(digest: Digest, at: number, read: () => Promise<Uint8Array>): Promise<Uint8Array> {
    const key = `${digestKey(digest)}${at}`;
    const known = this.#pieces.get(key);
    if (known && (await this.#near.has([known]))[0]) return await readBlob(this.#near, known);
    const bytes = await read();
    const [piece] = await this.#near.put([bytes]);
    if (piece) this.#pieces.set(key, piece);
    if (this.#pieces.size > PIECES) {
      const [oldest] = this.#pieces.keys();
      if (oldest !== undefined) this.#pieces.delete(oldest);
    }
    return bytes;
  }

  async chunks(digest: Digest): Promise<readonly ChunkMeta[] | undefined> {
    for (const service of [this.#near, ...this.#far]) {
      const chunks = await service.chunks(digest);
      if (chunks) return chunks;
    }
    return undefined;
  }

  async put(blobs: readonly Uint8Array[]): Promise<Digest[]> {
    let digests: Digest[] = [];
    for (const target of this.#targets) digests = await target.put(blobs);
    return digests;
  }

  openWrite(): BlobWriter {
    const writers = this.#targets.map((target) => target.openWrite());
    return {
      write: async (bytes) => {
        await Promise.all(writers.map((writer) => writer.write(bytes)));
      },
      close: async () => {
        const [digest] = await Promise.all(writers.map((writer) => writer.close()));
        return digest as Digest;
      },
      abort: () => {
        for (const writer of writers) writer.abort();
      },
    };
  }
}

/** A long blob far away. */
class CachedReader implements BlobReader {
  readonly #digest: Digest;
  readonly #far: BlobReader;
  readonly #near: BlobService;
  readonly #piece: (at: number, read: () => Promise<Uint8Array>) => Promise<Uint8Array>;

  constructor(
    digest: Digest,
    far: BlobReader,
    near: BlobService,
    piece: (at: number, read: () => Promise<Uint8Array>) => Promise<Uint8Array>,
  ) {
    this.#digest = digest;
    this.#far = far;
    this.#near = near;
    this.#piece = piece;
  }

  get size(): number {
    return this.#far.size;
  }

  async read(offset: number, length: number): Promise<Uint8Array> {
    const { start, end } = clampRange(this.size, offset, length);
    const out = new Uint8Array(end - start);
    let at = 0;
    for await (const piece of this.#pieces(start, end)) {
      out.set(piece, at);
      at += piece.length;
    }
    return out;
  }

  /** All of it comes near as the blob that it is; a part comes in pieces. */
  async *stream(start = 0, end: number = this.size): AsyncGenerator<Uint8Array> {
    const range = clampRange(this.size, start, end - start);
    yield* range.start === 0 && range.end === this.size ? this.#whole() : this.#pieces(range.start, range.end);
  }

  async *#pieces(start: number, end: number): AsyncGenerator<Uint8Array> {
    for (let at = start - (start % PIECE); at < end; at += PIECE) {
      const bytes = await this.#piece(at, () => this.#far.read(at, PIECE));
      yield bytes.slice(Math.max(0, start - at), end - at);
    }
  }

  async *#whole(): AsyncGenerator<Uint8Array> {
    const writer = this.#near.openWrite();
    try {
      for await (const piece of this.#far.stream()) {
        await writer.write(piece);
        yield piece;
      }
      if (!equalBytes(await writer.close(), this.#digest)) throw corrupt(this.#digest, "a far store gave other bytes");
    } finally {
      writer.abort();
    }
  }
}
