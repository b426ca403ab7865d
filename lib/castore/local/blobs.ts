// Blobs of a local store: chunks in packs, chunk lists in the index, every byte verified on its way out.
import { concatBytes } from "../../base/bytes.ts";
import { TvixError } from "../../base/error.ts";
import { Blake3, blake3, blake3Blobs } from "../../native/blake3.ts";
import { Chunker, chunkLengths, DEFAULT_AVERAGE } from "../../native/chunk.ts";
import { bytesReader, clampRange, corrupt, writerClosed } from "../blob/range.ts";
import type { BlobReader, BlobService, BlobWriter, ChunkMeta } from "../blob/service.ts";
import { asDigest, type Digest, EMPTY_DIGEST } from "../digest.ts";
import { Batch, CollectedError, type Commits } from "./batch.ts";
import type { LocalIndex } from "./index.ts";
import { decodeLocation, type Location, type Packs } from "./packs.ts";

/** Blobs up to this length are one chunk. */
export const MIN_CHUNK: number = DEFAULT_AVERAGE / 2;

/** Bytes that a stream reads in one native call. */
const READ_GROUP = 2 << 20;

/**
 * Native calls that a stream has under way: one more than the pool of libuv has threads. With fewer, a thread that is
 * done finds nothing to do and sleeps, and waking it for the next call costs more than the call's JavaScript.
 */
const GROUPS_AHEAD = 5;

/** Bytes up to which a read happens in the call itself: a switch of threads would cost more. */
const SYNC_LIMIT = 1 << 20;

/** Times that a chunk is followed to where it has been moved. */
const MOVES = 100;

/** Bytes of blobs put in bulk that are appended at once. */
const WRITE_GROUP = 4 << 20;

/** Bytes a writer collects before it hands chunks to the pack. */
const WRITE_BUFFER = 1 << 20;

/** A chunk list as an index entry: 36 bytes each, digest and u32 length. */
export function encodeChunkList(chunks: readonly ChunkMeta[]): Uint8Array {
  const out = new Uint8Array(chunks.length * 36);
  const view = new DataView(out.buffer);
  for (const [i, chunk] of chunks.entries()) {
    out.set(chunk.digest, i * 36);
    view.setUint32(i * 36 + 32, chunk.size, true);
  }
  return out;
}

/** The inverse of {@link encodeChunkList}. */
export function decodeChunkList(value: Uint8Array): ChunkMeta[] {
  const view = new DataView(value.buffer, value.byteOffset, value.length);
  return Array.from({ length: Math.floor(value.length / 36) }, (_, i) => ({
    digest: asDigest(value.subarray(i * 36, i * 36 + 32)),
    size: view.getUint32(i * 36 + 32, true),
  }));
}

/** Blobs of a local store. */
export class LocalBlobService implements BlobService {
  readonly #index: LocalIndex;
  readonly #packs: Packs;
  readonly #commits: Commits;

  constructor(index: LocalIndex, packs: Packs, commits: Commits) {
    this.#index = index;
    this.#packs = packs;
    this.#commits = commits;
  }

  async has(digests: readonly Digest[]): Promise<boolean[]> {
    return digests.map((digest) => this.hasSync(digest));
  }

  /** Whether a blob is there. */
  hasSync(digest: Digest): boolean {
    return this.#index.chunks.has(digest) || this.#index.blobs.has(digest) || isEmpty(digest);
  }

  async chunks(digest: Digest): Promise<readonly ChunkMeta[] | undefined> {
    const list = this.#index.blobs.getSealed(digest);
    if (list) return decodeChunkList(list);
    return this.hasSync(digest) ? [] : undefined;
  }

  async openRead(digest: Digest): Promise<BlobReader | undefined> {
    return this.openReadSync(digest);
  }

  /** Opens a blob; `undefined` when it is not there. */
  openReadSync(digest: Digest): BlobReader | undefined {
    const list = this.#index.blobs.getSealed(digest);
    if (list) return new LocalBlobReader(this, decodeChunkList(list));
    const location = this.locate(digest);
    if (location) return new LocalBlobReader(this, [{ digest, size: location.length }]);
    return isEmpty(digest) ? bytesReader(new Uint8Array(0)) : undefined;
  }

  /** The whole of a blob, read in the call itself: for readers that cannot wait. `undefined` when it is not there. */
  readSync(digest: Digest): Uint8Array | undefined {
    const list = this.#index.blobs.getSealed(digest);
    const location = list ? undefined : this.locate(digest);
    if (!list && !location) return isEmpty(digest) ? new Uint8Array(0) : undefined;
    const chunks = list ? decodeChunkList(list) : [{ digest, size: (location as Location).length }];
    const out = new Uint8Array(chunks.reduce((sum, { size }) => sum + size, 0));
    let at = 0;
    for (const chunk of chunks) {
      this.readRange(chunk, 0, out.subarray(at, at + chunk.size));
      at += chunk.size;
    }
    return out;
  }

  /** Where a chunk is now. @throws TvixError `ERR_CASTORE_CORRUPT` for an entry that makes no sense. */
  locate(digest: Digest): Location | undefined {
    const value = this.#index.chunks.peek(digest);
    if (value === undefined) return undefined;
    const location = decodeLocation(value);
    if (location === undefined) throw corrupt(digest, "its entry in the index is malformed");
    return location;
  }

  /** Where a chunk is now, which must be of `size` bytes. */
  place({ digest, size }: ChunkMeta): Location {
    const location = this.locate(digest);
    if (location === undefined) throw corrupt(digest, "a blob refers to this chunk, and the index does not have it");
    if (location.length !== size) {
      throw corrupt(digest, `the index gives its chunk ${location.length} bytes, its blob ${size}`);
    }
    return location;
  }

  /** Fills `into` from byte `from` of a chunk on. The whole chunk is verified the first time. */
  readRange(chunk: ChunkMeta, from: number, into: Uint8Array): void {
    this.atPlace(chunk, (place) => {
      const reader = this.#packs.reader(place.pack);
      reader.readRangeSync(place.offset, place.length, chunk.digest, from, into);
    });
  }

  /** Fills `into` with whole chunks, verified, one behind the other; it must not be touched until the promise settles. */
  async readChunks(chunks: readonly ChunkMeta[], into: Uint8Array): Promise<void> {
    const places = chunks.map((chunk) => this.place(chunk));
    const reads: Promise<unknown>[] = [];
    for (let start = 0, at = 0; start < places.length; ) {
      const { pack } = places[start] as Location;
      let end = start;
      let length = 0;
      for (; end < places.length && places[end]?.pack === pack; end++) length += (places[end] as Location).length;
      const target = into.subarray(at, at + length);
      reads.push(this.#packs.read(pack, chunks.slice(start, end), places.slice(start, end), target));
      at += length;
      start = end;
    }
    // All of them, also after a failure: none may still be writing when the chunks are read again.
    const outcomes = await Promise.allSettled(reads);
    if (outcomes.every(({ status }) => status === "fulfilled")) return;
    // One by one: a pack may have been replaced since we looked, and a damaged chunk is to be named.
    let at = 0;
    for (const chunk of chunks) {
      this.readRange(chunk, 0, into.subarray(at, at + chunk.size));
      at += chunk.size;
    }
  }

  /**
   * Does something with a chunk where it is. A collection may replace the pack between the look-up and that, again and
   * again; the index then knows the new place.
   * @throws TvixError `ERR_CASTORE_CORRUPT` naming the chunk, or what `use` throws where the chunk has not moved
   */
  atPlace<T>(chunk: ChunkMeta, use: (place: Location) => T): T {
    let place = this.place(chunk);
    for (let moves = 0; ; moves++) {
      try {
        return use(place);
      } catch (error) {
        this.#index.refresh();
        const now = this.place(chunk);
        const hasMoved = now.pack !== place.pack || now.offset !== place.offset;
        if (!hasMoved || moves === MOVES) throw readFailure(error, chunk.digest, place);
        place = now;
      }
    }
  }

  async put(blobs: readonly Uint8Array[]): Promise<Digest[]> {
    for (let attempt = 0; ; attempt++) {
      const batch = new Batch(this.#commits);
      try {
        const added = await this.add(batch, blobs);
        await batch.commit(() => this.putLists(added));
        return added.map((one) => one.digest);
      } catch (error) {
        if (!(error instanceof CollectedError) || attempt === 4) throw error;
      } finally {
        await batch.abort();
      }
    }
  }

  /** Adds whole blobs to a batch. Their chunk lists are for {@link putLists} when the batch commits. */
  async add(batch: Batch, blobs: readonly Uint8Array[]): Promise<Added[]> {
    const digests = blake3Blobs(blobs).map(asDigest);
    const added: Added[] = [];
    let chunks: { digest: Digest; bytes: Uint8Array }[] = [];
    let length = 0;
    const flush = async () => {
      await batch.add(
        chunks.map((chunk) => chunk.bytes),
        chunks.map((chunk) => chunk.digest),
      );
      chunks = [];
      length = 0;
    };
    for (const [i, bytes] of blobs.entries()) {
      const digest = digests[i] as Digest;
      const parts = bytes.length <= MIN_CHUNK ? [{ digest, bytes }] : cut(bytes, chunkLengths(bytes));
      added.push({ digest, chunks: parts.map((part) => ({ digest: part.digest, size: part.bytes.length })) });
      chunks.push(...parts);
      length += bytes.length;
      if (length >= WRITE_GROUP) await flush();
    }
    await flush();
    return added;
  }

  /** Inside a transaction: writes the chunk lists of blobs added to a batch. */
  putLists(added: readonly Added[]): void {
    for (const { digest, chunks } of added) {
      if (chunks.length > 1) this.#index.blobs.putSealed(digest, encodeChunkList(chunks));
    }
  }

  openWrite(): BlobWriter {
    return new LocalBlobWriter(this, this.#commits);
  }
}

/** A blob in a batch and its chunks. */
export interface Added {
  readonly digest: Digest;
  readonly chunks: readonly ChunkMeta[];
}

function isEmpty(digest: Digest): boolean {
  return digest.every((byte, i) => byte === EMPTY_DIGEST[i]);
}

function cut(bytes: Uint8Array, lengths: Iterable<number>): { digest: Digest; bytes: Uint8Array }[] {
  const out: { digest: Digest; bytes: Uint8Array }[] = [];
  let at = 0;
  for (const length of lengths) {
    const piece = bytes.subarray(at, at + length);
    out.push({ digest: asDigest(blake3(piece)), bytes: piece });
    at += length;
  }
  return out;
}

/** What reading a chunk failed with: where its pack is damaged or not there, the chunk is named. */
function readFailure(error: unknown, digest: Digest, place: Location): unknown {
  if (!(error instanceof TvixError)) return error;
  const where = `in pack ${place.pack} at ${place.offset}: ${error.message}`;
  if (["ERR_PACK_CORRUPT", "ERR_PACK_MISSING", "ERR_PACK_FORMAT"].includes(error.code)) return corrupt(digest, where);
  return error;
}

/** Reads a blob through its chunk list. */
class LocalBlobReader implements BlobReader {
  readonly size: number;
  readonly #blobs: LocalBlobService;
  readonly #chunks: readonly ChunkMeta[];
  /** Where each chunk starts in the blob, and the blob's size. */
  readonly #starts: Float64Array;

  constructor(blobs: LocalBlobService, chunks: readonly ChunkMeta[]) {
    this.#blobs = blobs;
    this.#chunks = chunks;
    this.#starts = new Float64Array(chunks.length + 1);
    for (const [i, chunk] of chunks.entries()) this.#starts[i + 1] = (this.#starts[i] as number) + chunk.size;
    this.size = this.#starts[chunks.length] as number;
  }

  /** The chunk that holds byte `offset`. */
  #find(offset: number): number {
    let low = 0;
    let high = this.#chunks.length;
    while (high - low > 1) {
      const middle = (low + high) >>> 1;
      if ((this.#starts[middle] as number) <= offset) low = middle;
      else high = middle;
    }
    return low;
  }

  async read(offset: number, length: number): Promise<Uint8Array> {
    const { start, end } = clampRange(this.size, offset, length);
    const out = new Uint8Array(end - start);
    if (out.length > SYNC_LIMIT) {
      let at = 0;
      for await (const piece of this.stream(start, end, true)) {
        out.set(piece, at);
        at += piece.length;
      }
      return out;
    }
    this.fill(start, out);
    return out;
  }

  fill(offset: number, into: Uint8Array): void {
    const end = offset + into.length;
    for (let at = offset, i = this.#find(offset); at < end; i++) {
      const chunkEnd = this.#starts[i + 1] as number;
      const part = into.subarray(at - offset, Math.min(end, chunkEnd) - offset);
      this.#blobs.readRange(this.#chunks[i] as ChunkMeta, at - (this.#starts[i] as number), part);
      at += part.length;
    }
  }

  async *stream(start = 0, end: number = this.size, recycle = false): AsyncGenerator<Uint8Array> {
    const range = clampRange(this.size, start, end - start);
    if (range.start >= range.end) return;
    const last = this.#find(range.end - 1);
    // What fits into one buffer has none to use again.
    const buffers = new Buffers(recycle && range.end - range.start > READ_GROUP);
    const ahead: Group[] = [];
    let before: Uint8Array | undefined;
    let from = this.#find(range.start);
    while (from <= last || ahead.length > 0) {
      // Several groups under way keep several cores at hashing while the consumer has one.
      while (from <= last && ahead.length < GROUPS_AHEAD) {
        const to = this.#groupEnd(from, last);
        const base = this.#starts[from] as number;
        const length = (this.#starts[to] as number) - base;
        const buffer = buffers.take(length);
        ahead.push({ base, buffer, bytes: this.#read(from, to, buffer.subarray(0, length)) });
        from = to;
      }
      const { base, buffer, bytes } = ahead.shift() as Group;
      yield (await bytes).subarray(Math.max(0, range.start - base), range.end - base);
      // The next piece is asked for: the one before this is of no more use.
      if (before) buffers.give(before);
      before = buffer;
    }
    buffers.end();
  }

  #groupEnd(from: number, last: number): number {
    let to = from + 1;
    const limit = (this.#starts[from] as number) + READ_GROUP;
    while (to <= last && (this.#starts[to + 1] as number) <= limit) to++;
    return to;
  }

  #read(from: number, to: number, into: Uint8Array): Promise<Uint8Array> {
    const reading = this.#blobs.readChunks(this.#chunks.slice(from, to), into).then(() => into);
    // Its consumer may stop before it gets here; the failure is then nobody's.
    reading.catch(() => {});
    return reading;
  }
}

/** Chunks that are read together: where in the blob they begin, and the buffer that their bytes come into. */
interface Group {
  readonly base: number;
  readonly buffer: Uint8Array;
  readonly bytes: Promise<Uint8Array>;
}

/** Buffers of streams that are over, for those to come: fresh memory is work for the kernel and for the collector. */
const spare: Uint8Array[] = [];

/** Memory for the groups of a stream: new each time, or used again. */
class Buffers {
  readonly #recycle: boolean;
  readonly #free: Uint8Array[] = [];

  constructor(recycle: boolean) {
    this.#recycle = recycle;
  }

  /** At least `length` bytes. */
  take(length: number): Uint8Array {
    if (!this.#recycle || length > READ_GROUP) return new Uint8Array(length);
    return this.#free.pop() ?? spare.pop() ?? new Uint8Array(READ_GROUP);
  }

  /** Takes a buffer back that nobody needs any more. */
  give(buffer: Uint8Array): void {
    if (this.#recycle && buffer.length === READ_GROUP) this.#free.push(buffer);
  }

  /** The stream has been read to its end. */
  end(): void {
    while (spare.length < GROUPS_AHEAD) {
      const buffer = this.#free.pop();
      if (buffer === undefined) return;
      spare.push(buffer);
    }
  }
}

/** Cuts a stream into chunks as it comes; holds at most one chunk and the buffer. */
class LocalBlobWriter implements BlobWriter {
  readonly #blobs: LocalBlobService;
  readonly #batch: Batch;
  readonly #hash = new Blake3();
  readonly #chunker = new Chunker();
  readonly #list: ChunkMeta[] = [];
  #pending: Uint8Array[] = [];
  #pendingLength = 0;
  #lengths: number[] = [];
  #turn: Promise<unknown> = Promise.resolve();
  #state: "open" | "aborted" | Promise<Digest> = "open";

  constructor(blobs: LocalBlobService, commits: Commits) {
    this.#blobs = blobs;
    this.#batch = new Batch(commits);
  }

  write(bytes: Uint8Array): Promise<void> {
    if (this.#state !== "open") return Promise.reject(writerClosed());
    if (bytes.length === 0) return Promise.resolve();
    this.#hash.update(bytes);
    this.#pending.push(bytes.slice());
    this.#pendingLength += bytes.length;
    this.#lengths.push(...this.#chunker.push(bytes));
    if (this.#pendingLength < WRITE_BUFFER) return Promise.resolve();
    const done = this.#turn.then(() => this.#drain());
    this.#turn = done;
    // The failure is told by this write; close tells it again.
    done.catch(() => {});
    return done;
  }

  /** Hands the chunks that are complete to the batch. */
  async #drain(): Promise<void> {
    const lengths = this.#lengths;
    if (lengths.length === 0) return;
    const joined = this.#pending.length === 1 && this.#pending[0] ? this.#pending[0] : concatBytes(this.#pending);
    const chunks = cut(joined, lengths);
    const used = lengths.reduce((sum, length) => sum + length, 0);
    this.#lengths = [];
    this.#pending = used === joined.length ? [] : [joined.slice(used)];
    this.#pendingLength = joined.length - used;
    for (const chunk of chunks) this.#list.push({ digest: chunk.digest, size: chunk.bytes.length });
    await this.#batch.add(
      chunks.map((chunk) => chunk.bytes),
      chunks.map((chunk) => chunk.digest),
    );
  }

  close(): Promise<Digest> {
    if (this.#state === "aborted") return Promise.reject(writerClosed());
    if (this.#state === "open") this.#state = this.#finish();
    return this.#state;
  }

  async #finish(): Promise<Digest> {
    try {
      await this.#turn;
      this.#lengths.push(...this.#chunker.end());
      await this.#drain();
      const digest = asDigest(this.#hash.digest());
      await this.#batch.commit(() => this.#blobs.putLists([{ digest, chunks: this.#list }]));
      return digest;
    } finally {
      await this.#batch.abort();
    }
  }

  abort(): void {
    if (this.#state !== "open") return;
    this.#state = "aborted";
    void this.#turn.catch(() => {}).then(() => this.#batch.abort());
  }
}
