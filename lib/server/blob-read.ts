// BlobService.Read for servers, straight on HTTP/2: contents go from the store into the stream uncopied.
import { once } from "node:events";
import type { IncomingHttpHeaders, ServerHttp2Stream } from "node:http2";
import { Code, ConnectError } from "@connectrpc/connect";
import { concatBytes } from "../base/bytes.ts";
import { Limit } from "../base/limit.ts";
import type { BlobReader, BlobService } from "../castore/blob/service.ts";
import { digestText } from "../castore/digest.ts";
import { frameHeader, readRequestFrame } from "../castore/grpc/frames.ts";
import { type Calls, statusOf } from "./grpc-calls.ts";
import { readDigest } from "./grpc-castore.ts";

const PATH = /^\/((?:tvix|snix)\.castore\.v1\.BlobService\/Read)$/;
/** Bytes of data in one message: an eighth of what clients take by default. */
const MESSAGE_BYTES = 512 << 10;
/** Bytes before the data of a message: a prefix of five, a tag, a length of three. */
const HEADER_MAX = 9;
/** Messages under way on one stream. */
const BUFFERS = 3;
/** No request of a digest is longer. */
const REQUEST_LIMIT = 256;
const RESPONSE = { ":status": 200, "content-type": "application/grpc+proto" };
/** Milliseconds in the units of a grpc-timeout. */
const UNITS: Readonly<Record<string, number>> = { H: 3_600_000, M: 60_000, S: 1000, m: 1, u: 0.001, n: 0.000001 };

/** Answers a request for contents; false when it is another request. */
export function answerRead(
  blobs: BlobService,
  calls: Calls,
  stream: ServerHttp2Stream,
  headers: IncomingHttpHeaders,
): boolean {
  const method = PATH.exec(headers[":path"] ?? "")?.[1];
  const isGrpc = /^application\/grpc(\+proto)?$/.test(headers["content-type"] ?? "");
  if (method === undefined || headers[":method"] !== "POST" || !isGrpc) return false;
  const gone = new AbortController();
  stream.on("close", () => gone.abort(new ConnectError("the client went away", Code.Canceled)));
  stream.on("error", () => {});
  const timer = deadline(headers["grpc-timeout"], gone);
  const call = calls.begin(method, headersOf(headers));
  call
    .run(gone.signal, () => sendContents(blobs, stream, gone.signal))
    .then(
      () => call.end(),
      (error: unknown) => {
        const status = statusOf(error);
        call.end(status);
        endWith(stream, status);
      },
    )
    .finally(() => clearTimeout(timer));
  return true;
}

async function sendContents(blobs: BlobService, stream: ServerHttp2Stream, signal: AbortSignal): Promise<void> {
  const digest = readDigest(readRequestFrame(await readRequest(stream)));
  const reader = await blobs.openRead(digest);
  if (reader === undefined) throw new ConnectError(`blob ${digestText(digest)} is not in the store`, Code.NotFound);
  stream.respond(RESPONSE, { waitForTrailers: true });
  setTrailers(stream, { "grpc-status": "0" });
  if (reader.fill && reader.size > MESSAGE_BYTES) await sendFilled(reader as FillingReader, stream, signal);
  else {
    for await (const piece of reader.stream()) {
      for (let at = 0; at < piece.length; at += MESSAGE_BYTES) {
        signal.throwIfAborted();
        const data = piece.subarray(at, at + MESSAGE_BYTES);
        stream.write(frameHeader(data.length));
        if (!stream.write(data)) await once(stream, "drain", { signal });
      }
    }
  }
  stream.end();
}

type FillingReader = BlobReader & Required<Pick<BlobReader, "fill">>;

/**
 * Through a few buffers in turns: memory that is new for every message costs more than all that is done with it. A message
 * is one write, its header in front of its data. A stream hands on what has gathered while the write before was under
 * way; were the header a write of its own, all buffers would gather behind it and be filled again only when all had gone.
 */
async function sendFilled(reader: FillingReader, stream: ServerHttp2Stream, signal: AbortSignal): Promise<void> {
  const turns = new Limit(BUFFERS);
  const free: Uint8Array[] = [];
  for (let at = 0; at < reader.size; at += MESSAGE_BYTES) {
    signal.throwIfAborted();
    const leave = await turns.enter(signal);
    const buffer = free.pop() ?? new Uint8Array(HEADER_MAX + MESSAGE_BYTES);
    const length = Math.min(MESSAGE_BYTES, reader.size - at);
    reader.fill(at, buffer.subarray(HEADER_MAX, HEADER_MAX + length));
    const header = frameHeader(length);
    buffer.set(header, HEADER_MAX - header.length);
    stream.write(buffer.subarray(HEADER_MAX - header.length, HEADER_MAX + length), () => {
      free.push(buffer);
      leave();
    });
  }
}

async function readRequest(stream: ServerHttp2Stream): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  let length = 0;
  // The stream is written to afterwards, so its end does not end it.
  for await (const bytes of stream.iterator({ destroyOnReturn: false })) {
    parts.push(bytes as Uint8Array);
    length += (bytes as Uint8Array).length;
    if (length > REQUEST_LIMIT) throw new ConnectError("the request is too long", Code.ResourceExhausted);
  }
  return concatBytes(parts);
}

/** Says what is sent when the stream ends; Node's layer for `request` events has said that it is nothing. */
function setTrailers(stream: ServerHttp2Stream, trailers: Readonly<Record<string, string>>): void {
  stream.removeAllListeners("wantTrailers");
  stream.on("wantTrailers", () => stream.sendTrailers(trailers));
}

function endWith(stream: ServerHttp2Stream, status: ConnectError): void {
  if (stream.destroyed || stream.closed) return;
  if (stream.headersSent) {
    setTrailers(stream, statusHeaders(status));
    stream.end();
  } else stream.respond({ ...RESPONSE, ...statusHeaders(status) }, { endStream: true });
}

function statusHeaders(status: ConnectError): Record<string, string> {
  return { "grpc-status": String(status.code), "grpc-message": encodeURIComponent(status.rawMessage) };
}

function deadline(text: string | string[] | undefined, gone: AbortController): NodeJS.Timeout | undefined {
  const match = /^(\d{1,8})([HMSmun])$/.exec(String(text ?? ""));
  if (!match) return undefined;
  const milliseconds = Math.min(Number(match[1]) * (UNITS[match[2] as string] as number), 2 ** 31 - 1);
  return setTimeout(() => gone.abort(new ConnectError("too late", Code.DeadlineExceeded)), milliseconds);
}

function headersOf(headers: IncomingHttpHeaders): Headers {
  const out = new Headers();
  for (const [name, value] of Object.entries(headers)) {
    if (!name.startsWith(":") && typeof value === "string") out.set(name, value);
  }
  return out;
}
