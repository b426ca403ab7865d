// Blobs of a gRPC server, none of whose words is believed before it is checked.
//
// Reading. A small blob comes whole and is hashed. A long one is streamed: the whole is hashed on the way and its last
// piece held back until the digest is right; a range is checked, before it is handed out, against the outboard
// (outboard.ts) that the server sends, or that is made of the whole blob once when the server sends none. A chunk list
// says where to read from and how long the blob is, and is never proof of anything.
//
// Writing. What the server has already is not sent: whole blobs are asked for first, longer ones are cut into chunks
// and only missing chunks are sent (`tvix.transfer.v1`). A server without that service gets one stream a blob.
import { equalBytes } from "../../base/bytes.ts";
import { TvixError } from "../../base/error.ts";
import { blake3Blobs } from "../../native/blake3.ts";
import { asDigest, type Digest, EMPTY_DIGEST } from "../digest.ts";
import { type GrpcEndpoint, isNotFound, wrongCount } from "../grpc/endpoint.ts";
import {
  BLOBS,
  BULK_BYTES,
  BULK_DIGESTS,
  checkStored,
  readChunkList,
  SMALL_BLOB,
  TransferService,
} from "../grpc/services.ts";
import { mapBounded } from "../object/service.ts";
import { type Chunk, ChunkedWriter, CHUNK_LIMIT, type ChunkSink } from "./chunked.ts";
import { GrpcBlobReader } from "./grpc-reader.ts";
import { SmallReads } from "./grpc-small.ts";
import { bytesReader } from "./range.ts";
import type { BlobReader, BlobService, BlobWriter, ChunkMeta } from "./service.ts";

/** Calls under way for one bulk operation. */
const WIDTH = 16;
/** Blobs up to this length are held whole where nothing is known of their chunks. */
const WHOLE_LIMIT = 4 << 20;
/** Time for the server to join or take in a long blob, in milliseconds. */
const LONG = 3_600_000;

/** Blobs of a server. */
export class GrpcBlobService implements BlobService {
  readonly #endpoint: GrpcEndpoint;
  readonly #small: SmallReads;

  constructor(endpoint: GrpcEndpoint) {
    this.#endpoint = endpoint;
    this.#small = new SmallReads(endpoint);
  }

  async has(digests: readonly Digest[]): Promise<boolean[]> {
    const groups = inGroups(digests, () => 1, BULK_DIGESTS);
    return (await mapBounded(groups, WIDTH, (group) => this.#hasGroup(group))).flat();
  }

  async #hasGroup(digests: readonly Digest[]): Promise<boolean[]> {
    const found = await this.hasInBulk(digests);
    if (found) return found;
    return await mapBounded(digests, WIDTH, async (digest) => (await this.chunks(digest)) !== undefined);
  }

  /** The same in one call; `undefined` when the server has no transfer service. */
  async hasInBulk(digests: readonly Digest[]): Promise<boolean[] | undefined> {
    const answer = await this.#endpoint.callIfThere(TransferService, "Has", (client, options) =>
      client.has({ blobs: [...digests] }, options),
    );
    if (answer && answer.blobs.length !== digests.length) throw wrongCount("Has", digests.length, answer.blobs.length);
    return answer && digests.map((digest, i) => answer.blobs[i] === 1 || equalBytes(digest, EMPTY_DIGEST));
  }

  async chunks(digest: Digest): Promise<readonly ChunkMeta[] | undefined> {
    if (equalBytes(digest, EMPTY_DIGEST)) return [];
    try {
      const answer = await this.#endpoint.call(BLOBS, "BlobService.Stat", (client, options) =>
        client.stat({ digest, sendChunks: true }, options),
      );
      return readChunkList(answer, CHUNK_LIMIT);
    } catch (error) {
      if (isNotFound(error)) return undefined;
      throw error;
    }
  }

  async openRead(digest: Digest): Promise<BlobReader | undefined> {
    if (equalBytes(digest, EMPTY_DIGEST)) return bytesReader(new Uint8Array(0));
    const small = await this.#small.read(digest);
    if (small === "absent") return undefined;
    if (small instanceof Uint8Array) return bytesReader(small);
    const chunks = await this.chunks(digest);
    if (chunks === undefined) return undefined;
    if (chunks.length > 0) return new GrpcBlobReader(this.#endpoint, digest, chunks);
    return await GrpcBlobReader.openUncut(this.#endpoint, digest, WHOLE_LIMIT);
  }

  async put(blobs: readonly Uint8Array[]): Promise<Digest[]> {
    const digests = blake3Blobs(blobs).map(asDigest);
    const there = await this.has(digests);
    const missing = [...blobs.keys()].filter((i) => !there[i]);
    const long = missing.filter((i) => (blobs[i] as Uint8Array).length > BULK_BYTES);
    const short = missing.filter((i) => (blobs[i] as Uint8Array).length <= BULK_BYTES);
    const chunk = (i: number): Chunk => ({ digest: digests[i] as Digest, bytes: blobs[i] as Uint8Array });
    await this.putSmall(short.map(chunk));
    for (const i of long) {
      const writer = this.openWrite();
      await writer.write(blobs[i] as Uint8Array);
      await writer.close();
    }
    return digests;
  }

  /** Sends blobs that fit into a message. */
  async putSmall(blobs: readonly Chunk[]): Promise<void> {
    const groups = inGroups(blobs, ({ bytes }) => bytes.length + 64, BULK_BYTES);
    await mapBounded(groups, 4, async (group) => {
      const sent = await this.#endpoint.callIfThere(TransferService, "PutBlobs", (client, options) =>
        client.putBlobs({ blobs: group.map(({ bytes }) => bytes) }, options),
      );
      if (sent) {
        if (sent.digests.length !== group.length) throw wrongCount("PutBlobs", group.length, sent.digests.length);
        for (const [i, { digest }] of group.entries()) checkStored(digest, sent.digests[i] as Uint8Array);
      } else {
        await mapBounded(group, WIDTH, async ({ digest, bytes }) => {
          const stored = await this.#endpoint.call(BLOBS, "BlobService.Put", (client, options) =>
            client.put(messages(bytes), options),
          );
          checkStored(digest, stored.digest);
        });
      }
    });
  }

  openWrite(): BlobWriter {
    return new ChunkedWriter(new GrpcSink(this, this.#endpoint));
  }
}

/** Sends the chunks that the server lacks and has it join them, or sends all of them as one stream. */
class GrpcSink implements ChunkSink {
  readonly #service: GrpcBlobService;
  readonly #endpoint: GrpcEndpoint;
  #upload: Upload | undefined;

  constructor(service: GrpcBlobService, endpoint: GrpcEndpoint) {
    this.#service = service;
    this.#endpoint = endpoint;
  }

  async store(chunks: readonly Chunk[]): Promise<void> {
    if (this.#upload === undefined) {
      const there = await this.#service.hasInBulk(chunks.map(({ digest }) => digest));
      if (there) return await this.#service.putSmall(chunks.filter((_, i) => !there[i]));
      // A stream cannot be begun again, so what the server speaks is found out before.
      const [first] = chunks;
      if (first) await this.#service.chunks(first.digest);
      this.#upload = new Upload(this.#endpoint);
    }
    for (const { bytes } of chunks) await this.#upload.write(bytes);
  }

  async finish(digest: Digest, chunks: readonly ChunkMeta[]): Promise<void> {
    if (this.#upload) return checkStored(digest, await this.#upload.finish());
    if (chunks.length < 2) return;
    const joined = await this.#endpoint.callIfThere(
      TransferService,
      "JoinChunks",
      (client, options) => client.joinChunks(lists(chunks), options),
      LONG,
    );
    if (joined === undefined) {
      throw new TvixError(
        "ERR_REMOTE_UNSUPPORTED",
        "the server that took the chunks of a blob is gone, another cannot",
      );
    }
    checkStored(digest, joined.digest);
  }

  abort(): void {
    this.#upload?.abort();
  }
}

/** One blob sent as one stream, piece by piece. It cannot be begun again. */
class Upload {
  readonly #answer: Promise<Uint8Array>;
  #next: { bytes: Uint8Array | undefined; taken: () => void } | undefined;
  #wake: () => void = () => {};
  #failure: Error | undefined;

  constructor(endpoint: GrpcEndpoint) {
    const call = endpoint.call(
      BLOBS,
      "BlobService.Put",
      async (client, options) => (await client.put(this.#pieces(), options)).digest,
      { timeout: LONG, once: true },
    );
    this.#answer = call.catch((error: unknown) => {
      this.#failure ??= error as Error;
      this.#next?.taken();
      throw this.#failure;
    });
    this.#answer.catch(() => {});
  }

  async *#pieces(): AsyncGenerator<{ data: Uint8Array }> {
    for (;;) {
      if (this.#failure) throw this.#failure;
      const next = this.#next;
      if (next === undefined) {
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
        continue;
      }
      if (next.bytes === undefined) return next.taken();
      yield* messages(next.bytes);
      this.#next = undefined;
      next.taken();
    }
  }

  /** Hands over the next bytes, `undefined` for the end, and waits until they are on their way. */
  async write(bytes: Uint8Array | undefined): Promise<void> {
    if (this.#failure) throw this.#failure;
    await new Promise<void>((taken) => {
      this.#next = { bytes, taken };
      this.#wake();
    });
    if (this.#failure) throw this.#failure;
  }

  async finish(): Promise<Uint8Array> {
    await this.write(undefined);
    return await this.#answer;
  }

  abort(): void {
    this.#failure ??= new TvixError("ERR_CASTORE_CLOSED", "the blob was given up");
    this.#wake();
  }
}

/** Bytes as messages of a length that every server takes. */
async function* messages(bytes: Uint8Array): AsyncGenerator<{ data: Uint8Array }> {
  for (let at = 0; at < bytes.length; at += SMALL_BLOB) yield { data: bytes.subarray(at, at + SMALL_BLOB) };
}

async function* lists(chunks: readonly ChunkMeta[]): AsyncGenerator<{ chunks: Uint8Array[] }> {
  for (const group of inGroups(chunks, () => 1, BULK_DIGESTS)) yield { chunks: group.map(({ digest }) => digest) };
}

/** Items in groups whose sizes add up to at most `limit`, one item at least in each. */
function inGroups<T>(items: readonly T[], size: (item: T) => number, limit: number): T[][] {
  const groups: T[][] = [];
  let room = 0;
  for (const item of items) {
    const needed = size(item);
    if (groups.length === 0 || needed > room) {
      groups.push([]);
      room = limit;
    }
    groups.at(-1)?.push(item);
    room -= needed;
  }
  return groups;
}
