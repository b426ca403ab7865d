// Framed streams: bytes of unknown length inside a connection, in frames of a length and that many bytes, ended by 0.

import { TvixError } from "../../base/error.ts";
import { type WireReader, WireWriter } from "../wire.ts";

/** Writes `source` as a framed stream; an empty piece makes no frame. */
export async function* writeFramed(
  source: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
): AsyncGenerator<Uint8Array, void, undefined> {
  const writer = new WireWriter();
  for await (const piece of source) {
    if (piece.length === 0) continue;
    yield writer.u64(piece.length).take();
    yield piece;
  }
  yield writer.u64(0).take();
}

/**
 * Reads a framed stream. Pieces come as they arrive: frames of any length take no memory of their own. When the
 * consumer stops early, the rest of the stream is skipped, so that the connection stays in step.
 */
export async function* readFramed(reader: WireReader): AsyncGenerator<Uint8Array, void, undefined> {
  const frames = new Frames(reader);
  try {
    for (let piece = await frames.next(); piece !== undefined; piece = await frames.next()) yield piece;
  } finally {
    while ((await frames.next()) !== undefined);
  }
}

class Frames {
  readonly #reader: WireReader;
  /** Bytes of the current frame still to come; `undefined` after the last one, or a failure. */
  #left: number | undefined = 0;

  constructor(reader: WireReader) {
    this.#reader = reader;
  }

  async next(): Promise<Uint8Array | undefined> {
    if (this.#left === undefined) return undefined;
    const left = this.#left;
    this.#left = undefined;
    const size = left === 0 ? await this.#reader.u64() : left;
    if (size === 0) return undefined;
    const piece = await this.#reader.some(size);
    if (piece === undefined) {
      throw new TvixError("ERR_WIRE_TRUNCATED", `the stream ends ${size} bytes before its frame does`);
    }
    this.#left = size - piece.length;
    return piece;
  }
}
