// Importing host paths as Nix does, so that the store path is the one `nix-store --add` would print.
import { basename, resolve } from "node:path";
import { TvixError } from "../base/error.ts";
import { encodeUtf8 } from "../base/text.ts";
import { readBlob } from "../castore/blob/range.ts";
import { ingestHost } from "../castore/ingest/portable.ts";
import { ingestRepeatable, type IngestSummary } from "../castore/ingest/local.ts";
import type { Node } from "../castore/node.ts";
import type { OperationOptions } from "../castore/progress.ts";
import type { Castore } from "../castore/tree.ts";
import { openBlob } from "../castore/blob/range.ts";
import type { ContentAddress } from "../formats/content-address.ts";
import { type DigestAlgo, startDigest } from "../formats/digest.ts";
import { nixHash } from "../formats/hash.ts";
import { checkStoreName, contentAddressedPath, StorePath } from "../formats/store-path.ts";
import { Ingestion } from "../native/ingest.ts";
import { type NarDigest, narDigest, narStream } from "./nar/render.ts";
import { NarWitness, witnessFile } from "./nar/witness.ts";
import { type PathInfo, sortedPaths } from "./path-info.ts";
import { putRootSync, rootName } from "./roots.ts";
import { ReferenceScanner } from "./references.ts";
import type { LocalParts, Store } from "./store.ts";

/** How a host path becomes a store path. */
export interface ImportOptions extends OperationOptions {
  /** Name of the store path. Default: the last component of the host path. */
  readonly name?: string;
  /**
   * What is hashed: the NAR (default), the bytes of a single file (`flat`, which also drops an executable bit), or a
   * single file as a text (`text`).
   */
  readonly method?: "nar" | "flat" | "text";
  /** Default: sha256. */
  readonly algo?: DigestAlgo;
  /** Store paths that it refers to, known beforehand. Only for sha256 NARs and texts. */
  readonly references?: readonly StorePath[];
  /** Store paths to look for in the contents: those found become references. */
  readonly candidates?: readonly StorePath[];
  /** A name for a root that keeps the path from collection, made together with it. Only for local stores. */
  readonly root?: string;
}

/**
 * Imports a host path (directory, file or symlink, never followed) and returns its path info.
 * @throws TvixError `ERR_TREE_…` naming the file that cannot be imported, `ERR_STORE_PATH_NAME` for a name that no
 *   store path can have, `ERR_STORE_NOT_FILE` for `flat` and `text` of anything but a file, `ERR_STORE_FULL`
 */
export async function importPath(store: Store, path: string, options: ImportOptions = {}): Promise<PathInfo> {
  const name = checkStoreName(options.name ?? basename(resolve(path)));
  const { method = "nar", algo = "sha256" } = options;
  const { local } = store;
  if (options.root !== undefined) rootName(options.root);
  if (local === undefined) return await importWitnessed(store, path, name, options);
  if (method === "nar" && algo === "sha256") return await importFast(store, local, path, name, options);
  const ingested = await ingestRepeatable(local.castore, () => Ingestion.tree(path, { narHash: false }), options);
  const root = method === "nar" ? ingested.root : flatRoot(ingested.root, path);
  const stored = await importNode(store, root, { ...options, name, method, algo });
  const { root: keep } = options;
  if (keep !== undefined) local.castore.index.write(() => putRootSync(local, keep, stored.path));
  return stored;
}

/** Into any store: what is stored is hashed on its way there, since reading it back may be a second transfer. */
async function importWitnessed(store: Store, path: string, name: string, options: ImportOptions): Promise<PathInfo> {
  if (options.root !== undefined) store.requireLocal("keeping a path by a root");
  const { method = "nar", algo = "sha256", candidates = [] } = options;
  const witness = new NarWitness({ method, algo, candidates });
  const ingested = await ingestHost(store.castore, path, { ...options, onEvent: (event) => witness.take(event) });
  const root = method === "nar" ? ingested : flatRoot(ingested, path);
  const { narSha256, narSize, contentHash, references: found } = witness.finish();
  const references = sortedPaths([...(options.references ?? []), ...found]);
  const address: ContentAddress = { method, hash: nixHash(algo, contentHash) };
  const info = describe(store, { name, root, address, narSha256, narSize, references });
  const stored = await store.pathInfos.put(info);
  await store.narIndex.put(narSha256, { root, narSize });
  return stored;
}

/** Options of {@link importNode}. */
export interface ImportNodeOptions extends ImportOptions {
  readonly name: string;
  /** SHA-256 and size of the tree's NAR, where they are known: it is not read then, nor looked through for candidates. */
  readonly nar?: NarDigest;
}

/**
 * Gives a tree that is in the store's castore the store path that its contents have under a name.
 * @param root for `flat` and `text`: a file
 */
export async function importNode(store: Store, root: Node, options: ImportNodeOptions): Promise<PathInfo> {
  const { method = "nar", algo = "sha256", name } = options;
  const { digest, size, references } = await examine(store, root, options);
  const hash = nixHash(algo, await contentHash(store.castore, root, method, algo, digest));
  const info = describe(store, { name, root, address: { method, hash }, narSha256: digest, narSize: size, references });
  const stored = await store.pathInfos.put(info);
  await store.narIndex.put(digest, { root, narSize: size });
  return stored;
}

/** One pass over the files, one transaction for everything that comes of it. */
async function importFast(
  store: Store,
  local: LocalParts,
  path: string,
  name: string,
  options: ImportOptions,
): Promise<PathInfo> {
  const candidates = options.candidates ?? [];
  const needles = candidates.map((candidate) => encodeUtf8(candidate.hash));
  let info: PathInfo | undefined;
  const change = (found: IngestSummary) => {
    const narSha256 = found.narHash as Uint8Array;
    const references = sortedPaths([...(options.references ?? []), ...candidates.filter((_, i) => found.found[i])]);
    const address: ContentAddress = { method: "nar", hash: nixHash("sha256", narSha256) };
    const made = describe(store, { name, root: found.root, address, narSha256, narSize: found.narSize, references });
    // What is known already may carry signatures and a deriver.
    info = local.pathInfos.getSync(made.path.digest) ?? made;
    if (info === made) local.pathInfos.putSync(made);
    local.narIndex.putSync(narSha256, { root: found.root, narSize: found.narSize });
    if (options.root !== undefined) putRootSync(local, options.root, made.path);
  };
  await ingestRepeatable(local.castore, () => Ingestion.tree(path, { needles }), options, change);
  return info as PathInfo;
}

/** What a path info by contents is made of. */
export interface Described {
  readonly name: string;
  readonly root: Node;
  readonly address: ContentAddress;
  readonly narSha256: Uint8Array;
  readonly narSize: number;
  readonly references: readonly StorePath[];
}

/** The path info of contents whose path follows from them. */
export function describe(store: Store, { name, address, references, ...rest }: Described): PathInfo {
  const texts = references.map((reference) => reference.absolute(store.storeDir));
  const path = contentAddressedPath({ name, address, references: texts, storeDir: store.storeDir });
  return { path, ...rest, references, ca: address, signatures: [] };
}

/** Hash, size and references of a tree that is in the store. */
async function examine(store: Store, root: Node, options: ImportNodeOptions) {
  const { candidates = [] } = options;
  // A store may know a shorter way to the hash than reading everything back.
  if (candidates.length === 0 || options.nar)
    return { ...(options.nar ?? (await store.narDigest(root))), references: sortedPaths(options.references ?? []) };
  const scanner = new ReferenceScanner(candidates);
  const hash = startDigest("sha256");
  let size = 0;
  for await (const piece of narStream(store.castore, root)) {
    hash.update(piece);
    scanner.push(piece);
    size += piece.length;
  }
  const references = sortedPaths([...(options.references ?? []), ...scanner.found]);
  return { digest: hash.finish(), size, references };
}

/**
 * The hash that a content address by `method` has for a tree. Only a file has one other than by its NAR.
 * @param narSha256 that of the tree's NAR
 */
export async function contentHash(
  castore: Castore,
  root: Node,
  method: "nar" | "flat" | "text",
  algo: DigestAlgo,
  narSha256: Uint8Array,
): Promise<Uint8Array> {
  if (method === "nar") {
    return algo === "sha256" ? narSha256 : (await narDigest(castore, root, algo)).digest;
  }
  const hash = startDigest(algo);
  if (root.type === "file") {
    for await (const piece of (await openBlob(castore.blobs, root.digest)).stream()) hash.update(piece);
  }
  return hash.finish();
}

function flatRoot(root: Node, path: string): Node {
  if (root.type === "file") return { ...root, executable: false };
  throw new TvixError("ERR_STORE_NOT_FILE", `${path} is a ${root.type}; only a file can be imported flat`);
}

/** Options of {@link importBytes}. */
export interface ImportBytesOptions {
  readonly method?: "text" | "flat";
  readonly algo?: DigestAlgo;
  readonly references?: readonly StorePath[];
}

/** Stores bytes as a file of the given name: `builtins.toFile` with the method `text` (default). */
export async function importBytes(
  store: Store,
  name: string,
  bytes: Uint8Array,
  options: ImportBytesOptions = {},
): Promise<PathInfo> {
  const { method = "text", algo = "sha256", references = [] } = options;
  checkStoreName(name);
  const [digest] = await store.blobs.put([bytes]);
  if (digest === undefined) throw new TvixError("ERR_CASTORE_MISSING", "the blob was not stored");
  const root: Node = { type: "file", digest, size: bytes.length, executable: false };
  const { narSha256, narSize, contentHash } = await witnessFile(bytes.length, [bytes], { method, algo });
  const address: ContentAddress = { method, hash: nixHash(algo, contentHash) };
  const sorted = sortedPaths(references);
  return await store.pathInfos.put(describe(store, { name, root, address, narSha256, narSize, references: sorted }));
}

/** The bytes of a store path that is a single file. @throws TvixError `ERR_STORE_NOT_FILE` */
export async function readText(store: Store, info: PathInfo): Promise<Uint8Array> {
  if (info.root.type === "file") return await readBlob(store.blobs, info.root.digest);
  throw new TvixError("ERR_STORE_NOT_FILE", `${info.path.absolute(store.storeDir)} is not a file`);
}
