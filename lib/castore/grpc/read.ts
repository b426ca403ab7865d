// BlobService.Read for clients, straight on HTTP/2: see frames.ts.
import type { ClientHttp2Stream, IncomingHttpHeaders, OutgoingHttpHeaders } from "node:http2";
import { Code, ConnectError } from "@connectrpc/connect";
import { injectSpan } from "../../base/trace.ts";
import { ChunkFrames, requestFrame } from "./frames.ts";

/** What makes requests: a connection that is opened when it is needed. */
export interface Requests {
  request(method: string, path: string, headers: OutgoingHttpHeaders, options: object): Promise<ClientHttp2Stream>;
}

/** Bytes after which no more is read until those are taken. */
const BATCH = 256 << 10;

/**
 * The contents that a server sends for a digest: lists of the pieces that came together. HTTP/2 brings 16 KiB at a time,
 * and each step of an asynchronous iteration costs as much as hashing some of them. Nothing of it is checked.
 * @throws ConnectError with the status of the call
 */
export async function* readContents(
  requests: Requests,
  service: string,
  digest: Uint8Array,
  signal: AbortSignal,
  limit: number,
): AsyncGenerator<Uint8Array[], void, void> {
  const headers = new Headers({ "content-type": "application/grpc+proto", te: "trailers" });
  injectSpan(headers);
  const stream = await requests.request("POST", `/${service}/Read`, Object.fromEntries(headers), {});
  const abort = (): void => void stream.destroy(signal.reason as Error);
  signal.addEventListener("abort", abort, { once: true });
  let trailers: IncomingHttpHeaders = {};
  stream.on("trailers", (received) => {
    trailers = received;
  });
  try {
    stream.end(requestFrame(digest));
    const response = await responseOf(stream);
    checkResponse(response);
    const frames = new ChunkFrames(limit);
    for await (const batch of inBatches(stream)) {
      const data: Uint8Array[] = [];
      for (const bytes of batch) frames.push(bytes, data);
      yield data;
    }
    checkStatus(response["grpc-status"] === undefined ? trailers : response);
    frames.end();
  } catch (error) {
    throw signal.aborted ? (signal.reason as Error) : error;
  } finally {
    signal.removeEventListener("abort", abort);
    if (!stream.closed) stream.close(CANCEL);
    stream.on("error", () => {});
  }
}

/** What a stream brings, all that is there at once. */
async function* inBatches(stream: ClientHttp2Stream): AsyncGenerator<Uint8Array[], void, void> {
  let batch: Uint8Array[] = [];
  let length = 0;
  let over: { readonly error?: Error } | undefined;
  let wake = (): void => {};
  const end = (error?: Error): void => {
    over ??= error ? { error } : {};
    wake();
  };
  stream.on("data", (bytes: Uint8Array) => {
    // What else the system has of it comes before the event loop turns.
    if (batch.push(bytes) === 1) setImmediate(() => wake());
    length += bytes.length;
    if (length < BATCH) return;
    stream.pause();
    wake();
  });
  // "close" after "end" changes nothing; without it the connection was lost, which the missing status tells.
  stream.on("end", end).on("error", end).on("close", end);
  for (;;) {
    if (batch.length > 0) {
      const ready = batch;
      batch = [];
      length = 0;
      stream.resume();
      yield ready;
    } else if (over) {
      if (over.error) throw over.error;
      return;
    } else {
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
  }
}

function responseOf(stream: ClientHttp2Stream): Promise<IncomingHttpHeaders> {
  return new Promise((resolve, reject) => {
    stream.on("response", resolve).on("error", reject);
    stream.on("close", () => reject(new ConnectError("the connection was lost", Code.Unavailable)));
  });
}

/** HTTP/2's code for a stream that nobody needs any more. */
const CANCEL = 8;

function checkResponse(response: IncomingHttpHeaders): void {
  const status = Number(response[":status"]);
  const isGrpc = String(response["content-type"]).startsWith("application/grpc");
  if (status === 200 && isGrpc) return;
  const code = status === 404 ? Code.Unimplemented : status >= 502 && status <= 504 ? Code.Unavailable : Code.Unknown;
  throw new ConnectError(`HTTP status ${status}`, code);
}

/** The codes of statuses by their digits. */
const CODES: ReadonlyMap<string, Code> = new Map(
  Object.values(Code)
    .filter((code): code is Code => typeof code === "number")
    .map((code) => [String(code), code]),
);

function checkStatus(trailers: IncomingHttpHeaders): void {
  const status = trailers["grpc-status"];
  if (status === "0") return;
  if (status === undefined) throw new ConnectError("missing status: the connection was lost", Code.Unavailable);
  throw new ConnectError(decoded(trailers["grpc-message"]), CODES.get(String(status)) ?? Code.Unknown);
}

/** The text of a status: percent-encoded, and from a stranger. */
function decoded(text: string | string[] | undefined): string {
  try {
    return decodeURIComponent(String(text ?? ""));
  } catch {
    return String(text);
  }
}
