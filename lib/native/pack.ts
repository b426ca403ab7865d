// Pack files: append-only files of chunks, written with one sync for many and read verified, natively.
//
// The format is described in docs/store-format.md and native/pack/pack.h. An extent (offset, length) locates the bytes
// of one chunk inside a pack; extents are found through the store's index. Order of durability for a store:
// `append` → `sync` resolves → commit the extents to the index. What was never synced may be missing after a crash.
import { core } from "./load.ts";
import { guarded, pathBytes, settled } from "./failure.ts";

/** Chunks of one pack, as parallel arrays: chunk i is `lengths[i]` bytes at `offsets[i]` with BLAKE3 `digests[32i…]`. */
export interface PackExtents {
  /** Offsets of the chunks' bytes in the pack file (not of their records). */
  readonly offsets: Float64Array;
  /** Lengths of the chunks in bytes, 1 … 2^30. */
  readonly lengths: Uint32Array;
  /** BLAKE3 digests of the chunks' bytes, 32 bytes each. */
  readonly digests: Uint8Array;
}

/** What a scan of a pack finds: {@link scanPack}. */
export interface PackScan extends PackExtents {
  /** 1 for each record whose bytes have the digest its header names, 0 for a damaged one. */
  readonly intact: Uint8Array;
}

/** What {@link NativePackWriter} is to the ingestion pipeline; other code uses {@link PackWriter}. */
export interface NativePackWriter {
  readonly size: number;
  append(chunks: readonly Uint8Array[], digests: Uint8Array): Promise<Float64Array>;
  copy(
    reader: NativePackReader,
    offsets: Float64Array,
    lengths: Uint32Array,
    digests: Uint8Array,
  ): Promise<Float64Array>;
  sync(): Promise<void>;
  close(): Promise<void>;
}

/** The addon's side of a {@link PackReader}; rendering takes it to read from packs without a call per chunk. */
export interface NativePackReader {
  readonly fd: number;
  read(offsets: Float64Array, lengths: Uint32Array, digests: Uint8Array, into?: Uint8Array): Promise<Uint8Array>;
  readSync(offset: number, length: number, digest: Uint8Array): Uint8Array;
  readRangeSync(offset: number, length: number, digest: Uint8Array, from: number, into: Uint8Array): void;
  close(): void;
}

interface NativePackScan {
  next(): Promise<PackScan | undefined>;
  close(): void;
}

interface PackAddon {
  packWriterOpen(path: Uint8Array): Promise<NativePackWriter>;
  packReaderOpen(path: Uint8Array): NativePackReader;
  packScan(path: Uint8Array): NativePackScan;
}

const addon = (): PackAddon => core() as unknown as PackAddon;

/**
 * Appends chunks to one pack file. Large appends bypass the page cache where the file system allows it.
 *
 * One writer at a time per pack: `open` takes an advisory lock that the kernel drops when the process ends. A failed
 * write (disk full, device error) fails this and every later `append` and `sync` with the same error: nothing appended
 * since the last successful `sync` may be indexed. Close the writer and go on in a new pack.
 */
export class PackWriter {
  /** The pack file's path, as given. */
  readonly path: string | Uint8Array;
  /** For lib/native only. */
  readonly native: NativePackWriter;

  private constructor(path: string | Uint8Array, native: NativePackWriter) {
    this.path = path;
    this.native = native;
  }

  /**
   * Opens a pack for appending; makes it, with its header, when it is missing. After a crash it goes on behind whatever
   * the file holds: an unreferenced tail is left alone.
   * @throws TvixError `ERR_PACK_LOCKED` (another writer has it), `ERR_PACK_FORMAT` (no pack, or a newer version),
   *   `ERR_PACK_FULL` (no space), `ERR_PACK_IO` (anything else the system says)
   */
  static async open(path: string | Uint8Array): Promise<PackWriter> {
    return new PackWriter(path, await settled(addon().packWriterOpen(pathBytes(path))));
  }

  /** Length the pack will have once everything appended is written, in bytes. */
  get size(): number {
    return this.native.size;
  }

  /**
   * Appends chunks (1 … 2^30 bytes each); resolves to the offsets of their bytes. The bytes are copied before the call
   * returns; the promise resolves when the writer has room for more, so awaiting it bounds memory.
   * @param digests the chunks' BLAKE3 digests, 32 bytes each, computed by the caller
   * @throws TvixError `ERR_PACK_FULL`, `ERR_PACK_IO`, `ERR_PACK_CLOSED`
   */
  append(chunks: readonly Uint8Array[], digests: Uint8Array): Promise<Float64Array> {
    return settled(this.native.append(chunks, digests));
  }

  /**
   * Copies chunks from another pack, verifying each, without bringing them into JavaScript: the way a pack is compacted.
   * Resolves to their offsets in this pack.
   * @throws TvixError as {@link append} and {@link PackReader.read}; chunks before the failing one may have been appended
   */
  copy(from: PackReader, extents: PackExtents): Promise<Float64Array> {
    return settled(this.native.copy(from.native, extents.offsets, extents.lengths, extents.digests));
  }

  /**
   * Resolves when everything appended before the call is on the disk (written and `fdatasync`ed).
   * @throws TvixError `ERR_PACK_FULL`, `ERR_PACK_IO`, `ERR_PACK_CLOSED`
   */
  sync(): Promise<void> {
    return settled(this.native.sync());
  }

  /** Writes out what was appended (without sync), gives the lock back, closes. Idempotent; never fails. */
  close(): Promise<void> {
    return this.native.close();
  }
}

/**
 * Reads chunks from one pack file; every byte that leaves it has been verified against the chunk's digest.
 * The file stays readable through an open reader even after it was unlinked.
 */
export class PackReader {
  readonly path: string | Uint8Array;
  /** For lib/native only. */
  readonly native: NativePackReader;

  private constructor(path: string | Uint8Array, native: NativePackReader) {
    this.path = path;
    this.native = native;
  }

  /** @throws TvixError `ERR_PACK_MISSING`, `ERR_PACK_FORMAT`, `ERR_PACK_IO` */
  static open(path: string | Uint8Array): PackReader {
    return new PackReader(
      path,
      guarded(() => addon().packReaderOpen(pathBytes(path))),
    );
  }

  /** The open descriptor: for a mount that splices extents by itself. Closed by {@link close}. */
  get fd(): number {
    return this.native.fd;
  }

  /**
   * Reads and verifies chunks off the event loop; resolves to their bytes, one behind the other.
   * @param into where to put the bytes (at least the sum of the lengths): spares an allocation. It must not be touched
   *   until the promise settles; the result is then the filled part of it
   * @throws TvixError `ERR_PACK_CORRUPT` naming digest, pack and offset; `ERR_PACK_IO`
   */
  read(extents: PackExtents, into?: Uint8Array): Promise<Uint8Array> {
    return settled(this.native.read(extents.offsets, extents.lengths, extents.digests, into));
  }

  /** Reads and verifies one chunk in this call. @throws as {@link read} */
  readSync(offset: number, length: number, digest: Uint8Array): Uint8Array {
    return guarded(() => this.native.readSync(offset, length, digest));
  }

  /**
   * Fills `into` with the bytes of a chunk from `from` on (`from + into.length` ≤ `length`). The first range of a chunk
   * verifies the whole chunk; this reader remembers that, and further ranges cost one pread each.
   * @throws as {@link read}
   */
  readRangeSync(offset: number, length: number, digest: Uint8Array, from: number, into: Uint8Array): void {
    guarded(() => this.native.readRangeSync(offset, length, digest, from, into));
  }

  /** Closes the descriptor once reads under way are done. Idempotent. */
  close(): void {
    this.native.close();
  }
}

/**
 * All records of a pack in order, verified, in batches: for `verify` and for rebuilding an index. Damaged stretches and
 * unreferenced tails are passed over; a damaged record whose header is whole is reported with `intact` 0.
 * @throws TvixError `ERR_PACK_MISSING`, `ERR_PACK_FORMAT`, `ERR_PACK_IO`
 */
export async function* scanPack(path: string | Uint8Array): AsyncGenerator<PackScan, void, void> {
  const scan = guarded(() => addon().packScan(pathBytes(path)));
  try {
    for (let batch = await settled(scan.next()); batch; batch = await settled(scan.next())) yield batch;
  } finally {
    scan.close();
  }
}
