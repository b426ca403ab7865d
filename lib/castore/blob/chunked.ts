// Blobs as lists of chunks: cutting what is written, and reading ranges through the chunks that cover them.
import { concatBytes } from "../../base/bytes.ts";
import { Blake3 } from "../../native/blake3.ts";
import { Chunker } from "../../native/chunk.ts";
import { asDigest, type Digest, digestKey, digestOf } from "../digest.ts";
import { clampRange, corrupt, writerClosed } from "./range.ts";
import type { BlobReader, BlobWriter, ChunkMeta } from "./service.ts";

/** Longest chunk accepted from others, in bytes: a bound on what a hostile list can make us hold. */
export const CHUNK_LIMIT: number = 64 << 20;
/** Bytes gathered before chunks are handed on. */
const WRITE_BUFFER = 4 << 20;

/** A chunk with its bytes. */
export interface Chunk {
  readonly digest: Digest;
  readonly bytes: Uint8Array;
}

/** What is known of a chunk without its bytes. */
export const chunkMeta = ({ digest, bytes }: Chunk): ChunkMeta => ({ digest, size: bytes.length });

/** Cuts bytes into pieces of the given lengths; what is left over is the caller's. */
export function cutChunks(bytes: Uint8Array, lengths: Iterable<number>): Chunk[] {
  const out: Chunk[] = [];
  let at = 0;
  for (const length of lengths) {
    const piece = bytes.subarray(at, at + length);
    out.push({ digest: digestOf(piece), bytes: piece });
    at += length;
  }
  return out;
}

/** Where the chunks of a blob being written go. */
export interface ChunkSink {
  /** Takes the next chunks, in order, each of them once. */
  store(chunks: readonly Chunk[]): Promise<void>;
  /** Makes the blob of these chunks visible. */
  finish(digest: Digest, chunks: readonly ChunkMeta[]): Promise<void>;
  /** The blob is given up. */
  abort?(): void;
}

/** Cuts what is written into chunks as it comes; holds at most its buffer and one chunk. */
export class ChunkedWriter implements BlobWriter {
  readonly #sink: ChunkSink;
  readonly #hash = new Blake3();
  readonly #chunker = new Chunker();
  readonly #list: ChunkMeta[] = [];
  #pending: Uint8Array[] = [];
  #pendingLength = 0;
  #lengths: number[] = [];
  #turn: Promise<void> = Promise.resolve();
  #state: "open" | "aborted" | Promise<Digest> = "open";

  constructor(sink: ChunkSink) {
    this.#sink = sink;
  }

  write(bytes: Uint8Array): Promise<void> {
    if (this.#state !== "open") return Promise.reject(writerClosed());
    this.#hash.update(bytes);
    this.#lengths.push(...this.#chunker.push(bytes));
    this.#pending.push(bytes.slice());
    this.#pendingLength += bytes.length;
    if (this.#pendingLength < WRITE_BUFFER) return Promise.resolve();
    const done = this.#turn.then(() => this.#drain());
    this.#turn = done;
    // The failure is told by this write; close tells it again.
    done.catch(() => {});
    return done;
  }

  async #drain(): Promise<void> {
    const joined = concatBytes(this.#pending);
    const chunks = cutChunks(joined, this.#lengths);
    const used = chunks.reduce((sum, chunk) => sum + chunk.bytes.length, 0);
    this.#lengths = [];
    this.#pending = used === joined.length ? [] : [joined.slice(used)];
    this.#pendingLength = joined.length - used;
    this.#list.push(...chunks.map(chunkMeta));
    await this.#sink.store(chunks);
  }

  close(): Promise<Digest> {
    if (this.#state === "aborted") return Promise.reject(writerClosed());
    if (this.#state === "open") this.#state = this.#finish();
    return this.#state;
  }

  async #finish(): Promise<Digest> {
    await this.#turn;
    this.#lengths.push(...this.#chunker.end());
    await this.#drain();
    const digest = asDigest(this.#hash.digest());
    await this.#sink.finish(digest, this.#list);
    return digest;
  }

  abort(): void {
    if (this.#state !== "open") return;
    this.#state = "aborted";
    this.#sink.abort?.();
  }
}

/** Fetches chunks and keeps the last few, so that small reads in a row fetch once. */
export class ChunkCache {
  readonly #kept = new Map<string, Promise<Uint8Array>>();
  readonly #most: number;
  readonly #fetch: (chunk: ChunkMeta) => Promise<Uint8Array>;

  constructor(most: number, fetch: (chunk: ChunkMeta) => Promise<Uint8Array>) {
    this.#most = most;
    this.#fetch = fetch;
  }

  /** The bytes of a chunk, as long as its list says. @throws TvixError `ERR_CASTORE_CORRUPT` */
  read(chunk: ChunkMeta): Promise<Uint8Array> {
    const key = digestKey(chunk.digest);
    const kept = this.#kept.get(key);
    if (kept) return kept.then((bytes) => checkLength(chunk, bytes));
    const fetching = this.#fetch(chunk);
    this.#kept.set(key, fetching);
    // A failure may pass; it is told to who waits, and not kept.
    fetching.catch(() => this.#kept.delete(key));
    for (const old of this.#kept.keys()) {
      if (this.#kept.size <= this.#most) break;
      this.#kept.delete(old);
    }
    return fetching.then((bytes) => checkLength(chunk, bytes));
  }
}

function checkLength(chunk: ChunkMeta, bytes: Uint8Array): Uint8Array {
  if (bytes.length === chunk.size) return bytes;
  throw corrupt(chunk.digest, `a blob's list gives it ${chunk.size} bytes, it has ${bytes.length}`);
}

/** Reads a blob chunk by chunk, one chunk ahead. */
export class ChunkedReader implements BlobReader {
  readonly size: number;
  readonly #chunks: readonly (ChunkMeta & { readonly start: number })[];
  readonly #cache: ChunkCache;

  constructor(chunks: readonly ChunkMeta[], cache: ChunkCache) {
    let start = 0;
    this.#chunks = chunks.map((chunk) => {
      start += chunk.size;
      return { ...chunk, start: start - chunk.size };
    });
    this.size = start;
    this.#cache = cache;
  }

  read(offset: number, length: number): Promise<Uint8Array> {
    return readStreamed(this, offset, length);
  }

  async *stream(start = 0, end: number = this.size): AsyncGenerator<Uint8Array> {
    const range = clampRange(this.size, start, end - start);
    const covered = this.#chunks.filter((chunk) => chunk.start + chunk.size > range.start && chunk.start < range.end);
    let ahead = covered[0] && this.#begin(covered[0]);
    for (const [i, chunk] of covered.entries()) {
      const bytes = (await ahead) as Uint8Array;
      const next = covered[i + 1];
      ahead = next && this.#begin(next);
      yield bytes.slice(Math.max(0, range.start - chunk.start), range.end - chunk.start);
    }
  }

  #begin(chunk: ChunkMeta): Promise<Uint8Array> {
    const fetching = this.#cache.read(chunk);
    // Its consumer may stop before it gets here; the failure is then nobody's.
    fetching.catch(() => {});
    return fetching;
  }
}

/**
 * A range of a reader through its stream. Memory is taken as bytes come, not as they are announced.
 * @throws TvixError `ERR_CASTORE_RANGE`, or what the stream throws
 */
export async function readStreamed(reader: BlobReader, offset: number, length: number): Promise<Uint8Array> {
  const { start, end } = clampRange(reader.size, offset, length);
  if (start >= end) return new Uint8Array(0);
  const parts: Uint8Array[] = [];
  for await (const piece of reader.stream(start, end)) parts.push(piece);
  return parts.length === 1 && parts[0] ? parts[0] : concatBytes(parts);
}
