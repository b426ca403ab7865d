// What `tvix/store` exports.
export { defaultStoreDirectory, KNOWN_ADDRESSES, parseAddress, type StoreAddress } from "./address.ts";
export { addStream, type AddOptions } from "./add.ts";
export { cachedStore, type CachedOptions } from "./compose/cached.ts";
export { Composition } from "./compose/file.ts";
export { readOnlyStore } from "./compose/read-only.ts";
export { verifiedStore } from "./compose/verified.ts";
export { closureOf } from "./closure.ts";
export { copyClosure, type CopyOptions, type CopySummary, copyTree } from "./copy.ts";
export { type Difference, diffPaths, diffTrees } from "./diff.ts";
export { examineStore, type Finding } from "./doctor.ts";
export { collectGarbage, type GarbageOptions, type GarbageSummary } from "./gc.ts";
export { importBytes, type ImportBytesOptions, type ImportOptions, importPath, readText } from "./import.ts";
export { MemoryNarIndex, MemoryPathInfoService } from "./memory.ts";
export { type IngestedNar, ingestNar, type IngestNarOptions } from "./nar/ingest.ts";
export { narDigest, narStream, narToFile, SeekableNar } from "./nar/render.ts";
export { openStore, type OpenOptions } from "./open.ts";
export {
  checkPathInfo,
  decodePathInfo,
  encodePathInfo,
  equalPathInfos,
  type PathInfo,
  sortedPaths,
} from "./path-info.ts";
export { ReferenceScanner } from "./references.ts";
export { addRoot, listRoots, removeRoot, type Root } from "./roots.ts";
export type { NarEntry, NarIndex, PathInfoService } from "./service.ts";
export {
  fingerprintOf,
  isContentAddressed,
  publicKeyText,
  readPublicKey,
  readSecretKey,
  SigningPathInfoService,
  signPath,
  signPathInfo,
  type Trust,
  trustOf,
} from "./sign.ts";
export { countStore, measureStore, type StoreCounts, type StoreStatistics } from "./statistics.ts";
export { Store, type StoreLocation, type StoreParts, type Substituter } from "./store.ts";
export { verifyAddress, verifyStore, type VerifyStoreOptions, type VerifyStoreSummary } from "./verify.ts";
export {
  exportPaths,
  type ExportPathsOptions,
  importClosure,
  type ImportClosureOptions,
  importStream,
} from "./stream.ts";
