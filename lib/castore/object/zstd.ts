// Zstandard for objects at rest: Node's own where it has one (22.15 on), else WebAssembly to write and JavaScript to read.
import { promisify } from "node:util";
import * as zlib from "node:zlib";
import { concatBytes } from "../../base/bytes.ts";
import { TvixError } from "../../base/error.ts";
import { zstdEncoder } from "../../base/zstd.ts";

type Callback = (error: Error | null, bytes: Uint8Array) => void;

/** What @types/node for Node 20 does not know of. */
interface ZstdFunctions {
  readonly zstdCompress?: (bytes: Uint8Array, done: Callback) => void;
  readonly zstdDecompress?: (bytes: Uint8Array, options: { maxOutputLength: number }, done: Callback) => void;
}

const { zstdCompress, zstdDecompress } = zlib as ZstdFunctions;
const MAGIC = 0xfd2fb528;
/** Largest window accepted in JavaScript, whatever is announced: twice what level 19 uses. */
const WINDOW_LIMIT = 16 << 20;

/** One frame with the bytes. */
export async function compress(bytes: Uint8Array): Promise<Uint8Array> {
  if (zstdCompress) return plain(await promisify(zstdCompress)(bytes));
  return (await zstdEncoder())(bytes);
}

/**
 * The bytes of one or more frames, at most `limit` of them.
 * @throws TvixError `ERR_ZSTD` for damaged frames and longer contents
 */
export async function decompress(frames: Uint8Array, limit: number): Promise<Uint8Array> {
  if (!zstdDecompress) return await decompressPortably(frames, limit);
  try {
    return plain(await promisify(zstdDecompress)(frames, { maxOutputLength: limit }));
  } catch (cause) {
    throw zstdError(cause instanceof Error ? cause.message : "damaged", cause);
  }
}

/** The same in JavaScript alone. */
export async function decompressPortably(frames: Uint8Array, limit: number): Promise<Uint8Array> {
  if (frames.length === 0) throw zstdError("it is empty");
  checkHeader(frames, limit);
  const { Decompress } = await import("fzstd");
  const pieces: Uint8Array[] = [];
  let total = 0;
  const decoder = new Decompress((piece) => {
    total += piece.length;
    if (total > limit) throw zstdError(`more than ${limit} bytes`);
    pieces.push(piece);
  });
  try {
    decoder.push(frames.slice(), true);
  } catch (cause) {
    if (cause instanceof TvixError) throw cause;
    throw zstdError(cause instanceof Error ? cause.message : "damaged", cause);
  }
  return pieces.length === 1 && pieces[0] ? pieces[0] : concatBytes(pieces);
}

/** What a frame announces is made room for before anything is decoded: here it is looked at first. */
function checkHeader(frame: Uint8Array, limit: number): void {
  const view = new DataView(frame.buffer, frame.byteOffset, frame.length);
  if (frame.length < 6 || view.getUint32(0, true) !== MAGIC) throw zstdError("no frame where one should begin");
  const descriptor = frame[4] as number;
  const singleSegment = (descriptor & 0x20) !== 0;
  if (!singleSegment) {
    const exponent = 10 + ((frame[5] as number) >> 3);
    const window = 2 ** exponent + (2 ** exponent / 8) * ((frame[5] as number) & 7);
    if (window > WINDOW_LIMIT) throw zstdError(`it needs a window of ${window} bytes`);
    return;
  }
  const at = 5 + ([0, 1, 2, 4][descriptor & 3] as number);
  const length = [1, 2, 4, 8][descriptor >> 6] as number;
  if (frame.length < at + length) throw zstdError("the frame ends too early");
  let size = length === 2 ? 256 : 0;
  for (let i = 0; i < length; i++) size += (frame[at + i] as number) * 256 ** i;
  if (size > limit) throw zstdError(`more than ${limit} bytes`);
}

function plain(buffer: Uint8Array): Uint8Array {
  return new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.length);
}

function zstdError(why: string, cause?: unknown): TvixError {
  return new TvixError("ERR_ZSTD", `not a valid zstd frame: ${why}`, { cause });
}
