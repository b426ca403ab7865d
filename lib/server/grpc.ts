// The gRPC server: a store's services under both package names, with health and reflection, over HTTP/2.
//
//   grpc-castore.ts, grpc-store.ts   BlobService, DirectoryService, PathInfoService of tvix.* and snix.*
//   grpc-transfer.ts                 tvix.transfer.v1, for clients of ours: many at once
//   blob-read.ts                     BlobService.Read again, by hand: there the bytes are many
//   grpc-calls.ts                    around every call: limits, spans, reports, statuses
//   health.ts, reflection.ts         what tools ask a server
//
// Nothing a client sends is believed: blobs and directories are hashed here, closures are checked as they come, path
// infos are read by the strict reader. What a client may do is all or, with `readOnly`, reading; who may connect is the
// business of the socket's permissions or of a proxy in front.
import {
  createSecureServer,
  createServer,
  type Http2SecureServer,
  type Http2Server,
  type Http2ServerResponse,
  type ServerHttp2Session,
  type ServerOptions,
} from "node:http2";
import type { DescService } from "@bufbuild/protobuf";
import type { ConnectRouter } from "@connectrpc/connect";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import { Limit } from "../base/limit.ts";
import {
  BlobService as SnixBlobs,
  DirectoryService as SnixDirectories,
} from "../castore/gen/snix/castore/v1/castore_pb.ts";
import {
  BlobService as TvixBlobs,
  DirectoryService as TvixDirectories,
} from "../castore/gen/tvix/castore/v1/castore_pb.ts";
import { MESSAGE_LIMIT } from "../castore/grpc/endpoint.ts";
import { TransferService } from "../castore/grpc/services.ts";
import { PathInfoService as SnixPathInfos } from "../store/gen/snix/store/v1/store_pb.ts";
import { PathInfoService as TvixPathInfos } from "../store/gen/tvix/store/v1/store_pb.ts";
import type { Store } from "../store/store.ts";
import { answerRead } from "./blob-read.ts";
import { type CallReport, Calls } from "./grpc-calls.ts";
import { blobMethods, directoryMethods } from "./grpc-castore.ts";
import { pathInfoMethods } from "./grpc-store.ts";
import { transferMethods } from "./grpc-transfer.ts";
import { Health, HealthState } from "./health.ts";
import { listen, type ListenAddress, type Listening } from "./listen.ts";
import { Outboards } from "./outboards.ts";
import { REFLECTION, reflectionMethods } from "./reflection.ts";
import { type ServerTls, tlsOptions } from "./tls.ts";

/** How a gRPC server behaves. */
export interface GrpcServerOptions {
  /** Whether clients may only read. Default: false. */
  readonly readOnly?: boolean;
  /** Calls under way at once, of all clients. Default 256; others wait. */
  readonly maxCalls?: number;
  /** Calls that may wait; further ones are refused with RESOURCE_EXHAUSTED. Default 4096. */
  readonly maxWaiting?: number;
  /** Bytes of the longest message taken from a client. Default 32 MiB. */
  readonly maxMessage?: number;
  /** Milliseconds after which a connection on which nothing moves is closed. Default five minutes. */
  readonly idle?: number;
  /** Speak TLS, but on unix sockets; without it everything is in the clear. */
  readonly tls?: ServerTls | undefined;
  /** Called at the end of each call. */
  readonly onCall?: (report: CallReport) => void;
}

/** Calls that one connection may have under way; who needs more opens another. */
const STREAMS_PER_CONNECTION = 256;
/** Bytes that may be under way to us on one stream, and on one connection. */
const STREAM_WINDOW = 512 << 10;
const CONNECTION_WINDOW = 8 << 20;
const CONNECTIONS = 1024;

/** What {@link addServices} adds. */
const SERVICES: readonly DescService[] = [
  TvixBlobs,
  SnixBlobs,
  TvixDirectories,
  SnixDirectories,
  TvixPathInfos,
  SnixPathInfos,
  TransferService,
];

/** Serves a store at some addresses until the result is closed. @throws TvixError `ERR_LISTEN…` */
export async function serveGrpc(
  store: Store,
  addresses: readonly ListenAddress[],
  options: GrpcServerOptions = {},
): Promise<Listening> {
  const health = new HealthState(SERVICES.map(({ typeName }) => typeName));
  const sessions = new Set<ServerHttp2Session>();
  const calls = new Calls(new Limit(options.maxCalls ?? 256, options.maxWaiting ?? 4096), options.onCall ?? (() => {}));
  const handle = connectNodeAdapter({
    grpc: true,
    grpcWeb: false,
    connect: false,
    acceptCompression: [],
    readMaxBytes: options.maxMessage ?? MESSAGE_LIMIT,
    interceptors: [calls.interceptor()],
    fallback: ({ headers }, response) => refuseMethod(headers["content-type"], response as Http2ServerResponse),
    routes: (router) => {
      addServices(router, store, options.readOnly === true);
      router.service(Health, health.methods());
      const reflection = reflectionMethods([...SERVICES, Health, ...REFLECTION]);
      for (const desc of REFLECTION) router.service(desc, reflection);
    },
  });
  const create = (kind: ListenAddress["kind"]): Http2Server | Http2SecureServer => {
    const server = openServer(kind === "unix" ? undefined : options.tls);
    server.maxConnections = CONNECTIONS;
    server.on("request", (request, response) => {
      if (!answerRead(store.blobs, calls, request.stream, request.headers)) handle(request, response);
    });
    server.on("session", (session) => {
      sessions.add(session);
      session.setLocalWindowSize(CONNECTION_WINDOW);
      session.setTimeout(options.idle ?? 300_000, () => session.destroy());
      session.on("close", () => sessions.delete(session));
      // A client that breaks the protocol or its connection has ended its calls; nothing else is to be done.
      session.on("error", () => {});
    });
    server.on("sessionError", () => {});
    return server;
  };
  const listening = await listen(addresses, create);
  return {
    addresses: listening.addresses,
    close: async (grace) => {
      health.drain();
      const closed = listening.close(grace);
      // GOAWAY: what is under way ends, new calls go elsewhere.
      for (const session of sessions) session.close();
      await closed;
    },
  };
}

/** Answers calls of what is not served as gRPC wants it; the library would say 404, which some clients show as it is. */
function refuseMethod(contentType: string | undefined, { stream }: Http2ServerResponse): void {
  const headers = contentType?.startsWith("application/grpc")
    ? { "content-type": "application/grpc", "grpc-status": "12", "grpc-message": "there is no such method" }
    : { ":status": 404 };
  stream.respond(headers, { endStream: true });
}

function openServer(tls: ServerTls | undefined): Http2Server | Http2SecureServer {
  const settings = { initialWindowSize: STREAM_WINDOW, maxConcurrentStreams: STREAMS_PER_CONNECTION };
  const options: ServerOptions = { maxSessionMemory: 64, settings };
  return tls ? createSecureServer({ ...options, ...tlsOptions(tls) }) : createServer(options);
}

/** All services of a store; the methods of both packages are the same. */
function addServices(router: ConnectRouter, store: Store, readOnly: boolean): void {
  const { blobs, directories } = store.castore;
  const ofBlobs = blobMethods(blobs, new Outboards(blobs), readOnly);
  router.service(TvixBlobs, ofBlobs);
  router.service(SnixBlobs, ofBlobs);
  router.service(TvixDirectories, directoryMethods(directories, TvixDirectories.method.get.output, readOnly));
  router.service(SnixDirectories, directoryMethods(directories, SnixDirectories.method.get.output, readOnly));
  const tvix = TvixPathInfos.method;
  router.service(TvixPathInfos, pathInfoMethods(store, tvix.get.output, tvix.calculateNAR.input, readOnly));
  const snix = SnixPathInfos.method;
  router.service(SnixPathInfos, pathInfoMethods(store, snix.get.output, snix.calculateNAR.input, readOnly));
  router.service(TransferService, transferMethods(store.castore, readOnly));
}
