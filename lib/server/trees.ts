// Trees over HTTP, in parts and in bulk: the other side of lib/store/nix-http/trees.ts, which describes the questions.
import type { Hono } from "hono";
import { TvixError } from "../base/error.ts";
import { encodeStat } from "../castore/blob/object.ts";
import { openBlob } from "../castore/blob/range.ts";
import { asDigest, type Digest, DIGEST_LENGTH, parseDigest } from "../castore/digest.ts";
import { ABSENT, BULK_DIGESTS } from "../store/nix-http/trees.ts";
import type { Store } from "../store/store.ts";
import { RESPONSE_ALREADY_SENT } from "@hono/node-server/utils/response";
import { send, sendBody } from "./answer.ts";
import { readSmall } from "./body.ts";
import type { CacheBindings } from "./binary-cache.ts";
import type { IncomingMessage } from "node:http";

/** Answers are gathered up to this many bytes before they are sent. */
const PIECE = 256 << 10;
/** A blob that is longer is not for asking in bulk. */
const BLOB_MAX = 64 << 20;

/** One answer: the bytes, whole or in pieces, and how many they are. */
interface Found {
  readonly size: number;
  readonly pieces: Iterable<Uint8Array> | AsyncIterable<Uint8Array>;
}

/** Adds the routes of trees. */
export function treeRoutes(app: Hono<CacheBindings>, store: Store): void {
  const whole = (bytes: Uint8Array): Found => ({ size: bytes.length, pieces: [bytes] });
  const questions: Record<string, (digest: Digest) => Promise<Found | undefined>> = {
    directories: async (digest) => {
      const directory = await store.directories.get(digest);
      return directory && whole(directory.encode());
    },
    chunks: async (digest) => {
      const chunks = await store.blobs.chunks(digest);
      return chunks && whole(encodeStat(chunks));
    },
    blobs: async (digest) => {
      const reader = await store.blobs.openRead(digest);
      if (reader === undefined || reader.size > BLOB_MAX) return undefined;
      if (reader.size <= PIECE) return whole(await reader.read(0, reader.size));
      return { size: reader.size, pieces: reader.stream() };
    },
  };
  for (const [name, find] of Object.entries(questions)) {
    app.post(`/castore/${name}`, async (c) => {
      const digests = await readDigests(c.env.incoming);
      const headers = { "content-type": "application/octet-stream" };
      await send(c.env.outgoing, 200, headers, answers(digests, find));
      return RESPONSE_ALREADY_SENT;
    });
  }
  app.get("/castore/blobs/:digest{[0-9a-f]{64}}", async (c) => {
    const digest = c.req.param("digest");
    const reader = await openBlob(store.blobs, parseDigest(digest));
    const body = { size: reader.size, stream: (start: number, end: number) => reader.stream(start, end) };
    const headers = { "content-type": "application/octet-stream", etag: `"${digest}"` };
    return await sendBody(c.env, body, headers, false);
  });
}

async function readDigests(incoming: IncomingMessage): Promise<Digest[]> {
  const bytes = await readSmall(incoming, BULK_DIGESTS * DIGEST_LENGTH);
  if (bytes.length % DIGEST_LENGTH !== 0) {
    throw new TvixError("ERR_SERVER_REQUEST", `digests have ${DIGEST_LENGTH} bytes each; these are ${bytes.length}`);
  }
  return Array.from({ length: bytes.length / DIGEST_LENGTH }, (_, i) =>
    asDigest(bytes.subarray(i * DIGEST_LENGTH, (i + 1) * DIGEST_LENGTH)),
  );
}

/** The answers in the order asked, gathered into pieces worth sending. */
async function* answers(
  digests: readonly Digest[],
  find: (digest: Digest) => Promise<Found | undefined>,
): AsyncGenerator<Uint8Array> {
  let parts: Uint8Array[] = [];
  let size = 0;
  for (const digest of digests) {
    const found = await find(digest);
    const length = new Uint8Array(4);
    new DataView(length.buffer).setUint32(0, found?.size ?? ABSENT);
    parts.push(length);
    size += 4;
    for await (const piece of found?.pieces ?? []) {
      parts.push(piece);
      size += piece.length;
      if (size < PIECE) continue;
      yield Buffer.concat(parts);
      parts = [];
      size = 0;
    }
  }
  if (size > 0) yield Buffer.concat(parts);
}
