// Answers over HTTP: bodies streamed with backpressure, ranges, content encodings, and errors as statuses.
import type { IncomingMessage, ServerResponse } from "node:http";
import { RESPONSE_ALREADY_SENT } from "@hono/node-server/utils/response";
import { TvixError } from "../base/error.ts";
import { type Compression, compress } from "../formats/compress.ts";

/** What a body is streamed from and to. */
export interface Exchange {
  readonly incoming: IncomingMessage;
  readonly outgoing: ServerResponse;
}

/** A body that can be read from any place. */
export interface Body {
  /** In bytes. */
  readonly size: number;
  /** Bytes `start` up to `end`. With `recycle`, a piece need stay as it is only until two more have been asked for. */
  stream(start: number, end: number, recycle: boolean): AsyncIterable<Uint8Array>;
}

/** Codes of failures that are the client's, or the state of things; everything else is a failure of ours. */
const STATUS: Readonly<Record<string, number>> = {
  ERR_NAR_URL: 404,
  ERR_STORE_NO_PATH: 404,
  ERR_CASTORE_MISSING: 404,
  ERR_SERVER_NOT_FOUND: 404,
  ERR_SERVER_REQUEST: 400,
  ERR_SERVER_TOO_LARGE: 413,
  ERR_SERVER_UPLOAD: 400,
  ERR_SERVER_UNAUTHORIZED: 401,
  ERR_SERVER_FORBIDDEN: 403,
  ERR_SERVER_BUSY: 503,
  ERR_STORE_FULL: 507,
  ERR_STORE_READONLY: 403,
};
/** Families of such codes: what was sent is malformed. */
const MALFORMED =
  /^ERR_(NAR|NARINFO|COMPRESS|BZIP2|STORE_PATH|HASH|BASE32|BASE64|SIGNATURE|CONTENT_ADDRESS|CASTORE_DIGEST|PATH_INFO)(_|$)/;

/** The status that says what an error says. */
export function statusOf(error: unknown): number {
  if (!(error instanceof TvixError)) return 500;
  return STATUS[error.code] ?? (MALFORMED.test(error.code) ? 400 : 500);
}

/** An error as an answer. What is our own affair is not told. */
export function errorAnswer(error: unknown): Response {
  const status = statusOf(error);
  const text = error instanceof TvixError ? `${status === 500 ? "" : error.message} [${error.code}]` : "internal error";
  const headers: Record<string, string> = { "content-type": "text/plain; charset=utf-8" };
  if (status === 401) headers["www-authenticate"] = 'Bearer, Basic realm="tvix"';
  if (status === 503) headers["retry-after"] = "1";
  return new Response(`${text.trim()}\n`, { status, headers });
}

/**
 * Sends a body, or the range of it that is asked for. Headers leave when the first bytes are there, so that a body that
 * cannot be read at all is an error with a status; one that cannot be read to its end ends the connection.
 * @param encode whether the body may be compressed as the client likes
 */
export async function sendBody(
  { incoming, outgoing }: Exchange,
  body: Body,
  headers: Readonly<Record<string, string>>,
  encode: boolean,
): Promise<Response> {
  const range = rangeOf(incoming, body.size, headers["etag"]);
  if (range === "unsatisfiable") {
    return new Response(null, { status: 416, headers: { "content-range": `bytes */${body.size}` } });
  }
  const all: Record<string, string> = { ...headers, "accept-ranges": "bytes" };
  const encoding = range || !encode ? undefined : encodingFor(incoming.headers["accept-encoding"]);
  if (encode) all["vary"] = "accept-encoding";
  const { start, end } = range ?? { start: 0, end: body.size };
  if (range) all["content-range"] = `bytes ${start}-${end - 1}/${body.size}`;
  if (encoding) all["content-encoding"] = encoding;
  else all["content-length"] = String(end - start);
  const status = range ? 206 : 200;
  if (incoming.method === "HEAD") return new Response(null, { status, headers: all });
  const plain = body.stream(start, end, encoding === undefined);
  await send(outgoing, status, all, encoding ? compress(encoding, plain) : plain);
  return RESPONSE_ALREADY_SENT;
}

/** Sends a whole text: in one write, and without the streams of the web on the way. */
export function sendText({ outgoing }: Exchange, text: string, type: string): Response {
  const bytes = Buffer.byteLength(text);
  outgoing.writeHead(200, { "content-type": type, "content-length": bytes });
  outgoing.end(text);
  return RESPONSE_ALREADY_SENT;
}

/** Sends pieces as they come, no faster than they are taken; the next one is made while the last is on its way. */
export async function send(
  outgoing: ServerResponse,
  status: number,
  headers: Readonly<Record<string, string>>,
  pieces: AsyncIterable<Uint8Array>,
): Promise<void> {
  const gone = new AbortController();
  const stop = () => gone.abort();
  outgoing.once("close", stop);
  const source = pieces[Symbol.asyncIterator]();
  try {
    let coming = source.next();
    for (let piece = await coming; piece.done !== true; piece = await coming) {
      if (!outgoing.headersSent) outgoing.writeHead(status, headers);
      coming = source.next();
      // It is looked at after the wait; until then its failure is not nobody's.
      coming.catch(() => {});
      if (gone.signal.aborted) return;
      await written(outgoing, piece.value);
    }
    if (!outgoing.headersSent) outgoing.writeHead(status, headers);
    outgoing.end();
  } catch (error) {
    if (gone.signal.aborted) return;
    // Too late for a status: a body cut short is what is left to say it with.
    if (outgoing.headersSent) outgoing.destroy();
    throw error;
  } finally {
    outgoing.off("close", stop);
    await source.return?.();
  }
}

/** Writes a piece and waits until the system has taken it, or the connection has gone. */
function written(outgoing: ServerResponse, piece: Uint8Array): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      outgoing.off("close", done);
      resolve();
    };
    outgoing.once("close", done).write(piece, done);
  });
}

/** The one range that a request asks for, if it does; several at once are answered with the whole. */
function rangeOf(
  { headers }: IncomingMessage,
  size: number,
  etag: string | undefined,
): { start: number; end: number } | "unsatisfiable" | undefined {
  const match = /^bytes=(\d{0,15})-(\d{0,15})$/.exec(headers.range ?? "");
  if (match === null || (match[1] === "" && match[2] === "")) return undefined;
  const condition = headers["if-range"];
  if (condition !== undefined && condition !== etag) return undefined;
  if (match[1] === "") {
    const length = Math.min(size, Number(match[2]));
    return length === 0 ? "unsatisfiable" : { start: size - length, end: size };
  }
  const start = Number(match[1]);
  const end = match[2] === "" ? size : Math.min(size, Number(match[2]) + 1);
  return start >= end ? "unsatisfiable" : { start, end };
}

/** What is offered, best first. */
const OFFERED: readonly Compression[] = ["zstd", "br", "gzip"];

/** The best of the encodings that a client takes; `undefined` for none. */
export function encodingFor(accepted: string | undefined): Compression | undefined {
  const weights = new Map(
    (accepted ?? "").split(",").map((part) => {
      const [name = "", ...parameters] = part.split(";").map((text) => text.trim().toLowerCase());
      const weight = parameters.find((parameter) => parameter.startsWith("q="))?.slice(2);
      return [name, weight === undefined ? 1 : Number(weight)];
    }),
  );
  return OFFERED.find((name) => (weights.get(name) ?? weights.get("*") ?? 0) > 0);
}
