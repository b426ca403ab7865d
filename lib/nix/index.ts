// The Nix language joined with a store: sessions, the derivations they evaluate, and writing them.

export { FETCHURL_SOURCE } from "./core-files.ts";
export {
  demandedOutput,
  drvPathOf,
  findDerivations,
  type FoundDerivation,
  isDerivation,
  lookInto,
  type Member,
  type Place,
  type WalkOptions,
} from "./derivation-set.ts";
export {
  type DerivationRoot,
  instantiate,
  type InstantiateOptions,
  type InstantiateSummary,
} from "./instantiate.ts";
export { Fetcher, type FetcherOptions } from "./fetch/fetcher.ts";
export { attrOfPath, type Job, type JobOptions, JobTree, type Visit } from "./jobs.ts";
export { KnownPaths } from "./known-paths.ts";
export { parseSearchPath, parseSearchPathEntry } from "./search-path.ts";
export { openSession, type Session, type SessionOptions } from "./session.ts";
export { hashFlat, hashTree, narOfTree, type SourceFilter } from "./source-hash.ts";
export { type FlakeRef, formatFlakeRef, parseFlakeRef, parseFlakeRefWithFragment } from "./flake/reference.ts";
export { type Source, Sources } from "./sources.ts";
export { type StoreReader, storeReader } from "./store-reader.ts";
export { World, type WorldOptions } from "./world.ts";
