// What the fetching thread can do: downloads, archives, repositories, and reading what the cache holds.
import { readBlob } from "../../castore/blob/range.ts";
import { asDigest } from "../../castore/digest.ts";
import { missingDirectory } from "../../castore/directory/closure.ts";
import { type CachedTree, FetchCache } from "./cache.ts";
import { type ClosureRequest, type FetchedPath, fetchClosure, heldClosure, rewriteClosure } from "./closure.ts";
import { contentsKey, type Downloaded, downloadFile, type DownloadRequest, downloadTarball } from "./download.ts";
import {
  fetchRevision,
  type GitRequest,
  type GitRevision,
  localRepository,
  readWorkingTree,
  type WorkingTree,
} from "./git.ts";
import {
  fetchMercurialRevision,
  type MercurialRequest,
  type MercurialRevision,
  readUncleanTree,
  type UncleanTree,
} from "./mercurial.ts";

/** How the thread is started. */
export interface FetchThreadOptions {
  /** Of the cache. */
  readonly directory: string;
}

/** The functions of the thread. */
export type FetchFunctions = {
  file(request: DownloadRequest): Promise<Downloaded>;
  tarball(request: DownloadRequest): Promise<Downloaded>;
  /** A tree by the SHA-256 of its NAR. */
  tree(narSha256: Uint8Array): Promise<CachedTree | undefined>;
  /** A file by the SHA-256 of its contents. */
  contents(sha256: Uint8Array): Promise<CachedTree | undefined>;
  /** A path in a binary cache and all it refers to, which come before it. */
  closure(request: ClosureRequest): Promise<FetchedPath[]>;
  /** The same in content-addressed form. */
  rewrittenClosure(request: ClosureRequest): Promise<FetchedPath[]>;
  /** The same of a content-addressed path that came earlier. */
  heldClosure(path: string): Promise<FetchedPath[] | undefined>;
  gitDirectory(url: string): Promise<string | undefined>;
  gitWorkingTree(request: Parameters<typeof readWorkingTree>[1] & { readonly directory: string }): Promise<WorkingTree>;
  gitRevision(request: GitRequest): Promise<GitRevision>;
  mercurialWorkingTree(url: string): Promise<UncleanTree | undefined>;
  mercurialRevision(request: MercurialRequest): Promise<MercurialRevision>;
  /** The canonical bytes of a directory in the cache. */
  directory(digest: Uint8Array): Promise<Uint8Array>;
  /** The bytes of a file in the cache. */
  blob(digest: Uint8Array): Promise<Uint8Array>;
};

/** Opens the cache; the thread calls this once. */
export async function open({ directory }: FetchThreadOptions): Promise<FetchFunctions> {
  const cache = await FetchCache.open(directory);
  const { castore } = cache.store;
  return {
    file: (request) => downloadFile(cache, request),
    tarball: (request) => downloadTarball(cache, request),
    tree: (narSha256) => cache.withHash(narSha256),
    contents: async (sha256) => (await cache.get(contentsKey(sha256)))?.tree,
    closure: (request) => fetchClosure(cache, request),
    rewrittenClosure: (request) => rewriteClosure(cache, request),
    heldClosure: (path) => heldClosure(cache, path),
    gitDirectory: localRepository,
    gitWorkingTree: ({ directory: at, ...shape }) => readWorkingTree(at, shape),
    gitRevision: (request) => fetchRevision(cache, request),
    mercurialWorkingTree: readUncleanTree,
    mercurialRevision: (request) => fetchMercurialRevision(cache, request),
    directory: async (digest) => {
      const found = await castore.directories.get(asDigest(digest));
      if (found === undefined) throw missingDirectory(asDigest(digest));
      return found.encode();
    },
    blob: (digest) => readBlob(castore.blobs, asDigest(digest)),
  };
}
