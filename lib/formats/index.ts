// Nix's byte formats as pure functions over bytes: hashes, store paths, archives, path metadata, protocol fields.
//
// Nothing in this room touches a file, a socket or a clock. A format is a parser and a writer that are each other's
// inverse on what the writer writes; parsers are strict, take every input as hostile, and refuse it with a `TvixError`
// whose code says which rule was broken. Formats that can be long (NAR, export, tar, framed streams) are read by push
// parsers that hold a bounded amount, whatever the lengths in the input claim.
//
// Byte strings are `Uint8Array` where they are data and one-char-per-byte ("latin1") strings where they are keys or
// Nix strings; see lib/base/text.ts. Sizes are numbers up to 2^53−1. Three files are the platform's seam, `digest.ts`,
// `ed25519.ts` and `compress.ts`; a browser build replaces those.
//
// Elsewhere: derivations are in lib/derivation, archives of host file trees in lib/native and lib/store.

export { decodeBase64, decodeBase64Url, encodeBase64, encodeBase64Url } from "./base64.ts";
export { CACHE_INFO_TYPE, type CacheInfo, formatCacheInfo, parseCacheInfo } from "./cache-info.ts";
export {
  type Compression,
  compress,
  compressionExtension,
  decompress,
  detectCompression,
  parseCompression,
} from "./compress.ts";
export { type ConfLine, formatConf, parseConf, resolveConf } from "./conf.ts";
export {
  type ContentAddress,
  type ContentMethod,
  formatContentAddress,
  formatContentMethod,
  formatOutputMethod,
  parseContentAddress,
  parseContentMethod,
  parseOutputMethod,
} from "./content-address.ts";
export type { Codec, Connection } from "./daemon/codec.ts";
export { readFramed, writeFramed } from "./daemon/framed.ts";
export {
  greetClient,
  greetServer,
  type Send,
  type ServerGreeting,
  type ServerInfo,
  type Trust,
} from "./daemon/handshake.ts";
export {
  encodeLogFrame,
  finishReply,
  type LogField,
  type LogFrame,
  type RemoteError,
  readLogFrame,
} from "./daemon/log.ts";
export {
  type GcAction,
  OPERATIONS,
  type Operation,
  type Operations,
  operationOf,
  type ReplyOf,
  type RequestOf,
} from "./daemon/ops.ts";
export {
  type BasicDerivation,
  type BasicOutput,
  type BuildMode,
  type BuildResult,
  type BuildStatus,
  type ClientOptions,
  type DerivedPath,
  type KeyedBuildResult,
  type PathInfoFields,
  type ValidPathInfo,
  validPathInfo,
} from "./daemon/values.ts";
export {
  type ExportedPath,
  type ExportInput,
  type ExportItem,
  type ExportOptions,
  readExport,
  writeExport,
} from "./export.ts";
export {
  equalHashes,
  formatHash,
  formatPrefixedHash,
  HASH_SIZES,
  type HashAlgo,
  type HashFormat,
  isHashAlgo,
  type NixHash,
  nixHash,
  parseDigest,
  parseHash,
  parseHashAlgo,
  parseHashFormat,
  parsePrefixedHash,
  parseSri,
  zeroHash,
} from "./hash.ts";
export { layoutNar, type NarLayout, type NarSegment, type NarSlice, sliceLayout } from "./nar/layout.ts";
export { formatListing, NarLister, type NarListing, parseListing } from "./nar/listing.ts";
export { NarReader, type NarReaderOptions, readNar } from "./nar/reader.ts";
export {
  type NarDirectory,
  type NarEntry,
  type NarFile,
  type NarNode,
  type NarSymlink,
  NarTreeBuilder,
  type NarTreeEvent,
  narEvents,
  packNar,
  unpackNar,
} from "./nar/tree.ts";
export type { NarErrorCode, NarEvent } from "./nar/wire.ts";
export { NarWriter, writeNar } from "./nar/writer.ts";
export { formatNarInfo, NARINFO_TYPE, type NarInfo, type NarInfoOptions, parseNarInfo } from "./narinfo.ts";
export * as base32 from "./nixbase32.ts";
export {
  fingerprint,
  formatPublicKey,
  formatSecretKey,
  formatSignature,
  generateKey,
  type PublicKey,
  parsePublicKey,
  parseSecretKey,
  parseSignature,
  type SecretKey,
  type Signature,
  type SignedFields,
  signText,
  toPublicKey,
  verifyText,
} from "./signature.ts";
export {
  checkStoreName,
  compareStorePaths,
  compressHash,
  computedPlaceholder,
  contentAddressedPath,
  fixedPath,
  makeStorePath,
  outputPath,
  outputPathName,
  placeholder,
  STORE_DIR,
  StorePath,
  sourcePath,
  textPath,
  upstreamPlaceholder,
} from "./store-path.ts";
export { readTar, type TarEntry, type TarEvent, type TarKind, TarReader, tarPathParts } from "./tar.ts";
export { WireReader, WireWriter } from "./wire.ts";
