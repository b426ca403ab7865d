// Content-defined chunking: where FastCDC cuts a blob, natively.
import { TvixError } from "../base/error.ts";
import { core } from "./load.ts";

/** How blobs are cut. Chunking is no part of any identifier, so stores may differ in it. */
export interface ChunkParams {
  /**
   * The average chunk size in bytes: a multiple of 4, 1024 … 8 MiB; default {@link DEFAULT_AVERAGE}.
   * The smallest chunk but the last is half of it, the largest twice.
   */
  readonly average?: number;
}

/** The default average chunk size in bytes (256 KiB; chunks of 128 KiB … 512 KiB). */
export const DEFAULT_AVERAGE = 262144;

interface NativeChunker {
  push(bytes: Uint8Array): Uint32Array;
  end(): Uint32Array;
}

interface ChunkAddon {
  chunkLengths(bytes: Uint8Array, average: number): Uint32Array;
  readonly Chunker: new (average: number) => NativeChunker;
}

const addon = (): ChunkAddon => core() as unknown as ChunkAddon;

/** The average of `params`, checked. @throws TvixError `ERR_CHUNK_PARAMS` */
export function chunkAverage(params: ChunkParams = {}): number {
  const average = params.average ?? DEFAULT_AVERAGE;
  if (!Number.isInteger(average) || average < 1024 || average > 1 << 23 || average % 4 !== 0) {
    throw new TvixError(
      "ERR_CHUNK_PARAMS",
      `the average chunk size must be a multiple of 4 from 1024 to 8388608 bytes, not ${average}`,
    );
  }
  return average;
}

/**
 * The lengths in bytes of the chunks of a blob, in order; they add up to its size. No chunks for an empty blob.
 * FastCDC (2020) with normalisation level 1; synchronous (about 3 GB/s).
 * @throws TvixError `ERR_CHUNK_PARAMS`
 */
export function chunkLengths(bytes: Uint8Array, params?: ChunkParams): Uint32Array {
  return addon().chunkLengths(bytes, chunkAverage(params));
}

/** The same for a blob that arrives in pieces; it keeps no bytes. How the blob is split into pieces has no influence. */
export class Chunker {
  readonly #native: NativeChunker;

  /** @throws TvixError `ERR_CHUNK_PARAMS` */
  constructor(params?: ChunkParams) {
    this.#native = new (addon().Chunker)(chunkAverage(params));
  }

  /** Takes the next bytes; the lengths of the chunks found to be complete. */
  push(bytes: Uint8Array): Uint32Array {
    return this.#native.push(bytes);
  }

  /** The blob is over: the lengths of the last chunks (at most two; none when nothing is left). Starts anew afterwards. */
  end(): Uint32Array {
    return this.#native.end();
  }
}
