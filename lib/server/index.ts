// What `tvix/server` exports.
export { binaryCacheServer, type BinaryCacheOptions } from "./binary-cache.ts";
export type { CallReport } from "./grpc-calls.ts";
export { type GrpcServerOptions, serveGrpc } from "./grpc.ts";
export { listen, type ListenAddress, type Listening, parseListen } from "./listen.ts";
export type { UploadOptions } from "./uploads.ts";
export { workerServer, type WorkerOptions } from "./worker.ts";
