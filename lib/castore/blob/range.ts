// What every blob reader and writer shares: the arithmetic of ranges, reading a whole blob, the order of calls.
import { concatBytes } from "../../base/bytes.ts";
import { TvixError } from "../../base/error.ts";
import { type Digest, digestText } from "../digest.ts";
import type { BlobReader, BlobService } from "./service.ts";

/**
 * The part of a range that lies in a blob of `size` bytes.
 * @throws TvixError `ERR_CASTORE_RANGE` for what is not a whole number of bytes at or after 0.
 */
export function clampRange(size: number, offset: number, length: number): { start: number; end: number } {
  if (!Number.isSafeInteger(offset) || offset < 0 || !(length >= 0)) {
    throw new TvixError("ERR_CASTORE_RANGE", `not a range of a blob: ${length} bytes at ${offset}`);
  }
  const start = Math.min(offset, size);
  return { start, end: Math.min(size, start + length) };
}

/**
 * Reads a whole blob into memory.
 * @throws TvixError `ERR_CASTORE_MISSING` when it is not there.
 */
export async function readBlob(blobs: BlobService, digest: Digest): Promise<Uint8Array> {
  const reader = await openBlob(blobs, digest);
  return await reader.read(0, reader.size);
}

/**
 * Opens a blob that must be there.
 * @throws TvixError `ERR_CASTORE_MISSING`.
 */
export async function openBlob(blobs: BlobService, digest: Digest): Promise<BlobReader> {
  const reader = await blobs.openRead(digest);
  if (reader === undefined) throw missingBlob(digest);
  return reader;
}

/** The error for a blob that is not there. */
export function missingBlob(digest: Digest): TvixError {
  return new TvixError("ERR_CASTORE_MISSING", `blob ${digestText(digest)} is not in the store`);
}

/** The error for bytes that do not hash to the digest they were found under; `where` says what was read. */
export function corrupt(digest: Digest, where: string): TvixError {
  return new TvixError("ERR_CASTORE_CORRUPT", `${digestText(digest)} is damaged: ${where}`, {
    notes: ["`tvix store verify` lists all damage; with --repair it fetches what another store still has"],
  });
}

/** The error for writing to a writer that was closed or aborted. */
export function writerClosed(): TvixError {
  return new TvixError("ERR_CASTORE_CLOSED", "this blob writer is closed");
}

/** A reader over bytes in memory, already verified. */
export function bytesReader(bytes: Uint8Array): BlobReader {
  return {
    size: bytes.length,
    read: async (offset, length) => {
      const { start, end } = clampRange(bytes.length, offset, length);
      return bytes.slice(start, end);
    },
    async *stream(start = 0, end = bytes.length) {
      const range = clampRange(bytes.length, start, end - start);
      if (range.end > range.start) yield bytes.slice(range.start, range.end);
    },
  };
}

/** Collects a stream of pieces into one byte string. */
export async function collectBytes(pieces: AsyncIterable<Uint8Array> | Iterable<Uint8Array>): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  for await (const piece of pieces) parts.push(piece);
  return parts.length === 1 && parts[0] ? parts[0] : concatBytes(parts);
}
