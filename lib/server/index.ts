// What `tvix/server` exports.
export { binaryCacheServer, type BinaryCacheOptions } from "./binary-cache.ts";
export { listen, type ListenAddress, type Listening, parseListen } from "./listen.ts";
export type { UploadOptions } from "./uploads.ts";
