// The blob service: bytes by digest. Small on purpose; everything else is built on it.
import type { Digest } from "../digest.ts";

/** A piece of a blob, itself a blob. Pieces in order make the whole; how a blob was cut is the backend's business. */
export interface ChunkMeta {
  readonly digest: Digest;
  /** Bytes, never 0. */
  readonly size: number;
}

/**
 * Keeps blobs by their digest.
 *
 * Every backend keeps these promises (`tvix/castore/testing` checks them):
 * - Bytes handed out hash to the digest asked for; otherwise the read fails with `ERR_CASTORE_CORRUPT`.
 * - The empty blob is always there.
 * - What a successful `put` or `close` stored is durable and visible to every later call, in every process.
 * - Storing what is there already succeeds and changes nothing.
 */
export interface BlobService {
  /** Which of the blobs (or chunks) are there, in the order asked. One call for many: ask in bulk. */
  has(digests: readonly Digest[]): Promise<boolean[]>;
  /** Opens a blob (or chunk) for reading; `undefined` when it is not there. */
  openRead(digest: Digest): Promise<BlobReader | undefined>;
  /** Starts a new blob. */
  openWrite(): BlobWriter;
  /** Stores many whole blobs at once, with one sync for all; their digests in the same order. */
  put(blobs: readonly Uint8Array[]): Promise<Digest[]>;
  /** How a blob is cut: `undefined` when it is not there, empty when there is no finer cut than the whole. */
  chunks(digest: Digest): Promise<readonly ChunkMeta[] | undefined>;
}

/** A blob open for reading at any position. Needs no closing. */
export interface BlobReader {
  /** Bytes of the blob. */
  readonly size: number;
  /**
   * Reads `length` bytes from `offset`, fewer at the end of the blob, none beyond it. Touches only the chunks that
   * the range covers. The result is the caller's own, safe to keep.
   */
  read(offset: number, length: number): Promise<Uint8Array>;
  /**
   * Fills `into` from `offset` on, at once, where contents are at hand; `into` must lie in the blob. For who reads much
   * into memory of their own.
   */
  fill?(offset: number, into: Uint8Array): void;
  /**
   * The bytes from `start` (0) up to `end` (the blob's) in pieces of the backend's choice, none of them empty. Pieces are
   * the caller's own, or, with `recycle`, as they are until two further ones have been asked for: for who is done with
   * each before the next, since a gigabyte of fresh arrays is work for the collector.
   */
  stream(start?: number, end?: number, recycle?: boolean): AsyncIterable<Uint8Array>;
}

/** A blob being written. Nothing is visible until {@link BlobWriter.close} has returned. */
export interface BlobWriter {
  /** Appends bytes, which may be reused once the promise resolves; awaiting it keeps memory bounded. */
  write(bytes: Uint8Array): Promise<void>;
  /** Makes the blob durable and visible. Again: the same digest. */
  close(): Promise<Digest>;
  /** Gives the blob up. After `close` it has no effect. */
  abort(): void;
}
