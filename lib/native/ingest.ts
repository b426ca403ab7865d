// Ingestion: one pass over files, off the event loop, for blob digests, chunks, the NAR hash and the bytes to store.
//
// An ingestion is a pipeline of native threads: one walks and reads, hashes blobs and cuts chunks; one feeds the NAR's
// SHA-256 with the same buffers in NAR order; the pack's writer copies out what is new. JavaScript sees batches: it asks
// its index which of a batch's chunks are new, and answers with `store`, which hands exactly those to a PackWriter.
// A few batches of 4 MiB are in flight; the pipeline stands still until they are answered, so memory is bounded.
//
//   const ingestion = Ingestion.tree(path);
//   for (let batch = await ingestion.next(); batch; batch = await ingestion.next()) {
//     const missing = …                                   // Uint8Array, 1 for each chunk to be stored
//     const offsets = ingestion.store(batch, missing, writer);
//   }
//   const { listing, narHash } = await ingestion.finish();
//   await writer.sync();                                  // then commit the index
import { type ChunkParams, chunkAverage } from "./chunk.ts";
import { core } from "./load.ts";
import { guarded, pathBytes, settled, typed } from "./failure.ts";
import type { NativePackWriter, PackWriter } from "./pack.ts";
import type { TreeListing } from "./tree.ts";

export interface IngestOptions extends ChunkParams {
  /** Whether to compute the NAR's SHA-256 (default true; always false for a list of files and for a blob). */
  readonly narHash?: boolean;
  /**
   * Hash parts of store paths (32 ASCII characters of nixbase32 each) to look for in the NAR's bytes:
   * see {@link IngestResult.found}. Default none. Needs `narHash`.
   */
  readonly needles?: readonly Uint8Array[];
}

/**
 * Chunks, and the files that ended, in reading order. File i of a session owns the next `fileChunkCounts[i]` chunks of
 * the session; its first ones may have come in earlier batches. A file of at most the minimum chunk size is one chunk
 * with the file's own digest; an empty file has none.
 */
export interface IngestBatch {
  /** Number of the batch, from 0. */
  readonly index: number;
  /** BLAKE3 digests of the chunks, 32 bytes each. */
  readonly chunkDigests: Uint8Array;
  /** Lengths of the chunks in bytes. */
  readonly chunkLengths: Uint32Array;
  /** 1 where this session meets the chunk's digest for the first time; the others need no look-up. */
  readonly chunkFresh: Uint8Array;
  /** The files that ended in this batch: their index in the listing (or in the list of files given). */
  readonly fileEntries: Uint32Array;
  /** Their BLAKE3 digests, 32 bytes each. */
  readonly fileDigests: Uint8Array;
  /** Their sizes in bytes. */
  readonly fileSizes: Float64Array;
  /** How many chunks each has in all. */
  readonly fileChunkCounts: Uint32Array;
}

export interface IngestResult {
  /** The tree, in NAR order. For a list of files: one entry each, without names. For a blob: one entry. */
  readonly listing: TreeListing;
  /** SHA-256 of the tree's NAR; absent when not asked for. */
  readonly narHash: Uint8Array | undefined;
  /** Size of the tree's NAR in bytes; 0 without `narHash`. */
  readonly narSize: number;
  /** One per needle: 1 when it occurs in the NAR's bytes. */
  readonly found: Uint8Array;
}

interface NativeIngestion {
  next(): Promise<IngestBatch | undefined>;
  store(index: number, missing: Uint8Array, writer: NativePackWriter): Float64Array;
  release(index: number): void;
  finish(): Promise<IngestResult>;
  close(): void;
  push(bytes: Uint8Array): Promise<void>;
  end(): void;
}

interface NativeOptions {
  readonly average: number;
  readonly narHash: boolean;
  readonly needles: Uint8Array;
}

interface IngestAddon {
  ingestTree(path: Uint8Array, listing: TreeListing | undefined, options: NativeOptions): NativeIngestion;
  ingestFiles(paths: readonly Uint8Array[], options: NativeOptions): NativeIngestion;
  ingestNar(options: NativeOptions): NativeIngestion;
  ingestBlob(options: NativeOptions): NativeIngestion;
}

const addon = (): IngestAddon => core() as unknown as IngestAddon;

function nativeOptions(options: IngestOptions, nar: boolean): NativeOptions {
  const needles = options.needles ?? [];
  const joined = new Uint8Array(needles.length * 32);
  for (const [i, needle] of needles.entries()) {
    if (needle.length !== 32) throw new RangeError(`needle ${i} has ${needle.length} bytes, not 32`);
    joined.set(needle, i * 32);
  }
  return { average: chunkAverage(options), narHash: nar && options.narHash !== false, needles: joined };
}

/**
 * One ingestion. Take batches with {@link next} until it resolves to undefined, answer each with {@link store} or
 * {@link release}, then {@link finish}. {@link close} ends it at any moment; abandoning one without it holds its
 * buffers until garbage collection.
 */
export class Ingestion {
  protected readonly native: NativeIngestion;

  protected constructor(native: NativeIngestion) {
    this.native = native;
  }

  /**
   * Ingests a host tree: a directory, a regular file or a symlink. Symlinks are never followed.
   * @param listing only these entries, as {@link walkTree} and {@link filterListing} gave them; without it the tree is
   *   walked in the same pass
   */
  static tree(path: string | Uint8Array, options: IngestOptions = {}, listing?: TreeListing): Ingestion {
    return new Ingestion(guarded(() => addon().ingestTree(pathBytes(path), listing, nativeOptions(options, true))));
  }

  /** Ingests the contents of unrelated regular files (symlinks are refused), without NAR. */
  static files(paths: readonly (string | Uint8Array)[], options: IngestOptions = {}): Ingestion {
    return new Ingestion(guarded(() => addon().ingestFiles(paths.map(pathBytes), nativeOptions(options, false))));
  }

  /**
   * The next batch, or undefined when all bytes have been seen. One call at a time.
   * @throws TvixError `ERR_TREE_…` as {@link walkTree}, and `ERR_TREE_CHANGED` for a file whose size or modification
   *   time moves while it is read; `ERR_NAR_…` for a bad NAR; `ERR_INGEST_CLOSED`. The ingestion is over then
   */
  next(): Promise<IngestBatch | undefined> {
    return settled(this.native.next());
  }

  /**
   * Answers a batch: appends the chunks marked 1 in `missing` (one byte per chunk) to the pack. Returns at once with
   * the offsets of their bytes in the pack, one per chunk of the batch (-1 for those not asked for); the bytes are
   * written behind the scenes, and `writer.sync()` covers them.
   * @throws TvixError `ERR_PACK_FULL`, `ERR_PACK_IO`, `ERR_PACK_CLOSED` when the writer has failed
   */
  store(batch: IngestBatch, missing: Uint8Array, writer: PackWriter): Float64Array {
    return guarded(() => this.native.store(batch.index, missing, writer.native));
  }

  /** Answers a batch of which nothing is to be stored. */
  release(batch: IngestBatch): void {
    this.native.release(batch.index);
  }

  /** After the last batch: the listing and the NAR hash. @throws as {@link next} */
  finish(): Promise<IngestResult> {
    return settled(this.native.finish());
  }

  /** Stops the threads and frees the buffers; pending promises reject with `ERR_INGEST_CLOSED`. Idempotent. */
  close(): void {
    this.native.close();
  }
}

/** An ingestion whose bytes are pushed: a NAR, or a single blob. Push and take batches concurrently. */
export class PushIngestion extends Ingestion {
  /**
   * Ingests the tree in a NAR, strictly checked; `narHash` of the result is that of the bytes pushed.
   * The NAR ends at {@link end}; bytes behind its root are refused.
   */
  static nar(options: IngestOptions = {}): PushIngestion {
    return new PushIngestion(guarded(() => addon().ingestNar(nativeOptions(options, true))));
  }

  /** Ingests one blob: entry 0 of an otherwise nameless listing. */
  static blob(options: IngestOptions = {}): PushIngestion {
    return new PushIngestion(guarded(() => addon().ingestBlob(nativeOptions(options, false))));
  }

  /**
   * Gives the next bytes; they are copied. Resolves when there is room for more (which may need batches to be
   * answered). After a failure it resolves too: {@link next} rejects with it.
   */
  push(bytes: Uint8Array): Promise<void> {
    return settled(this.native.push(bytes));
  }

  /** No more bytes come. */
  end(): void {
    try {
      this.native.end();
    } catch (error) {
      throw typed(error);
    }
  }
}
