// What `tvix/castore` exports.
export { MemoryBlobService } from "./blob/memory.ts";
export { ObjectBlobService } from "./blob/object.ts";
export { collectBytes, openBlob, readBlob } from "./blob/range.ts";
export type { BlobReader, BlobService, BlobWriter, ChunkMeta } from "./blob/service.ts";
export { decodeNode, encodeNode } from "./canonical.ts";
export {
  asDigest,
  type Digest,
  digestHex,
  digestOf,
  digestText,
  EMPTY_DIGEST,
  parseDigest,
} from "./digest.ts";
export { LeavesToRoot, leavesFirst, RootToLeaves, TreeDirectories, walkClosure } from "./directory/closure.ts";
export { MemoryDirectoryService } from "./directory/memory.ts";
export { ObjectDirectoryService } from "./directory/object.ts";
export type { DirectoryService } from "./directory/service.ts";
export { Directory, EMPTY_DIRECTORY, type Entry } from "./directory.ts";
export { exportTree } from "./export.ts";
export { EntryIngestion, type EntryLimits } from "./ingest/entries.ts";
export { ingestHost, ingestTree, type TreeSource } from "./ingest/portable.ts";
export { collect, type CollectOptions, type CollectSummary } from "./local/collect.ts";
export { LocalStore, type LocalStoreOptions } from "./local/store.ts";
export { type Damage, verify, type VerifyOptions, type VerifySummary } from "./local/verify.ts";
export { type DirectoryNode, equalNodes, type FileNode, type Node, type SymlinkNode } from "./node.ts";
export { DirObjectStore } from "./object/dir.ts";
export type { ObjectStore } from "./object/service.ts";
export { displayPath, parsePath, type TreePath } from "./path.ts";
export type { OperationOptions, Progress } from "./progress.ts";
export { type Castore, lookUp, resolve, type TreeEntry, walkTree } from "./tree.ts";
