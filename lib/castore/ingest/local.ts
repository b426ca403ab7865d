// Ingestion into a local store: the native pipeline on one side, the index and a batch on the other.
//
// The pipeline hands over digests, batch by batch, and keeps the bytes. Each batch of a few MiB costs one pass over the
// index, and its answer one native call: no promise and no native call per file.
import type { Ingestion, IngestBatch, PushIngestion } from "../../native/ingest.ts";
import { REGULAR, EXECUTABLE, type TreeListing } from "../../native/tree.ts";
import { asDigest, type Digest, DIGEST_LENGTH } from "../digest.ts";
import { type Batch, CollectedError } from "../local/batch.ts";
import { encodeChunkList } from "../local/blobs.ts";
import type { OpenPack } from "../local/packs.ts";
import type { LocalStore } from "../local/store.ts";
import type { Node } from "../node.ts";
import type { OperationOptions } from "../progress.ts";
import type { ChunkMeta } from "../blob/service.ts";
import { type BuiltDirectory, buildTree } from "./build.ts";

/** Chunks after which what there is so far is committed, so that neither memory nor a transaction grows with the tree. */
const FLUSH_CHUNKS = 1 << 16;

/** What an ingestion found, besides what it stored. */
export interface IngestSummary {
  readonly root: Node;
  /** SHA-256 of the tree's NAR; `undefined` when it was not asked for. */
  readonly narHash: Uint8Array | undefined;
  /** Bytes of the tree's NAR; 0 when it was not asked for. */
  readonly narSize: number;
  /** One per needle: whether it occurs in the NAR. */
  readonly found: readonly boolean[];
  /** Regular files. */
  readonly files: number;
  /** Bytes of their contents. */
  readonly bytes: number;
  /** Bytes of those that were not in the store, after deduplication. */
  readonly newBytes: number;
}

/**
 * Runs an ingestion to its end and commits it.
 * @param change writes further entries into the same transaction, given what was found
 * @throws TvixError what the pipeline throws; `CollectedError` when the bytes have to be seen again
 */
export async function ingestInto(
  store: LocalStore,
  ingestion: Ingestion,
  options: OperationOptions = {},
  change: (summary: IngestSummary) => void = () => {},
): Promise<IngestSummary> {
  const session = new Session(store, ingestion, options);
  const { signal } = options;
  const stop = () => ingestion.close();
  signal?.addEventListener("abort", stop, { once: true });
  try {
    signal?.throwIfAborted();
    return await session.run(change);
  } catch (error) {
    // Closing the pipeline makes it fail with "closed"; why it was closed is the better reason.
    signal?.throwIfAborted();
    throw error;
  } finally {
    signal?.removeEventListener("abort", stop);
    ingestion.close();
    await session.abort();
  }
}

/**
 * The same for what can be seen again: repeats the ingestion when a collection removed what it relied on. What it has
 * to store a second time is then in a pack of its own, which no collection touches while it runs.
 */
export async function ingestRepeatable(
  store: LocalStore,
  start: () => Ingestion,
  options: OperationOptions = {},
  change: (summary: IngestSummary) => void = () => {},
): Promise<IngestSummary> {
  for (let attempt = 0; ; attempt++) {
    try {
      return await ingestInto(store, start(), options, change);
    } catch (error) {
      if (!(error instanceof CollectedError) || attempt === 9) throw error;
    }
  }
}

/** The same for bytes that are pushed: a NAR or a blob. */
export async function ingestPushed(
  store: LocalStore,
  ingestion: PushIngestion,
  source: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  options: OperationOptions = {},
  change: (summary: IngestSummary) => void = () => {},
): Promise<IngestSummary> {
  let failure: { error: unknown } | undefined;
  const feed = async () => {
    try {
      for await (const piece of source) {
        if (options.signal?.aborted) return;
        await ingestion.push(piece);
      }
      ingestion.end();
    } catch (error) {
      // A pipeline that failed by itself has said so to the other side.
      if ((error as { code?: string }).code !== "ERR_INGEST_CLOSED") failure = { error };
      ingestion.close();
    }
  };
  const [result] = await Promise.allSettled([ingestInto(store, ingestion, options, change), feed()]);
  if (failure) throw failure.error;
  if (result.status === "rejected") throw result.reason;
  return result.value;
}

/** Commits like {@link Batch}; see there for the order of durability. */
class Session {
  readonly #store: LocalStore;
  readonly #ingestion: Ingestion;
  readonly #options: OperationOptions;
  readonly #batch: Batch;
  /** Digests of the files met, by entry. */
  #fileDigests = new Uint8Array(DIGEST_LENGTH * 1024);
  /** Chunks met whose file has not ended. */
  #open: ChunkMeta[] = [];
  readonly #lists: { digest: Digest; list: Uint8Array }[] = [];
  #files = 0;
  #bytes = 0;
  #newBytes = 0;

  constructor(store: LocalStore, ingestion: Ingestion, options: OperationOptions) {
    this.#store = store;
    this.#ingestion = ingestion;
    this.#options = options;
    this.#batch = store.batch();
  }

  async run(change: (summary: IngestSummary) => void): Promise<IngestSummary> {
    for (let batch = await this.#ingestion.next(); batch; batch = await this.#ingestion.next()) {
      await this.#take(batch);
      this.#collectFiles(batch);
      this.#progress();
      if (this.#batch.pending >= FLUSH_CHUNKS) await this.#batch.flush();
    }
    const { listing, narHash, narSize, found } = await this.#ingestion.finish();
    const { root, directories } = buildTree(listing, this.#digestsOf(listing));
    const summary: IngestSummary = {
      root,
      narHash,
      narSize,
      found: Array.from(found, (flag) => flag === 1),
      files: this.#files,
      bytes: this.#bytes,
      newBytes: this.#newBytes,
    };
    this.#options.signal?.throwIfAborted();
    await this.#batch.commit(() => {
      this.#write(directories);
      change(summary);
    });
    this.#progress();
    return summary;
  }

  async abort(): Promise<void> {
    await this.#batch.abort();
  }

  /** Answers a batch: what is not in the index goes to the pack. */
  async #take(batch: IngestBatch): Promise<void> {
    const count = batch.chunkLengths.length;
    const missing = new Uint8Array(count);
    let wanted = 0;
    for (let i = 0; i < count; i++) {
      if (batch.chunkFresh[i] !== 1) continue;
      const digest = asDigest(batch.chunkDigests.subarray(i * DIGEST_LENGTH, (i + 1) * DIGEST_LENGTH));
      if (!this.#batch.lacks(digest)) continue;
      missing[i] = 1;
      wanted++;
    }
    if (wanted === 0) {
      this.#ingestion.release(batch);
      return;
    }
    const pack = await this.#batch.pack();
    const offsets = await this.#append(batch, missing, pack);
    for (let i = 0; i < count; i++) {
      if (missing[i] !== 1) continue;
      const length = batch.chunkLengths[i] as number;
      const digest = batch.chunkDigests.subarray(i * DIGEST_LENGTH, (i + 1) * DIGEST_LENGTH);
      this.#batch.note(digest, pack, offsets[i] as number, length);
      this.#newBytes += length;
    }
  }

  async #append(batch: IngestBatch, missing: Uint8Array, pack: OpenPack): Promise<Float64Array> {
    try {
      return this.#ingestion.store(batch, missing, pack.writer);
    } catch (error) {
      return await this.#batch.fail(pack, error);
    }
  }

  /** Takes down the files that ended, and the chunk lists of those with more than one. */
  #collectFiles(batch: IngestBatch): void {
    let at = 0;
    const chunkAt = (i: number): ChunkMeta => ({
      digest: asDigest(batch.chunkDigests.slice(i * DIGEST_LENGTH, (i + 1) * DIGEST_LENGTH)),
      size: batch.chunkLengths[i] as number,
    });
    for (let i = 0; i < batch.fileEntries.length; i++) {
      const count = batch.fileChunkCounts[i] as number;
      const digest = asDigest(batch.fileDigests.subarray(i * DIGEST_LENGTH, (i + 1) * DIGEST_LENGTH));
      const rest = count - this.#open.length;
      if (count > 1) {
        for (let k = 0; k < rest; k++) this.#open.push(chunkAt(at + k));
        this.#lists.push({ digest: asDigest(digest.slice()), list: encodeChunkList(this.#open) });
      }
      at += rest;
      this.#open = [];
      this.#setDigest(batch.fileEntries[i] as number, digest);
      this.#files++;
      this.#bytes += batch.fileSizes[i] as number;
    }
    for (; at < batch.chunkLengths.length; at++) this.#open.push(chunkAt(at));
  }

  #setDigest(entry: number, digest: Digest): void {
    if ((entry + 1) * DIGEST_LENGTH > this.#fileDigests.length) {
      const grown = new Uint8Array(Math.max(this.#fileDigests.length * 2, (entry + 1) * DIGEST_LENGTH));
      grown.set(this.#fileDigests);
      this.#fileDigests = grown;
    }
    this.#fileDigests.set(digest, entry * DIGEST_LENGTH);
  }

  #digestsOf({ kinds }: TreeListing): Uint8Array {
    const needed = kinds.length * DIGEST_LENGTH;
    if (this.#fileDigests.length < needed && (kinds.includes(REGULAR) || kinds.includes(EXECUTABLE))) {
      const grown = new Uint8Array(needed);
      grown.set(this.#fileDigests);
      this.#fileDigests = grown;
    }
    return this.#fileDigests;
  }

  #write(directories: readonly BuiltDirectory[]): void {
    const { index } = this.#store;
    for (const { digest, list } of this.#lists) if (!index.blobs.has(digest)) index.blobs.putSealed(digest, list);
    for (const { digest, bytes } of directories) {
      if (!index.directories.has(digest)) index.directories.put(digest, bytes);
    }
  }

  #progress(): void {
    this.#options.onProgress?.({ phase: "import", done: this.#files, bytes: this.#bytes });
  }
}
