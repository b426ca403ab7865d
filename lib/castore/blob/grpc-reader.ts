// Reads one long blob of a server that is not trusted: whole, or in ranges that are checked before they are used.
import { concatBytes, equalBytes } from "../../base/bytes.ts";
import { TvixError } from "../../base/error.ts";
import { Blake3 } from "../../native/blake3.ts";
import { type Digest, digestOf } from "../digest.ts";
import { type GrpcEndpoint, isNotFound, mayPass, MESSAGE_LIMIT } from "../grpc/endpoint.ts";
import { readContents } from "../grpc/read.ts";
import { BLOBS } from "../grpc/services.ts";
import { ChunkCache, ChunkedReader, readStreamed } from "./chunked.ts";
import { GROUP_SIZE, OutboardBuilder, VerifiedTree } from "./outboard.ts";
import { bytesReader, clampRange, collectBytes, corrupt, missingBlob } from "./range.ts";
import type { BlobReader, ChunkMeta } from "./service.ts";

const CACHED_CHUNKS = 8;
/** Bytes checked and handed out at once in a range. */
const WINDOW = 64 * GROUP_SIZE;
/** Longest blob that is read to its end only to learn how long it is. */
const UNKNOWN_LIMIT = 2 ** 36;

/** A blob of a server, found there and not read yet. */
export class GrpcBlobReader implements BlobReader {
  /** As the server says, until the bytes are read. */
  readonly size: number;
  readonly #endpoint: GrpcEndpoint;
  readonly #digest: Digest;
  /** By its chunks, where there is a list of them. */
  readonly #chunks: ChunkedReader | undefined;
  #tree: Promise<VerifiedTree> | undefined;

  constructor(
    endpoint: GrpcEndpoint,
    digest: Digest,
    chunks: readonly ChunkMeta[],
    /** For a blob without a list of chunks. */
    tree?: VerifiedTree,
  ) {
    this.#endpoint = endpoint;
    this.#digest = digest;
    if (chunks.length > 0) {
      const cache = new ChunkCache(CACHED_CHUNKS, (chunk) => fetchChunk(endpoint, chunk));
      this.#chunks = new ChunkedReader(chunks, cache);
    }
    this.#tree = tree && Promise.resolve(tree);
    this.size = this.#chunks?.size ?? tree?.size ?? 0;
  }

  /**
   * Opens a blob that the server has in one piece: held whole up to `wholeLimit` bytes.
   * @returns `undefined` when it is not there
   */
  static async openUncut(endpoint: GrpcEndpoint, digest: Digest, wholeLimit: number): Promise<BlobReader | undefined> {
    const parts: Uint8Array[] = [];
    let size = 0;
    try {
      for await (const data of readMessages(endpoint, digest)) {
        parts.push(data);
        size += data.length;
        if (size > wholeLimit) break;
      }
    } catch (error) {
      if (isNotFound(error)) return undefined;
      throw error;
    }
    if (size > wholeLimit) return new GrpcBlobReader(endpoint, digest, [], await loadTree(endpoint, digest));
    const bytes = concatBytes(parts);
    if (!equalBytes(digestOf(bytes), digest)) throw corrupt(digest, "the server sent other bytes");
    return bytesReader(bytes);
  }

  read(offset: number, length: number): Promise<Uint8Array> {
    return readStreamed(this, offset, length);
  }

  stream(start = 0, end: number = this.size): AsyncGenerator<Uint8Array> {
    // Not through another generator: every piece would take a step more.
    return start === 0 && end >= this.size ? this.#whole() : this.#range(start, end);
  }

  /**
   * Everything, one step behind what has come; the last of it only when the digest is right. Hashed on this thread, while
   * the bytes are in its cache: handing them to another one was slower, and took more of both.
   */
  async *#whole(): AsyncGenerator<Uint8Array> {
    const hash = new Blake3();
    let total = 0;
    let held: Uint8Array[] = [];
    for await (const batch of this.#resumed()) {
      const before = total;
      for (const data of batch) total += data.length;
      if (total > this.size) throw corrupt(this.#digest, `the server sends more than its ${this.size} bytes`);
      // Nothing new, as in an empty message, does not show that what is held back is right.
      if (total === before) continue;
      for (const data of batch) hash.update(data);
      yield* held;
      held = batch;
    }
    if (total < this.size || !equalBytes(hash.digest(), this.#digest)) {
      throw corrupt(this.#digest, `the server sent ${total} other bytes`);
    }
    for (const data of held) yield data;
  }

  /** Everything in one stream; where the connection is lost, the rest by chunks, from whoever answers. */
  async *#resumed(): AsyncGenerator<Uint8Array[]> {
    let at = 0;
    try {
      for await (const batch of readBatches(this.#endpoint, this.#digest)) {
        for (const data of batch) at += data.length;
        yield batch;
      }
    } catch (error) {
      if (!mayPass(error) || this.#chunks === undefined) throw notFoundIsMissing(error, this.#digest);
      for await (const data of this.#chunks.stream(at)) yield [data];
    }
  }

  /** A range in windows of whole groups, each checked before it is cut to what was asked for. */
  async *#range(offset: number, until: number): AsyncGenerator<Uint8Array> {
    const { start, end } = clampRange(this.size, offset, until - offset);
    if (start >= end) return;
    const tree = await this.#verified();
    const from = start - (start % GROUP_SIZE);
    const to = Math.min(this.size, end + GROUP_SIZE - 1 - ((end + GROUP_SIZE - 1) % GROUP_SIZE));
    let at = from;
    for await (const window of inWindows(this.#unverified(from, to))) {
      tree.check(at, window);
      yield window.slice(Math.max(0, start - at), end - at);
      at += window.length;
    }
    if (at < to) throw corrupt(this.#digest, `the server sent ${at} bytes instead of ${this.size}`);
  }

  async *#unverified(from: number, to: number): AsyncGenerator<Uint8Array> {
    if (this.#chunks) {
      yield* this.#chunks.stream(from, to);
      return;
    }
    let at = 0;
    for await (const data of readMessages(this.#endpoint, this.#digest)) {
      const piece = data.subarray(Math.max(0, from - at), Math.max(0, to - at));
      if (piece.length > 0) yield piece;
      at += data.length;
      if (at >= to) return;
    }
  }

  /** The tree that ranges are checked with; its last group is checked first, which proves the length. */
  #verified(): Promise<VerifiedTree> {
    this.#tree ??= loadTree(this.#endpoint, this.#digest).then(async (tree) => {
      if (tree.size !== this.size) throw corrupt(this.#digest, `its chunks have ${this.size} bytes, it ${tree.size}`);
      const last = this.size - (this.size % GROUP_SIZE || GROUP_SIZE);
      tree.check(last, await collectBytes(this.#unverified(last, this.size)));
      return tree;
    });
    this.#tree.catch(() => {
      this.#tree = undefined;
    });
    return this.#tree;
  }
}

/** The outboard that the server sends, else one made of the whole blob. */
async function loadTree(endpoint: GrpcEndpoint, digest: Digest): Promise<VerifiedTree> {
  const { bao } = await endpoint.call(BLOBS, "BlobService.Stat", (client, options) =>
    client.stat({ digest, sendBao: true }, options),
  );
  if (bao.length > 0) return new VerifiedTree(digest, bao);
  const builder = new OutboardBuilder();
  let size = 0;
  for await (const data of readMessages(endpoint, digest)) {
    size += data.length;
    if (size > UNKNOWN_LIMIT) throw corrupt(digest, `the server sends more than ${UNKNOWN_LIMIT} bytes`);
    builder.update(data);
  }
  const made = builder.finish();
  if (!equalBytes(made.digest, digest)) throw corrupt(digest, `the server sent ${size} other bytes`);
  return new VerifiedTree(digest, made.outboard);
}

async function fetchChunk(endpoint: GrpcEndpoint, { digest, size }: ChunkMeta): Promise<Uint8Array> {
  const out = new Uint8Array(size);
  let at = 0;
  try {
    for await (const data of readMessages(endpoint, digest)) {
      if (data.length > size - at) throw corrupt(digest, `the server sends more than the ${size} bytes of this chunk`);
      out.set(data, at);
      at += data.length;
    }
  } catch (error) {
    throw notFoundIsMissing(error, digest);
  }
  if (at < size || !equalBytes(digestOf(out), digest)) throw corrupt(digest, `the server sent ${at} other bytes`);
  return out;
}

async function* readMessages(endpoint: GrpcEndpoint, digest: Digest): AsyncGenerator<Uint8Array> {
  for await (const batch of readBatches(endpoint, digest)) yield* batch;
}

function readBatches(endpoint: GrpcEndpoint, digest: Digest): AsyncGenerator<Uint8Array[]> {
  return endpoint.stream(BLOBS, "BlobService.Read", (_client, signal, { typeName }, requests) =>
    readContents(requests, typeName, digest, signal, MESSAGE_LIMIT),
  );
}

/** Pieces of any length as windows of whole groups; the last is what is left. */
async function* inWindows(pieces: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let pending: Uint8Array[] = [];
  let length = 0;
  for await (const piece of pieces) {
    pending.push(piece);
    length += piece.length;
    if (length < WINDOW) continue;
    const joined = concatBytes(pending);
    const ready = length - (length % GROUP_SIZE);
    yield joined.subarray(0, ready);
    pending = [joined.slice(ready)];
    length -= ready;
  }
  if (length > 0) yield concatBytes(pending);
}

function notFoundIsMissing(error: unknown, digest: Digest): unknown {
  if (!isNotFound(error)) return error;
  const { message } = error as TvixError;
  return new TvixError("ERR_CASTORE_MISSING", missingBlob(digest).message, { cause: error, notes: [message] });
}
