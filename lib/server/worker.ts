// The Nix daemon's worker protocol over a store: stock Nix with NIX_REMOTE=unix:///path has this store as its own.
//
// A connection greets, then asks one operation after the other (lib/formats/daemon has the protocol). What operations do
// is in worker-operations.ts; here is what all have in common: reading requests, sending answers and errors, keeping
// both sides in step, and being patient with nobody who does not say hello.
import { once } from "node:events";
import { createServer, type Server, type Socket } from "node:net";
import { TvixError } from "../base/error.ts";
import type { Codec, Connection } from "../formats/daemon/codec.ts";
import { readFramed } from "../formats/daemon/framed.ts";
import { greetClient, type Send } from "../formats/daemon/handshake.ts";
import { encodeLogFrame } from "../formats/daemon/log.ts";
import { OPERATIONS, type Operation, operationOf } from "../formats/daemon/ops.ts";
import type { PublicKey } from "../formats/signature.ts";
import { WireReader, WireWriter } from "../formats/wire.ts";
import type { Store } from "../store/store.ts";
import { type Call, HANDLERS } from "./worker-operations.ts";

/** How a store is served. */
export interface WorkerOptions {
  /** Whether clients may say that signatures need not be checked, and collect garbage. Default true. */
  readonly trusted?: boolean;
  /** Paths that are uploaded must be signed by one of these or follow from their contents. Default: anything is taken. */
  readonly keys?: readonly PublicKey[];
  /** Told of failures that are neither the client's nor the store's way of saying no. */
  readonly onError?: (error: unknown) => void;
}

/** What clients compare with Nix versions. */
const VERSION = "2.24.0 (tvix)";
/** Milliseconds for the greeting. */
const GREETING = 30_000;
const CONNECTIONS_MAX = 512;
/** Level of errors in the log. */
const ERROR = 0;

/** A server for a store, for `listen` (listen.ts) to be given a unix socket. Closing it leaves the store open. */
export function workerServer(store: Store, options: WorkerOptions = {}): Server {
  const server = createServer((socket) => {
    serve(store, socket, options).catch((error: unknown) => options.onError?.(error));
  });
  server.maxConnections = CONNECTIONS_MAX;
  return server;
}

async function serve(store: Store, socket: Socket, options: WorkerOptions): Promise<void> {
  const gone = new AbortController();
  socket.on("error", () => {}).once("close", () => gone.abort());
  const send: Send = async (bytes) => {
    gone.signal.throwIfAborted();
    if (!socket.write(bytes)) await once(socket, "drain", { signal: gone.signal });
  };
  const reader = new WireReader(bytesOf(socket));
  try {
    socket.setTimeout(GREETING, () => socket.destroy());
    const trust = options.trusted === false ? "not trusted" : "trusted";
    const connection = await greetClient(reader, send, { nixVersion: VERSION, trust, storeDir: store.storeDir });
    socket.setTimeout(0);
    while (!(await reader.atEnd())) await answer(store, reader, send, connection, options);
    socket.end();
  } catch (error) {
    if (error instanceof TvixError) socket.write(errorFrame(error));
    // A client may leave at any time, in the middle of an answer as well.
    else if (!gone.signal.aborted && socket.errored === null) options.onError?.(error);
    socket.destroySoon();
  }
}

async function* bytesOf(socket: Socket): AsyncGenerator<Uint8Array> {
  for await (const piece of socket as AsyncIterable<Buffer>) {
    yield new Uint8Array(piece.buffer, piece.byteOffset, piece.length);
  }
}

/** One operation. What it throws while it reads its request ends the connection: nobody knows where the next starts. */
async function answer(
  store: Store,
  reader: WireReader,
  send: Send,
  connection: Connection,
  options: WorkerOptions,
): Promise<void> {
  const name = operationOf(await reader.u64());
  const operation: Operation<unknown, unknown> = OPERATIONS[name];
  const request = await operation.request.read(reader, connection);
  const upload = operation.upload === undefined ? nothing() : readFramed(reader);
  const call: Call = { store, upload, connection, trusted: options.trusted ?? true, keys: options.keys ?? [] };
  let reply: Uint8Array;
  try {
    const handler = HANDLERS[name] as (request: unknown, call: Call) => Promise<unknown>;
    const value = await handler(request, call);
    reply = encode(operation.reply, value, connection);
  } catch (error) {
    // What is left of the upload comes before the next operation.
    for await (const _ of upload);
    if (!(error instanceof TvixError)) {
      options.onError?.(error);
      throw error;
    }
    return await send(errorFrame(error));
  }
  for await (const _ of upload);
  await send(encodeLogFrame({ type: "last" }));
  await send(reply);
  for await (const piece of call.download ?? []) await send(piece);
}

async function* nothing(): AsyncGenerator<Uint8Array, void, undefined> {}

function encode(codec: Codec<unknown>, value: unknown, connection: Connection): Uint8Array {
  const writer = new WireWriter();
  codec.write(writer, value, connection);
  return writer.take();
}

function errorFrame(error: TvixError): Uint8Array {
  const { message, notes, code } = error;
  return encodeLogFrame({ type: "error", level: ERROR, name: "Error", message: `${message} [${code}]`, traces: notes });
}
