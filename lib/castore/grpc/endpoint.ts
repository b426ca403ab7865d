// Calls to gRPC servers: connections, the dialect that a server speaks, retries, another server where one is lost.
//
// The services of a castore exist under two package names, snix.* and tvix.*, with the same bytes. A call is tried as
// snix.*, and as tvix.* when the server says UNIMPLEMENTED; what it took is remembered for each server.
//
// All calls may be repeated: reads change nothing, and what is put is named by its contents. So a call that met a lost
// connection or a busy server is made again, at the next server of the address if there are several, after a pause
// that grows. A stream is begun again only by who reads it, who knows how far it came.
import type { ClientHttp2Stream, Http2Session, OutgoingHttpHeaders } from "node:http2";
import { connect as connectSocket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import type { DescService } from "@bufbuild/protobuf";
import { type CallOptions, type Client, Code, ConnectError, createClient, type Transport } from "@connectrpc/connect";
import { createGrpcTransport, Http2SessionManager } from "@connectrpc/connect-node";
import { TvixError } from "../../base/error.ts";
import { isUntrusted } from "../../base/network.ts";
import { injectSpan, inSpan, openSpan, type SpanAttributes } from "../../base/trace.ts";
import type { GrpcAddress, GrpcServerAddress } from "./address.ts";
import type { Requests } from "./read.ts";

/** Longest message accepted: a directory of many entries, an outboard of a blob of several GiB. */
export const MESSAGE_LIMIT: number = 32 << 20;
/** Bytes that may be under way to us on one stream, and on one connection. */
const STREAM_WINDOW = 1 << 20;
const CONNECTION_WINDOW = 16 << 20;
const ATTEMPTS = 6;
const FIRST_PAUSE = 50;
const LONGEST_PAUSE = 2000;
/** A stream that brings nothing for so long is given up, in milliseconds; a call that is no stream likewise. */
const STALL = 60_000;

/** How calls behave; the defaults fit use, others are for tests. */
export interface GrpcOptions {
  /** Times a call is made before it fails. Default 6. */
  readonly attempts?: number;
  /** Milliseconds without a sign of life after which a call is given up. Default 60 000. */
  readonly stall?: number;
}

/** A service in both its dialects. */
export interface Dialects<S extends DescService> {
  readonly snix: S;
  readonly tvix: S;
}

type Dialect = keyof Dialects<DescService>;

/** The two descriptors of one service: they differ in names alone, so the one's types do for both. */
export function dialects<S extends DescService>(snix: S, tvix: DescService): Dialects<S> {
  return { snix, tvix: tvix as unknown as S };
}

interface Server {
  readonly transport: Transport;
  readonly sessions: Sessions;
  /** What it speaks, once that is known. */
  dialect: Dialect | undefined;
  /** Services that it does not have, by their full names. */
  readonly lacking: Set<string>;
}

/** One store behind one or several servers. */
export class GrpcEndpoint {
  readonly address: GrpcAddress;
  readonly #servers: readonly Server[];
  readonly #attempts: number;
  readonly #stall: number;
  #current = 0;

  constructor(address: GrpcAddress, options: GrpcOptions = {}) {
    this.address = address;
    this.#attempts = options.attempts ?? ATTEMPTS;
    this.#stall = options.stall ?? STALL;
    this.#servers = address.servers.map((server) => openServer(server, address));
  }

  get #attributes(): SpanAttributes {
    return { "rpc.system": "grpc", "server.address": this.address.text };
  }

  /** Connects now. @throws TvixError `ERR_REMOTE_UNAVAILABLE` */
  async ready(): Promise<void> {
    await this.#repeated("connect", async (server) => {
      const state = await server.sessions.connect();
      if (state === "error") throw new ConnectError("the connection failed", Code.Unavailable, {}, [], "ECONNREFUSED");
    });
  }

  /**
   * One call, made again where that may help, unless it may be made only `once`.
   * @throws TvixError `ERR_REMOTE_…`
   */
  async call<S extends DescService, T>(
    service: Dialects<S>,
    name: string,
    work: (client: Client<S>, options: CallOptions, desc: S) => Promise<T>,
    options: { readonly timeout?: number; readonly once?: boolean } = {},
  ): Promise<T> {
    const timeoutMs = options.timeout ?? this.#stall;
    const attempt = (server: Server): Promise<T> =>
      inDialect(server, service, (desc) => work(createClient(desc, server.transport), { timeoutMs }, desc));
    return await inSpan(`call ${name}`, this.#attributes, () =>
      this.#repeated(name, attempt, options.once === true ? 1 : this.#attempts),
    );
  }

  /**
   * One call to a service that not every server has.
   * @returns what the call gives, or `undefined` when this server lacks the service
   */
  async callIfThere<S extends DescService, T>(
    service: S,
    name: string,
    work: (client: Client<S>, options: CallOptions) => Promise<T>,
    timeoutMs: number = this.#stall,
  ): Promise<T | undefined> {
    const attempt = async (server: Server): Promise<T | undefined> => {
      if (server.lacking.has(service.typeName)) return undefined;
      try {
        return await work(createClient(service, server.transport), { timeoutMs });
      } catch (error) {
        if (!isUnimplemented(error)) throw error;
        server.lacking.add(service.typeName);
        return undefined;
      }
    };
    return await inSpan(`call ${name}`, this.#attributes, () => this.#repeated(name, attempt));
  }

  /**
   * The messages of a streaming call. It is made again only as long as no message has come.
   * @throws TvixError `ERR_REMOTE_…`
   */
  async *stream<S extends DescService, T>(
    service: Dialects<S>,
    name: string,
    open: (client: Client<S>, signal: AbortSignal, desc: S, requests: Requests) => AsyncIterable<T>,
  ): AsyncGenerator<T, void, void> {
    const watch = new Watch(this.#stall);
    const span = openSpan(`call ${name}`, this.#attributes);
    let failure: unknown;
    try {
      const first = await this.#repeated(name, (server) =>
        inDialect(server, service, async (desc) => {
          watch.touch();
          const client = createClient(desc, server.transport);
          return await span.within(async () => {
            const iterator = open(client, watch.signal, desc, server.sessions)[Symbol.asyncIterator]();
            return { iterator, result: await iterator.next() };
          });
        }),
      );
      for (let { result } = first; result.done !== true; result = await first.iterator.next()) {
        watch.pause();
        yield result.value;
        watch.touch();
      }
    } catch (error) {
      failure = error;
      throw remoteError(error, name, this.address.text);
    } finally {
      span.end(failure);
      watch.end();
    }
  }

  async #repeated<T>(
    name: string,
    work: (server: Server) => Promise<T>,
    attempts: number = this.#attempts,
  ): Promise<T> {
    for (let attempt = 1; ; attempt++) {
      const at = this.#current;
      try {
        return await work(this.#servers[at] as Server);
      } catch (error) {
        if (attempt >= attempts || !mayPass(error)) throw remoteError(error, name, this.address.text);
        // Others may have gone on to the next server already.
        if (this.#current === at) this.#current = (at + 1) % this.#servers.length;
        // Every server gets its turn before there is a pause.
        const round = Math.floor((attempt - 1) / this.#servers.length);
        const pause = Math.min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** round) * (0.5 + Math.random());
        if (attempt % this.#servers.length === 0) await sleep(pause);
      }
    }
  }

  /** Bytes that have come from the servers so far. */
  get received(): number {
    return this.#servers.reduce((sum, { sessions }) => sum + sessions.received, 0);
  }

  /** Lets go of all connections. */
  close(): void {
    for (const { sessions } of this.#servers) sessions.close();
  }
}

function openServer(server: GrpcServerAddress, address: GrpcAddress): Server {
  const sessions = new Sessions(server, address);
  const transport = createGrpcTransport({
    baseUrl: server.url,
    sessionManager: sessions,
    acceptCompression: [],
    readMaxBytes: MESSAGE_LIMIT,
    interceptors: [
      (next) => (request) => {
        injectSpan(request.header);
        return next(request);
      },
    ],
  });
  return { transport, sessions, dialect: undefined, lacking: new Set() };
}

/** The connection to a server, made when it is needed, with room for fast streams. */
class Sessions {
  readonly authority: string;
  readonly #inner: Http2SessionManager;
  readonly #open = new Set<Http2Session>();
  /** Bytes that came over connections that are closed. */
  #before = 0;

  constructor(server: GrpcServerAddress, { tls }: GrpcAddress) {
    const { socket } = server;
    this.#inner = new Http2SessionManager(
      server.url,
      { pingIntervalMs: 20_000, pingTimeoutMs: 10_000 },
      {
        settings: { initialWindowSize: STREAM_WINDOW, enablePush: false },
        maxSessionMemory: 64,
        ...(tls.ca ? { ca: Buffer.from(tls.ca) } : {}),
        ...(tls.cert ? { cert: Buffer.from(tls.cert) } : {}),
        ...(tls.key ? { key: Buffer.from(tls.key) } : {}),
        ...(socket === undefined ? {} : { createConnection: () => connectSocket(socket) }),
      },
    );
    this.authority = this.#inner.authority;
  }

  async request(
    method: string,
    path: string,
    headers: OutgoingHttpHeaders,
    options: object,
  ): Promise<ClientHttp2Stream> {
    const stream = await this.#inner.request(method, path, headers, options);
    const { session } = stream;
    if (session && !this.#open.has(session)) this.#begin(session);
    return stream;
  }

  #begin(session: Http2Session): void {
    this.#open.add(session);
    session.setLocalWindowSize(CONNECTION_WINDOW);
    const { socket } = session;
    // A session's socket is a stand-in that goes with it; the socket itself is who calls back.
    const count = (bytes: number): void => {
      this.#before += bytes;
      this.#open.delete(session);
    };
    socket.once("close", function (this: typeof socket) {
      count(this.bytesRead);
    });
  }

  /** Bytes that have come over its connections. */
  get received(): number {
    let sum = this.#before;
    for (const session of this.#open) if (!session.destroyed) sum += session.socket.bytesRead;
    return sum;
  }

  notifyResponseByteRead(stream: ClientHttp2Stream): void {
    this.#inner.notifyResponseByteRead(stream);
  }

  connect(): Promise<string> {
    return this.#inner.connect();
  }

  close(): void {
    this.#inner.abort();
  }
}

/** Gives up what brings nothing for too long. */
class Watch {
  readonly #controller = new AbortController();
  readonly #after: number;
  #timer: NodeJS.Timeout | undefined;

  constructor(after: number) {
    this.#after = after;
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  touch(): void {
    this.pause();
    this.#timer = setTimeout(() => {
      const text = `nothing came for ${this.#after / 1000} s`;
      this.#controller.abort(new ConnectError(text, Code.DeadlineExceeded));
    }, this.#after);
  }

  /** Nothing is waited for. */
  pause(): void {
    clearTimeout(this.#timer);
  }

  end(): void {
    this.pause();
    // Where the stream has not ended, this tells the server that nobody listens any more.
    this.#controller.abort();
  }
}

async function inDialect<S extends DescService, T>(
  server: Server,
  service: Dialects<S>,
  work: (desc: S) => Promise<T>,
): Promise<T> {
  const attempt = async (dialect: Dialect): Promise<T> => {
    try {
      const result = await work(service[dialect]);
      server.dialect ??= dialect;
      return result;
    } catch (error) {
      if (answered(error)) server.dialect ??= dialect;
      throw error;
    }
  };
  if (server.dialect !== undefined) return await work(service[server.dialect]);
  try {
    return await attempt("snix");
  } catch (error) {
    if (!isUnimplemented(error)) throw error;
    return await attempt("tvix");
  }
}

function isUnimplemented(error: unknown): boolean {
  return error instanceof ConnectError && error.code === Code.Unimplemented;
}

/** Whether an error is an answer of the service, so that the service is there. */
function answered(error: unknown): boolean {
  return error instanceof ConnectError && [Code.NotFound, Code.InvalidArgument, Code.DataLoss].includes(error.code);
}

/** Codes of the system for a server that is not there, or not any more. */
const LOST: ReadonlySet<unknown> = new Set([
  "ECONNREFUSED",
  "ECONNRESET",
  "ENOENT",
  "ENOTFOUND",
  "EPIPE",
  "ETIMEDOUT",
  "EHOSTUNREACH",
  "ENETUNREACH",
  "EAI_AGAIN",
  "ERR_HTTP2_GOAWAY_SESSION",
  "ERR_HTTP2_INVALID_SESSION",
  "ERR_HTTP2_SESSION_ERROR",
  "ERR_HTTP2_STREAM_CANCEL",
  "ERR_HTTP2_STREAM_ERROR",
  "ERR_STREAM_PREMATURE_CLOSE",
]);

/** Whether the same call may succeed later or elsewhere. */
export function mayPass(error: unknown): boolean {
  if (isUntrusted(error)) return false;
  if (error instanceof TvixError) return error.code === "ERR_REMOTE_UNAVAILABLE" || error.code === "ERR_REMOTE_BUSY";
  for (let at = error; at instanceof Error; at = at.cause) {
    if (LOST.has((at as NodeJS.ErrnoException).code)) return true;
  }
  if (!(error instanceof ConnectError)) return false;
  // A connection that ends within an answer: no status came, or the stream was reset without our doing.
  if (error.code === Code.Internal)
    return /missing trailer|missing status|closed with error code|GOAWAY/i.test(error.rawMessage);
  return [Code.Unavailable, Code.ResourceExhausted, Code.Aborted, Code.Canceled].includes(error.code);
}

/** Whether a call failed because what it asks for is not there. */
export function isNotFound(error: unknown): boolean {
  return error instanceof TvixError && error.code === "ERR_REMOTE_NOT_FOUND";
}

/** The error for an answer about more or fewer things than were asked for. */
export function wrongCount(call: string, asked: number, answered: number): TvixError {
  return new TvixError("ERR_REMOTE_WRONG", `${call} was asked about ${asked} things and answered about ${answered}`);
}

/** An error of a call in our words. */
function remoteError(error: unknown, name: string, address: string): unknown {
  if (error instanceof TvixError || !(error instanceof Error)) return error;
  const status = ConnectError.from(error);
  const [code, what] = describe(status, error);
  return new TvixError(code, `${what} (${name} at ${address}): ${status.rawMessage || Code[status.code]}`, {
    cause: error,
  });
}

function describe(status: ConnectError, error: Error): [string, string] {
  if (isUntrusted(error)) return ["ERR_REMOTE_TLS", "no trusted connection to the server"];
  switch (status.code) {
    case Code.NotFound:
      return ["ERR_REMOTE_NOT_FOUND", "the server does not have this"];
    case Code.ResourceExhausted:
      return ["ERR_REMOTE_BUSY", "the server has reached a limit"];
    case Code.DeadlineExceeded:
      return ["ERR_REMOTE_TIMEOUT", "the server did not answer in time"];
    case Code.Unimplemented:
      return ["ERR_REMOTE_UNSUPPORTED", "the server does not do this"];
    case Code.PermissionDenied:
    case Code.Unauthenticated:
    case Code.FailedPrecondition:
      return ["ERR_REMOTE_REFUSED", "the server refuses this"];
    default:
      if (mayPass(error)) return ["ERR_REMOTE_UNAVAILABLE", "the server cannot be reached"];
      return ["ERR_REMOTE_FAILED", "the server failed"];
  }
}
