// Zstandard for objects at rest: Node's own where it has one, else frames that store their bytes as they are.
//
// Objects are zstd frames whoever wrote them. Node has zstd from 22.15 on; an older one writes frames of raw blocks,
// which every decoder reads, and reads frames of raw and repeated blocks, which is what it has written itself.
import * as zlib from "node:zlib";
import { concatBytes } from "../../base/bytes.ts";
import { TvixError } from "../../base/error.ts";

interface ZstdFunctions {
  readonly zstdCompressSync?: (bytes: Uint8Array) => Uint8Array;
  readonly zstdDecompressSync?: (bytes: Uint8Array, options: { maxOutputLength: number }) => Uint8Array;
}

const { zstdCompressSync, zstdDecompressSync } = zlib as ZstdFunctions;
const MAGIC = 0xfd2fb528;
const BLOCK_MAX = 1 << 17;

/** One frame with the bytes. */
export function compress(bytes: Uint8Array): Uint8Array {
  return zstdCompressSync ? plain(zstdCompressSync(bytes)) : storeFrame(bytes);
}

/**
 * The bytes of one or more frames, at most `limit` of them.
 * @throws TvixError `ERR_ZSTD` for damaged frames and longer contents, `ERR_ZSTD_UNSUPPORTED` for compressed blocks where
 * this Node has no zstd.
 */
export function decompress(frames: Uint8Array, limit: number): Uint8Array {
  if (!zstdDecompressSync) return readStoredFrames(frames, limit);
  try {
    return plain(zstdDecompressSync(frames, { maxOutputLength: limit }));
  } catch (cause) {
    throw zstdError(cause instanceof Error ? cause.message : "damaged", cause);
  }
}

function plain(buffer: Uint8Array): Uint8Array {
  return new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.length);
}

/** A frame of raw blocks: single segment, content size in eight bytes, no checksum. */
export function storeFrame(bytes: Uint8Array): Uint8Array {
  const header = new Uint8Array(13);
  const view = new DataView(header.buffer);
  view.setUint32(0, MAGIC, true);
  header[4] = 0b1110_0000;
  view.setBigUint64(5, BigInt(bytes.length), true);
  const parts: Uint8Array[] = [header];
  for (let at = 0; at === 0 || at < bytes.length; at += BLOCK_MAX) {
    const block = bytes.subarray(at, at + BLOCK_MAX);
    const last = at + BLOCK_MAX >= bytes.length ? 1 : 0;
    const word = (block.length << 3) | last;
    parts.push(Uint8Array.of(word & 255, (word >> 8) & 255, (word >> 16) & 255), block);
  }
  return concatBytes(parts);
}

/** The inverse of {@link storeFrame}, and of what other encoders store without compression. */
export function readStoredFrames(frames: Uint8Array, limit: number): Uint8Array {
  const parts: Uint8Array[] = [];
  let total = 0;
  for (let at = 0; at < frames.length; ) {
    const frame = new StoredFrame(frames, at);
    for (const block of frame.blocks()) {
      total += block.length;
      if (total > limit) throw zstdError(`more than ${limit} bytes`);
      parts.push(block);
    }
    at = frame.at;
  }
  return concatBytes(parts);
}

class StoredFrame {
  readonly #bytes: Uint8Array;
  readonly #checksum: boolean;
  at: number;

  constructor(bytes: Uint8Array, start: number) {
    this.#bytes = bytes;
    this.at = start;
    if (this.#number(4) !== MAGIC) throw zstdError("no frame where one should begin");
    const descriptor = this.#number(1);
    const singleSegment = (descriptor & 0x20) !== 0;
    if ((descriptor & 0x08) !== 0) throw zstdError("a reserved bit is set");
    this.#checksum = (descriptor & 0x04) !== 0;
    if (!singleSegment) this.#take(1);
    this.#take([0, 1, 2, 4][descriptor & 3] as number);
    const sizeField = descriptor >> 6;
    this.#take(sizeField === 0 ? (singleSegment ? 1 : 0) : 1 << sizeField);
  }

  *blocks(): Generator<Uint8Array> {
    for (let last = false; !last; ) {
      const word = this.#number(3);
      last = (word & 1) === 1;
      const type = (word >> 1) & 3;
      const size = word >> 3;
      if (type === 0) yield this.#take(size);
      else if (type === 1) yield new Uint8Array(size).fill(this.#number(1));
      else if (type === 3) throw zstdError("a reserved block type");
      else {
        throw new TvixError("ERR_ZSTD_UNSUPPORTED", "a compressed object cannot be read by this Node.js", {
          notes: [`Node.js has zstd from 22.15 on; this is ${process.version}`],
        });
      }
    }
    if (this.#checksum) this.#take(4);
  }

  #take(length: number): Uint8Array {
    if (length > this.#bytes.length - this.at) throw zstdError("the frame ends too early");
    this.at += length;
    return this.#bytes.subarray(this.at - length, this.at);
  }

  #number(length: number): number {
    return this.#take(length).reduce((value, byte, i) => value + byte * 256 ** i, 0);
  }
}

function zstdError(why: string, cause?: unknown): TvixError {
  return new TvixError("ERR_ZSTD", `not a valid zstd frame: ${why}`, { cause });
}
