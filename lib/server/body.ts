// Bodies of requests: in pieces, or whole up to a limit.
import type { IncomingMessage } from "node:http";
import { TvixError } from "../base/error.ts";

/**
 * A body in pieces, to its end. Who stops earlier can still answer: the connection stays.
 * @throws TvixError `ERR_SERVER_UPLOAD` when the client goes away in the middle
 */
export async function* bodyOf(incoming: IncomingMessage): AsyncGenerator<Uint8Array, void, undefined> {
  const pieces = incoming.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>;
  try {
    for await (const piece of pieces) yield new Uint8Array(piece.buffer, piece.byteOffset, piece.length);
  } catch (cause) {
    throw new TvixError("ERR_SERVER_UPLOAD", "the upload was cut off", { cause });
  }
  if (!incoming.complete) throw new TvixError("ERR_SERVER_UPLOAD", "the upload was cut off");
}

/** The whole body, of at most `limit` bytes. @throws TvixError `ERR_SERVER_TOO_LARGE`, `ERR_SERVER_UPLOAD` */
export async function readSmall(incoming: IncomingMessage, limit: number): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  let size = 0;
  for await (const piece of bodyOf(incoming)) {
    size += piece.length;
    if (size > limit) throw new TvixError("ERR_SERVER_TOO_LARGE", `the request has more than ${limit} bytes`);
    parts.push(piece);
  }
  return new Uint8Array(Buffer.concat(parts));
}
