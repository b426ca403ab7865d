// Blobs in an object store: chunks as compressed objects, and chunk lists for blobs of more than one.
//
//   chunks/b3/<4 hex digits>/<64 hex digits>   one chunk, a zstd frame
//   blobs/b3/<4 hex digits>/<64 hex digits>    the chunk list of a blob (StatBlobResponse) of more than one chunk
//
// A chunk is read whole and verified; a range reads the chunks it covers.
import { equalBytes } from "../../base/bytes.ts";
import { asBytes, asNumber, ProtoWriter, readFields } from "../../base/protobuf.ts";
import { blake3, blake3Blobs } from "../../native/blake3.ts";
import { chunkLengths, DEFAULT_AVERAGE } from "../../native/chunk.ts";
import { asDigest, type Digest, digestHex, digestKey, EMPTY_DIGEST } from "../digest.ts";
import { mapBounded, type ObjectStore } from "../object/service.ts";
import { compress, decompress } from "../object/zstd.ts";
import { type Chunk, ChunkCache, CHUNK_LIMIT, ChunkedReader, ChunkedWriter, chunkMeta, cutChunks } from "./chunked.ts";
import { bytesReader, corrupt } from "./range.ts";
import type { BlobReader, BlobService, BlobWriter, ChunkMeta } from "./service.ts";

/** Blobs up to this length are one chunk. */
const MIN_CHUNK = DEFAULT_AVERAGE / 2;
const WIDTH = 16;
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
  readonly #cache: ChunkCache;

  constructor(objects: ObjectStore) {
    this.#objects = objects;
    this.#cache = new ChunkCache(CACHED_CHUNKS, ({ digest }) => this.#chunk(digest));
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

  /** A chunk's key is tried first: most blobs are one chunk, and one request is all they cost. */
  async openRead(digest: Digest): Promise<BlobReader | undefined> {
    if (equalBytes(digest, EMPTY_DIGEST)) return bytesReader(new Uint8Array(0));
    const whole = await this.#fetch(digest);
    if (whole) return bytesReader(whole);
    const list = await this.#objects.get(shardedKey("blobs", digest));
    return list && new ChunkedReader(decodeStat(list), this.#cache);
  }

  async #chunk(digest: Digest): Promise<Uint8Array> {
    const bytes = await this.#fetch(digest);
    if (bytes) return bytes;
    throw corrupt(digest, "a blob refers to this chunk, and the object store does not have it");
  }

  async #fetch(digest: Digest): Promise<Uint8Array | undefined> {
    const key = shardedKey("chunks", digest);
    const frame = await this.#objects.get(key);
    if (frame === undefined) return undefined;
    const bytes = await decompress(frame, CHUNK_LIMIT);
    if (!equalBytes(blake3(bytes), digest)) throw corrupt(digest, `object ${key} holds other bytes`);
    return bytes;
  }

  async put(blobs: readonly Uint8Array[]): Promise<Digest[]> {
    const digests = blake3Blobs(blobs).map(asDigest);
    const cuts = blobs.map((bytes, i) =>
      bytes.length <= MIN_CHUNK ? [{ digest: digests[i] as Digest, bytes }] : cutChunks(bytes, chunkLengths(bytes)),
    );
    // All chunks of all blobs are asked for at once.
    const fresh = await this.#store(cuts.flat());
    const lists = cuts.flatMap((chunks, i) => {
      const isNew = chunks.some(({ digest }) => fresh.has(digestKey(digest)));
      return chunks.length > 1 ? [{ digest: digests[i] as Digest, chunks: chunks.map(chunkMeta), isNew }] : [];
    });
    await this.#storeLists(lists);
    return digests;
  }

  /** Stores those that are not there; returns their keys. */
  async #store(chunks: readonly Chunk[]): Promise<ReadonlySet<string>> {
    const once = [...new Map(chunks.map((chunk) => [digestKey(chunk.digest), chunk])).values()];
    const there = await this.#objects.has(once.map((chunk) => shardedKey("chunks", chunk.digest)));
    const missing = once.filter(({ bytes }, i) => !there[i] && bytes.length > 0);
    await mapBounded(missing, WIDTH, async (chunk) =>
      this.#objects.put(shardedKey("chunks", chunk.digest), await compress(chunk.bytes)),
    );
    return new Set(missing.map(({ digest }) => digestKey(digest)));
  }

  /** A blob all of whose chunks were there is most likely there itself, and is asked for before its list is sent. */
  async #storeLists(lists: readonly ChunkList[]): Promise<void> {
    const known = lists.filter(({ isNew }) => !isNew);
    const there = await this.#objects.has(known.map(({ digest }) => shardedKey("blobs", digest)));
    const missing = [...lists.filter(({ isNew }) => isNew), ...known.filter((_, i) => !there[i])];
    await mapBounded(missing, WIDTH, ({ digest, chunks }) =>
      this.#objects.put(shardedKey("blobs", digest), encodeStat(chunks)),
    );
  }

  openWrite(): BlobWriter {
    let isNew = false;
    return new ChunkedWriter({
      store: async (chunks) => {
        isNew = (await this.#store(chunks)).size > 0 || isNew;
      },
      finish: async (digest, chunks) => {
        if (chunks.length > 1) await this.#storeLists([{ digest, chunks, isNew }]);
      },
    });
  }
}

/** The chunks of a blob of more than one. */
interface ChunkList {
  readonly digest: Digest;
  readonly chunks: readonly ChunkMeta[];
  /** Whether one of them has just come. */
  readonly isNew: boolean;
}
