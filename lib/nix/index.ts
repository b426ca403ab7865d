// The Nix language joined with a store: sessions, and the derivations they evaluate.

export { FETCHURL_SOURCE } from "./core-files.ts";
export { KnownPaths } from "./known-paths.ts";
export { openSession, type Session, type SessionOptions } from "./session.ts";
export { hashFlat, hashTree, type SourceFilter } from "./source-hash.ts";
export { readOnlyStore } from "./store-access.ts";
