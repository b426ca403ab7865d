// Copying closures from one store to another: what is there already is not sent again, so that an interrupted copy
// goes on where it stopped.
import { TvixError } from "../base/error.ts";
import type { BlobService } from "../castore/blob/service.ts";
import { openBlob, readBlob } from "../castore/blob/range.ts";
import { asDigest, type Digest, digestKey, digestText } from "../castore/digest.ts";
import type { Directory } from "../castore/directory.ts";
import { leavesFirst, missingDirectory } from "../castore/directory/closure.ts";
import type { FileNode, Node } from "../castore/node.ts";
import { mapBounded } from "../castore/object/service.ts";
import type { OperationOptions } from "../castore/progress.ts";
import type { Castore } from "../castore/tree.ts";
import type { PublicKey } from "../formats/signature.ts";
import type { StorePath } from "../formats/store-path.ts";
import { Blake3 } from "../native/blake3.ts";
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
/** Reads under way at once. */
const READS = 16;
/** Bytes that an entry takes in a NAR at least; more than 100 in truth. */
const ENTRY_IN_NAR = 64;

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
 * NAR is hashed and compared with what the path info says before.
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
    const bytes = await copyTree(from.castore, to.castore, info.root, options, onBytes, info.narSize);
    const nearer = nearerOf(from, to);
    const nar = await nearer.narDigest(info.root);
    checkNar(info, nar.digest, nar.size);
    if (checkContents) await checkContentAddress(nearer.castore, info);
    await putPaths(to, [info]);
    return bytes;
  });
}

/**
 * Where a tree that is in both is read to be hashed. What has the same root has the same NAR, and either store checks
 * what it reads; so nothing is fetched back from where it was sent to.
 */
function nearerOf(from: Store, to: Store): Store {
  const isSent = to.received !== undefined && from.received === undefined;
  return isSent && !to.hashesNars ? from : to;
}

/**
 * Copies a tree between castores; how many bytes of contents were sent.
 * @param narSize that of the tree, where it is known: who sends more is found out before it has been held or stored
 * @throws TvixError `ERR_STORE_NAR_MISMATCH` for a tree that is larger
 */
export async function copyTree(
  from: Castore,
  to: Castore,
  root: Node,
  options: OperationOptions = {},
  onBytes: (bytes: number) => void = () => {},
  narSize: number = Number.POSITIVE_INFINITY,
): Promise<number> {
  const directories = await collectDirectories(from, root, narSize);
  const files = new Map<string, FileNode>();
  if (root.type === "file") files.set(digestKey(root.digest), root);
  for (const directory of directories) {
    for (const { node } of directory.entries) if (node.type === "file") files.set(digestKey(node.digest), node);
  }
  checkFits(
    [...files.values()].reduce((sum, { size }) => sum + size, 0),
    narSize,
  );
  const bytes = await copyBlobs(from.blobs, to.blobs, [...files.values()], options, onBytes);
  if (root.type === "directory") await to.directories.putClosure(leavesFirst(directories, root.digest));
  return bytes;
}

async function collectDirectories(from: Castore, root: Node, narSize: number): Promise<Directory[]> {
  if (root.type !== "directory") return [];
  const out: Directory[] = [];
  let entries = 0;
  for await (const directory of from.directories.getClosure(root.digest)) {
    out.push(directory);
    entries += 1 + directory.entries.length;
    checkFits(entries * ENTRY_IN_NAR, narSize);
  }
  if (out.length === 0) throw missingDirectory(root.digest);
  return out;
}

/** Every entry, and every byte of a file, is in the NAR once at least. */
function checkFits(bytes: number, narSize: number): void {
  if (bytes <= narSize) return;
  throw new TvixError("ERR_STORE_NAR_MISMATCH", `a tree is larger than its NAR of ${narSize} bytes`);
}

async function copyBlobs(
  from: BlobService,
  to: BlobService,
  files: readonly FileNode[],
  options: OperationOptions,
  onBytes: (bytes: number) => void,
): Promise<number> {
  const there = await to.has(files.map((file) => file.digest));
  const missing = files.filter((_, i) => !there[i]);
  let sent = 0;
  for (const group of inBulks(missing.filter((file) => file.size <= SMALL))) {
    options.signal?.throwIfAborted();
    await to.put(await mapBounded(group, READS, (file) => readBlob(from, file.digest)));
    for (const { size } of group) sent += size;
    onBytes(sent);
  }
  for (const file of missing.filter(({ size }) => size > SMALL)) {
    options.signal?.throwIfAborted();
    await copyLarge(from, to, file.digest);
    onBytes((sent += file.size));
  }
  return sent;
}

/** Files in groups that are held and put at once. */
function* inBulks(files: readonly FileNode[]): Generator<FileNode[]> {
  let group: FileNode[] = [];
  let bytes = 0;
  for (const file of files) {
    group.push(file);
    bytes += file.size;
    if (group.length < BULK_FILES && bytes < BULK_BYTES) continue;
    yield group;
    group = [];
    bytes = 0;
  }
  if (group.length > 0) yield group;
}

/** What the target has of its chunks comes from there. */
async function copyLarge(from: BlobService, to: BlobService, digest: Digest): Promise<void> {
  const chunks = (await from.chunks(digest)) ?? [];
  const there = await to.has(chunks.map((chunk) => chunk.digest));
  const pieces = there.includes(true)
    ? readChunks(chunks.map((chunk, i) => ({ digest: chunk.digest, blobs: there[i] ? to : from })))
    : await streamAll(from, digest);
  const writer = to.openWrite();
  const hash = new Blake3();
  try {
    for await (const piece of pieces) {
      hash.update(piece);
      await writer.write(piece);
    }
    // Chunks may be what they are called, and not those of this blob.
    const came = asDigest(hash.digest());
    if (!equalBytes(came, digest)) {
      throw new TvixError("ERR_CASTORE_CORRUPT", `${digestText(digest)} came as ${digestText(came)}`);
    }
    await writer.close();
  } finally {
    writer.abort();
  }
}

/** In pieces that are used again: each is written before the next is asked for. */
async function streamAll(blobs: BlobService, digest: Digest): Promise<AsyncIterable<Uint8Array>> {
  const reader = await openBlob(blobs, digest);
  return reader.stream(0, reader.size, true);
}

async function* readChunks(
  chunks: readonly { readonly digest: Digest; readonly blobs: BlobService }[],
): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < chunks.length; at += READS) {
    const group = chunks.slice(at, at + READS);
    yield* await mapBounded(group, READS, ({ blobs, digest }) => readBlob(blobs, digest));
  }
}
