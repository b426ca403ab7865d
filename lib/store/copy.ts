// Copying closures from one store to another: what is there already is not sent again, so that an interrupted copy
// goes on where it stopped.
import { TvixError } from "../base/error.ts";
import type { BlobService } from "../castore/blob/service.ts";
import { openBlob, readBlob } from "../castore/blob/range.ts";
import { type Digest, digestKey, digestText } from "../castore/digest.ts";
import type { Directory } from "../castore/directory.ts";
import { leavesFirst, missingDirectory } from "../castore/directory/closure.ts";
import type { FileNode, Node } from "../castore/node.ts";
import type { OperationOptions } from "../castore/progress.ts";
import type { Castore } from "../castore/tree.ts";
import type { PublicKey } from "../formats/signature.ts";
import type { StorePath } from "../formats/store-path.ts";
import { closureOf } from "./closure.ts";
import { checkContentAddress, checkNar } from "./nar/check.ts";
import type { PathInfo } from "./path-info.ts";
import { putPaths, unlessCollected } from "./put.ts";
import { trustOf } from "./sign.ts";
import { equalBytes } from "../base/bytes.ts";
import type { Store } from "./store.ts";

const SMALL = 1 << 18;
const BULK_BYTES = 8 << 20;
const BULK_FILES = 2048;

/** Options of {@link copyClosure}. */
export interface CopyOptions extends OperationOptions {
  /** Only these paths, without what they refer to; that must be in the target then. Default false. */
  readonly noClosure?: boolean;
  /** Accept only paths that one of these keys has signed or whose contents give their path. Default: accept all. */
  readonly trustedKeys?: readonly PublicKey[];
}

/** What was copied. */
export interface CopySummary {
  /** Path infos newly in the target, in the order they were put. */
  readonly copied: readonly PathInfo[];
  /** Paths that the target had. */
  readonly present: number;
  /** Bytes of file contents sent. */
  readonly bytes: number;
}

/**
 * Copies paths and all they refer to. Each path becomes visible in the target whole, after those it refers to; its
 * NAR is hashed over there and compared with what the path info says.
 * @throws TvixError `ERR_STORE_NO_PATH`, `ERR_STORE_UNTRUSTED`, `ERR_STORE_NAR_MISMATCH`
 */
export async function copyClosure(
  from: Store,
  to: Store,
  paths: readonly (StorePath | string)[],
  options: CopyOptions = {},
): Promise<CopySummary> {
  if (from.substituter) return await from.substituter.substitute(to, paths, options);
  const infos =
    options.noClosure === true ? await Promise.all(paths.map((path) => from.info(path))) : await closureOf(from, paths);
  const copied: PathInfo[] = [];
  let present = 0;
  let bytes = 0;
  const report = () =>
    options.onProgress?.({ phase: "copy", done: copied.length + present, total: infos.length, bytes });
  for (const info of infos) {
    options.signal?.throwIfAborted();
    if ((await to.pathInfos.get(info.path.digest)) !== undefined) present++;
    else {
      const checkContents =
        options.trustedKeys !== undefined && requireTrust(info, options.trustedKeys, from.storeDir) === "content";
      const base = bytes;
      const onBytes = (now: number) => ((bytes = base + now), report());
      bytes = base + (await copyPath(from, to, info, checkContents, options, onBytes));
      copied.push(info);
    }
    report();
  }
  return { copied, present, bytes };
}

/** By what a path info is trusted. */
function requireTrust(info: PathInfo, keys: readonly PublicKey[], storeDir: string): "signature" | "content" {
  const trust = trustOf(info, keys, storeDir);
  if (trust.trusted) return trust.by;
  throw new TvixError("ERR_STORE_UNTRUSTED", `no trusted key has signed ${info.path.absolute(storeDir)}`, {
    notes: [`trusted are: ${keys.map((key) => key.name).join(", ") || "none"}`],
  });
}

/** Returns how many bytes of contents were sent. */
async function copyPath(
  from: Store,
  to: Store,
  info: PathInfo,
  checkContents: boolean,
  options: CopyOptions,
  onBytes: (bytes: number) => void,
): Promise<number> {
  return await unlessCollected(async () => {
    const bytes = await copyTree(from.castore, to.castore, info.root, options, onBytes);
    const nar = await to.narDigest(info.root);
    checkNar(info, nar.digest, nar.size);
    if (checkContents) await checkContentAddress(to.castore, info);
    await putPaths(to, [info]);
    return bytes;
  });
}

/** Copies a tree between castores; how many bytes of contents were sent. */
export async function copyTree(
  from: Castore,
  to: Castore,
  root: Node,
  options: OperationOptions = {},
  onBytes: (bytes: number) => void = () => {},
): Promise<number> {
  const directories = await collectDirectories(from, root);
  const files = new Map<string, FileNode>();
  if (root.type === "file") files.set(digestKey(root.digest), root);
  for (const directory of directories) {
    for (const { node } of directory.entries) if (node.type === "file") files.set(digestKey(node.digest), node);
  }
  const bytes = await copyBlobs(from.blobs, to.blobs, [...files.values()], options, onBytes);
  if (root.type === "directory") await to.directories.putClosure(leavesFirst(directories, root.digest));
  return bytes;
}

async function collectDirectories(from: Castore, root: Node): Promise<Directory[]> {
  if (root.type !== "directory") return [];
  const out: Directory[] = [];
  for await (const directory of from.directories.getClosure(root.digest)) out.push(directory);
  if (out.length === 0) throw missingDirectory(root.digest);
  return out;
}

async function copyBlobs(
  from: BlobService,
  to: BlobService,
  files: readonly FileNode[],
  options: OperationOptions,
  onBytes: (bytes: number) => void,
): Promise<number> {
  const there = await to.has(files.map((file) => file.digest));
  let sent = 0;
  let bulk: Uint8Array[] = [];
  let bulkBytes = 0;
  const flush = async () => {
    if (bulk.length > 0) await to.put(bulk);
    sent += bulkBytes;
    bulk = [];
    bulkBytes = 0;
    onBytes(sent);
  };
  for (const [i, file] of files.entries()) {
    if (there[i]) continue;
    options.signal?.throwIfAborted();
    if (file.size > SMALL) {
      await copyLarge(from, to, file.digest);
      sent += file.size;
      onBytes(sent);
      continue;
    }
    bulk.push(await readBlob(from, file.digest));
    bulkBytes += file.size;
    if (bulk.length >= BULK_FILES || bulkBytes >= BULK_BYTES) await flush();
  }
  await flush();
  return sent;
}

async function copyLarge(from: BlobService, to: BlobService, digest: Digest): Promise<void> {
  const reader = await openBlob(from, digest);
  const writer = to.openWrite();
  try {
    for await (const piece of reader.stream()) await writer.write(piece);
    const written = await writer.close();
    if (!equalBytes(written, digest)) {
      throw new TvixError("ERR_CASTORE_CORRUPT", `${digestText(digest)} came as ${digestText(written)}`);
    }
  } finally {
    writer.abort();
  }
}
