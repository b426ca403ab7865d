// Blobs in an object store: chunks as compressed objects, and chunk lists for blobs of more than one.
//
//   chunks/b3/<4 hex digits>/<64 hex digits>   one chunk, a zstd frame
//   blobs/b3/<4 hex digits>/<64 hex digits>    the chunk list of a blob (StatBlobResponse); empty for 0 or 1 chunks
//
// A chunk is read whole and verified; a range reads the chunks it covers.
import { concatBytes, equalBytes } from "../../base/bytes.ts";
import { asBytes, asNumber, ProtoWriter, readFields } from "../../base/protobuf.ts";
import { Blake3, blake3 } from "../../native/blake3.ts";
import { Chunker, chunkLengths } from "../../native/chunk.ts";
import { asDigest, type Digest, digestHex, digestKey, digestOf, EMPTY_DIGEST } from "../digest.ts";
import { mapBounded, type ObjectStore } from "../object/service.ts";
import { compress, decompress } from "../object/zstd.ts";
import { bytesReader, clampRange, corrupt, writerClosed } from "./range.ts";
import type { BlobReader, BlobService, BlobWriter, ChunkMeta } from "./service.ts";

/** Longest chunk accepted from others, in bytes: a bound on what a hostile object can make us hold. */
const CHUNK_LIMIT = 64 << 20;
const WIDTH = 8;
const WRITE_BUFFER = 4 << 20;
/** Chunks that readers of one service keep, so that small reads in a row fetch once. */
const CACHED_CHUNKS = 16;

/** The key of an object named by a digest: sharded by its first two bytes. */
export function shardedKey(kind: string, digest: Digest): string {
  const hex = digestHex(digest);
  return `${kind}/b3/${hex.slice(0, 4)}/${hex}`;
}

/** A chunk list as the protocol's StatBlobResponse. */
export function encodeStat(chunks: readonly ChunkMeta[]): Uint8Array {
  const out = new ProtoWriter();
  for (const { digest, size } of chunks) out.element(2, new ProtoWriter().bytes(1, digest).number(2, size).finish());
  return out.finish();
}

/** The inverse of {@link encodeStat}. @throws TvixError `ERR_PROTOBUF`, `ERR_CASTORE_DIGEST` */
export function decodeStat(bytes: Uint8Array): ChunkMeta[] {
  const chunks: ChunkMeta[] = [];
  for (const field of readFields(bytes)) {
    if (field.field !== 2) continue;
    let digest: Uint8Array = new Uint8Array(0);
    let size = 0;
    for (const inner of readFields(asBytes(field))) {
      if (inner.field === 1) digest = asBytes(inner).slice();
      else if (inner.field === 2) size = asNumber(inner);
    }
    chunks.push({ digest: asDigest(digest), size });
  }
  return chunks;
}

/** Blobs in an object store. */
export class ObjectBlobService implements BlobService {
  readonly #objects: ObjectStore;
  readonly #cache = new Map<string, Uint8Array>();

  constructor(objects: ObjectStore) {
    this.#objects = objects;
  }

  async has(digests: readonly Digest[]): Promise<boolean[]> {
    const asChunks = await this.#objects.has(digests.map((digest) => shardedKey("chunks", digest)));
    const rest = digests.filter((_, i) => !asChunks[i]);
    const asBlobs = await this.#objects.has(rest.map((digest) => shardedKey("blobs", digest)));
    const found = asBlobs.values();
    return digests.map(
      (digest, i) => asChunks[i] === true || found.next().value === true || equalBytes(digest, EMPTY_DIGEST),
    );
  }

  async chunks(digest: Digest): Promise<readonly ChunkMeta[] | undefined> {
    const list = await this.#objects.get(shardedKey("blobs", digest));
    if (list) return decodeStat(list);
    return (await this.has([digest]))[0] ? [] : undefined;
  }

  async openRead(digest: Digest): Promise<BlobReader | undefined> {
    if (equalBytes(digest, EMPTY_DIGEST)) return bytesReader(new Uint8Array(0));
    const list = await this.#objects.get(shardedKey("blobs", digest));
    const chunks = list ? decodeStat(list) : [];
    if (chunks.length > 0) return new ObjectBlobReader(chunks, (chunk) => this.#chunk(chunk.digest));
    const whole = await this.#fetch(digest);
    return whole && bytesReader(whole);
  }

  async #chunk(digest: Digest): Promise<Uint8Array> {
    const key = digestKey(digest);
    const cached = this.#cache.get(key);
    if (cached) return cached;
    const bytes = await this.#fetch(digest);
    if (bytes === undefined)
      throw corrupt(digest, "a blob refers to this chunk, and the object store does not have it");
    this.#cache.set(key, bytes);
    for (const old of this.#cache.keys()) {
      if (this.#cache.size <= CACHED_CHUNKS) break;
      this.#cache.delete(old);
    }
    return bytes;
  }

  async #fetch(digest: Digest): Promise<Uint8Array | undefined> {
    const key = shardedKey("chunks", digest);
    const frame = await this.#objects.get(key);
    if (frame === undefined) return undefined;
    const bytes = decompress(frame, CHUNK_LIMIT);
    if (!equalBytes(blake3(bytes), digest)) throw corrupt(digest, `object ${key} holds other bytes`);
    return bytes;
  }

  async put(blobs: readonly Uint8Array[]): Promise<Digest[]> {
    return await mapBounded(blobs, WIDTH, async (bytes) => {
      const digest = digestOf(bytes);
      const chunks = cut(bytes, chunkLengths(bytes));
      await this.#store(chunks);
      await this.#storeList(digest, chunks.map(toMeta));
      return digest;
    });
  }

  async #store(chunks: readonly Cut[]): Promise<void> {
    const there = await this.#objects.has(chunks.map((chunk) => shardedKey("chunks", chunk.digest)));
    const missing = chunks.filter((_, i) => !there[i]);
    await mapBounded(missing, WIDTH, (chunk) =>
      this.#objects.put(shardedKey("chunks", chunk.digest), compress(chunk.bytes)),
    );
  }

  async #storeList(digest: Digest, chunks: readonly ChunkMeta[]): Promise<void> {
    await this.#objects.put(shardedKey("blobs", digest), chunks.length > 1 ? encodeStat(chunks) : new Uint8Array(0));
  }

  openWrite(): BlobWriter {
    const hash = new Blake3();
    const chunker = new Chunker();
    const list: ChunkMeta[] = [];
    let pending: Uint8Array[] = [];
    let pendingLength = 0;
    let lengths: number[] = [];
    let turn: Promise<void> = Promise.resolve();
    let state: "open" | "aborted" | Promise<Digest> = "open";
    const drain = async () => {
      const joined = concatBytes(pending);
      const chunks = cut(joined, lengths);
      const used = lengths.reduce((sum, length) => sum + length, 0);
      lengths = [];
      pending = [joined.slice(used)];
      pendingLength = joined.length - used;
      list.push(...chunks.map(toMeta));
      await this.#store(chunks);
    };
    const finish = async () => {
      await turn;
      lengths.push(...chunker.end());
      await drain();
      const digest = asDigest(hash.digest());
      await this.#storeList(digest, list);
      return digest;
    };
    return {
      write: async (bytes) => {
        if (state !== "open") throw writerClosed();
        hash.update(bytes);
        lengths.push(...chunker.push(bytes));
        pending.push(bytes.slice());
        pendingLength += bytes.length;
        if (pendingLength < WRITE_BUFFER) return;
        turn = turn.then(drain);
        await turn;
      },
      close: () => {
        if (state === "aborted") return Promise.reject(writerClosed());
        if (state === "open") state = finish();
        return state;
      },
      abort: () => {
        if (state === "open") state = "aborted";
      },
    };
  }
}

interface Cut {
  readonly digest: Digest;
  readonly bytes: Uint8Array;
}

const toMeta = ({ digest, bytes }: Cut): ChunkMeta => ({ digest, size: bytes.length });

function cut(bytes: Uint8Array, lengths: Iterable<number>): Cut[] {
  const out: Cut[] = [];
  let at = 0;
  for (const length of lengths) {
    const piece = bytes.subarray(at, at + length);
    out.push({ digest: digestOf(piece), bytes: piece });
    at += length;
  }
  return out;
}

/** Reads a blob chunk by chunk, one chunk ahead. */
class ObjectBlobReader implements BlobReader {
  readonly size: number;
  readonly #chunks: readonly (ChunkMeta & { readonly start: number })[];
  readonly #fetch: (chunk: ChunkMeta) => Promise<Uint8Array>;

  constructor(chunks: readonly ChunkMeta[], fetch: (chunk: ChunkMeta) => Promise<Uint8Array>) {
    let start = 0;
    this.#chunks = chunks.map((chunk) => {
      start += chunk.size;
      return { ...chunk, start: start - chunk.size };
    });
    this.size = start;
    this.#fetch = fetch;
  }

  async read(offset: number, length: number): Promise<Uint8Array> {
    const { start, end } = clampRange(this.size, offset, length);
    const out = new Uint8Array(end - start);
    let at = 0;
    for await (const piece of this.stream(start, end)) {
      out.set(piece, at);
      at += piece.length;
    }
    return out;
  }

  async *stream(start = 0, end: number = this.size): AsyncGenerator<Uint8Array> {
    const range = clampRange(this.size, start, end - start);
    const covered = this.#chunks.filter((chunk) => chunk.start + chunk.size > range.start && chunk.start < range.end);
    let ahead = covered[0] && this.#checked(covered[0]);
    for (const [i, chunk] of covered.entries()) {
      const bytes = (await ahead) as Uint8Array;
      const next = covered[i + 1];
      ahead = next && this.#checked(next);
      yield bytes.slice(Math.max(0, range.start - chunk.start), range.end - chunk.start);
    }
  }

  #checked(chunk: ChunkMeta): Promise<Uint8Array> {
    const fetching = this.#fetch(chunk).then((bytes) => {
      if (bytes.length === chunk.size) return bytes;
      throw corrupt(chunk.digest, `a blob's list gives it ${chunk.size} bytes, it has ${bytes.length}`);
    });
    // Its consumer may stop before it gets here; the failure is then nobody's.
    fetching.catch(() => {});
    return fetching;
  }
}
