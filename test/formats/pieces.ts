// Byte streams for tests: cut into pieces, put together again.

import { concatBytes } from "../../lib/base/bytes.ts";

/** `bytes` in pieces of `size`. */
export async function* pieces(bytes: Uint8Array, size: number): AsyncGenerator<Uint8Array, void, undefined> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

/** All that a stream yields. */
export async function collect<T>(source: AsyncIterable<T>): Promise<T[]> {
  const out: T[] = [];
  for await (const each of source) out.push(each);
  return out;
}

/** All bytes that a stream yields. */
export async function collectBytes(source: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  return concatBytes((await collect(source)).map((piece) => piece.slice()));
}
