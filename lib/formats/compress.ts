// The compressions that caches and tarballs come in: names, file extensions, and streams of bytes through them.
//
// gzip and Brotli are Node's own, bzip2 is `bzip2.ts`; xz and (before Node 22.15) zstd are packages, loaded when first
// needed. Whatever the input, a piece of output is made when it is asked for, so a small file that decompresses to
// terabytes costs time and no memory: whoever consumes it sets the limit.

import { pipeline, Readable, type Transform } from "node:stream";
import { ReadableStream } from "node:stream/web";
import * as zlib from "node:zlib";
import { zstdEncoder } from "../base/zstd.ts";
import { TvixError } from "../base/error.ts";
import { readBzip2 } from "./bzip2.ts";

/** Compressions that can be read, by the names that narinfo uses. */
export type Compression = "none" | "gzip" | "br" | "bzip2" | "xz" | "zstd";

type Source = AsyncIterable<Uint8Array>;
type Stream = AsyncGenerator<Uint8Array, void, undefined>;

interface Codec {
  /** What follows `.nar` in the names of compressed files. */
  readonly extension: string;
  /** What files begin with, when that tells. */
  readonly magic?: readonly number[];
  readonly decompress: (source: Source) => Stream;
  readonly compress?: (source: Source) => Stream;
}

/** Bytes given at once to a decoder that answers with all they hold: 2 KiB of zstd hold at most 64 MiB. */
const SMALL_PIECE = 2048;

const CODECS: Readonly<Record<Compression, Codec>> = {
  none: { extension: "", decompress: copy, compress: copy },
  gzip: {
    extension: ".gz",
    magic: [0x1f, 0x8b],
    decompress: (source) => through(source, zlib.createGunzip()),
    compress: (source) => through(source, zlib.createGzip()),
  },
  br: {
    extension: ".br",
    decompress: (source) => through(source, zlib.createBrotliDecompress()),
    compress: (source) =>
      through(source, zlib.createBrotliCompress({ params: { [zlib.constants.BROTLI_PARAM_QUALITY]: 5 } })),
  },
  bzip2: { extension: ".bz2", magic: [0x42, 0x5a, 0x68], decompress: readBzip2 },
  xz: { extension: ".xz", magic: [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0], decompress: readXz },
  zstd: { extension: ".zst", magic: [0x28, 0xb5, 0x2f, 0xfd], decompress: readZstd, compress: writeZstd },
};

/** Reads a compression's name; throws `ERR_COMPRESS_UNKNOWN`. */
export function parseCompression(name: string): Compression {
  if (Object.hasOwn(CODECS, name)) return name as Compression;
  throw new TvixError("ERR_COMPRESS_UNKNOWN", `compression '${name.slice(0, 40)}' is not supported`, {
    notes: [`supported are ${Object.keys(CODECS).join(", ")}`],
  });
}

/** What follows `.nar` in the name of a compressed archive. */
export function compressionExtension(compression: Compression): string {
  return CODECS[compression].extension;
}

/** Which compression a file is in, as far as its first six bytes tell; `none` when they are no compression's. */
export function detectCompression(start: Uint8Array): Compression {
  const found = Object.entries(CODECS).find(([, { magic }]) => magic?.every((byte, i) => start[i] === byte));
  return (found?.[0] ?? "none") as Compression;
}

/**
 * Decompresses a stream, to its end: what is cut off, damaged or followed by something else is refused.
 *
 * @throws TvixError `ERR_COMPRESS_CORRUPT`, `ERR_BZIP2_…`; what
 *   `source` throws comes through as it is
 */
export async function* decompress(compression: Compression, source: Source): Stream {
  const watched = new Watched(source);
  try {
    yield* CODECS[compression].decompress(watched);
  } catch (cause) {
    if (watched.failed) throw watched.failure;
    if (cause instanceof TvixError) throw cause;
    throw new TvixError("ERR_COMPRESS_CORRUPT", `bad ${compression} data: ${messageOf(cause)}`, { cause });
  }
  if (watched.isEmpty && compression !== "none") {
    throw new TvixError("ERR_COMPRESS_CORRUPT", `bad ${compression} data: there is none`);
  }
}

/** Compresses a stream; throws `ERR_COMPRESS_UNAVAILABLE` for compressions that are only read. */
export async function* compress(compression: Compression, source: Source): Stream {
  const encode = CODECS[compression].compress;
  if (encode === undefined) {
    throw new TvixError("ERR_COMPRESS_UNAVAILABLE", `compressing with ${compression} is not supported`);
  }
  yield* encode(source);
}

/** A source that remembers whether it gave anything and how it failed. */
class Watched implements AsyncIterable<Uint8Array> {
  readonly #source: Source;
  isEmpty = true;
  failed = false;
  failure: unknown;

  constructor(source: Source) {
    this.#source = source;
  }

  async *[Symbol.asyncIterator](): Stream {
    const pieces = this.#source[Symbol.asyncIterator]();
    try {
      for (;;) {
        // Only what the source itself throws: a decoder that fails throws its own error into this generator.
        const next = await pieces.next().catch((error: unknown) => this.#fail(error));
        if (next.done === true) return;
        if (next.value.length === 0) continue;
        this.isEmpty = false;
        yield next.value;
      }
    } finally {
      if (!this.failed) await pieces.return?.();
    }
  }

  #fail(error: unknown): never {
    this.failed = true;
    this.failure = error;
    throw error;
  }
}

async function* copy(source: Source): Stream {
  yield* source;
}

async function* through(source: Source, transform: Transform): Stream {
  // The error, if any, comes out of the iteration below; the callback is there so that it is not thrown twice.
  pipeline(Readable.from(source), transform, () => {});
  for await (const piece of transform as AsyncIterable<Buffer>) {
    yield new Uint8Array(piece.buffer, piece.byteOffset, piece.length);
  }
}

async function* readXz(source: Source): Stream {
  // A CommonJS bundle: its types promise a named export, Node gives it under `default`.
  const library = (await import("xz-decompress")) as unknown as { readonly default: typeof import("xz-decompress") };
  const { XzReadableStream } = library.default;
  const pieces = source[Symbol.asyncIterator]();
  const from = new ReadableStream<Uint8Array>({
    pull: async (controller) => {
      const next = await pieces.next();
      if (next.done === true) controller.close();
      else controller.enqueue(next.value);
    },
    cancel: async () => {
      await pieces.return?.();
    },
  });
  try {
    yield* new XzReadableStream(from);
  } finally {
    // A decoder that fails does not tell its source.
    await pieces.return?.();
  }
}

function readZstd(source: Source): Stream {
  // In @types/node for Node 20 the function does not exist, as it does not in Node 20.
  const { createZstdDecompress } = zlib as { readonly createZstdDecompress?: () => Transform };
  return createZstdDecompress === undefined ? readZstdPortably(source) : through(source, createZstdDecompress());
}

/** For Node before 22.15. The package does not look at the checksum that frames may have. */
async function* readZstdPortably(source: Source): Stream {
  const { Decompress } = await import("fzstd");
  const pieces: Uint8Array[] = [];
  const decoder = new Decompress((piece) => pieces.push(piece));
  for await (const piece of source) {
    for (let at = 0; at < piece.length; at += SMALL_PIECE) {
      decoder.push(piece.slice(at, at + SMALL_PIECE), false);
      yield* pieces.splice(0);
    }
  }
  decoder.push(new Uint8Array(0), true);
  yield* pieces.splice(0);
}

/** Level 3 as everywhere. Before Node 22.15 every piece becomes a frame of its own, which all decoders take. */
async function* writeZstd(source: Source): Stream {
  const { createZstdCompress } = zlib as { readonly createZstdCompress?: () => Transform };
  if (createZstdCompress !== undefined) {
    yield* through(source, createZstdCompress());
    return;
  }
  const encode = await zstdEncoder();
  let isEmpty = true;
  for await (const piece of source) {
    isEmpty = false;
    yield encode(piece);
  }
  if (isEmpty) yield encode(new Uint8Array(0));
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
