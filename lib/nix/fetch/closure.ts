// Closures from binary caches into the cache of fetched things: as they are there, or in their content-addressed form.
import { makeContentAddressed } from "../../store/content-addressed.ts";
import { closureOf } from "../../store/closure.ts";
import { copyClosure } from "../../store/copy.ts";
import { MemoryPathInfoService } from "../../store/memory.ts";
import { openStore } from "../../store/open.ts";
import type { PathInfo } from "../../store/path-info.ts";
import { putPaths, unlessCollected } from "../../store/put.ts";
import { isContentAddressed, trustOf } from "../../store/sign.ts";
import { Store } from "../../store/store.ts";
import { parsePublicKey, type PublicKey } from "../../formats/signature.ts";
import { StorePath } from "../../formats/store-path.ts";
import { TvixError } from "../../base/error.ts";
import type { Node } from "../../castore/node.ts";
import type { FetchCache } from "./cache.ts";

/** A path in a binary cache. */
export interface ClosureRequest {
  /** The cache: an http or https URL. */
  readonly url: string;
  /** `<hash>-<name>`. */
  readonly path: string;
  /** Who vouches for paths that do not follow from their contents, as `NAME:BASE64`. Default: the key of cache.nixos.org. */
  readonly keys: readonly string[] | undefined;
}

/** A store path with its tree in the cache of fetched things. */
export interface FetchedPath {
  /** `<hash>-<name>`, as are the references. */
  readonly path: string;
  readonly references: readonly string[];
  readonly root: Node;
  readonly isContentAddressed: boolean;
}

const NIXOS_KEY = "cache.nixos.org-1:6NCHdD59X431o0gWypbMrAURkbJ16ZPMQFGspcDShjY=";

/** A path and all it refers to, trusted; the path itself comes last. @throws TvixError what copying a closure throws */
export async function fetchClosure(cache: FetchCache, request: ClosureRequest): Promise<FetchedPath[]> {
  const keys = (request.keys ?? [NIXOS_KEY]).map(parsePublicKey);
  return await unlessCollected(async () => {
    const known = await knownClosure(cache, request.path, keys);
    if (known !== undefined) return known.map(describe);
    const aside = setAside(cache);
    await copyFrom(`nix+${request.url}`, aside, request.path, keys);
    const infos = await closureOf(aside, [request.path]);
    await putPaths(cache.store, infos);
    return infos.map(describe);
  });
}

/** The closure of a content-addressed path, if it is in the cache of fetched things. */
export async function heldClosure(cache: FetchCache, path: string): Promise<FetchedPath[] | undefined> {
  return (await knownClosure(cache, path, []))?.map(describe);
}

/**
 * What a path and all it refers to become when they are rewritten to content-addressed form. It need not be trusted: who
 * asks for it knows what must come of it.
 */
export async function rewriteClosure(cache: FetchCache, { url, path }: ClosureRequest): Promise<FetchedPath[]> {
  return await unlessCollected(async () => {
    const aside = setAside(cache);
    await copyFrom(`nix+${url}${url.includes("?") ? "&" : "?"}trusted=1`, aside, path, undefined);
    return (await makeContentAddressed(aside, cache.store, StorePath.parse(path))).map(describe);
  });
}

/** A store with the trees of the cache, and paths that nobody else sees. */
function setAside({ store }: FetchCache): Store {
  const { address, castore, narIndex, storeDir } = store;
  return new Store({
    address,
    castore,
    narIndex,
    storeDir,
    pathInfos: new MemoryPathInfoService(),
    close: async () => {},
  });
}

async function copyFrom(
  address: string,
  to: Store,
  path: string,
  trustedKeys: readonly PublicKey[] | undefined,
): Promise<void> {
  const from = await openStore(address, { readOnly: true });
  try {
    await copyClosure(from, to, [path], trustedKeys === undefined ? {} : { trustedKeys });
  } finally {
    await from.close();
  }
}

/** What the cache holds may have come with other keys. */
async function knownClosure(
  { store }: FetchCache,
  path: string,
  keys: readonly PublicKey[],
): Promise<PathInfo[] | undefined> {
  let infos: PathInfo[];
  try {
    infos = await closureOf(store, [path]);
  } catch (error) {
    if (error instanceof TvixError && error.code === "ERR_STORE_NO_PATH") return undefined;
    throw error;
  }
  return infos.every((info) => trustOf(info, keys, store.storeDir).trusted) ? infos : undefined;
}

function describe(info: PathInfo): FetchedPath {
  const { path, references, root } = info;
  return {
    path: path.basename,
    references: references.map(({ basename }) => basename),
    root,
    isContentAddressed: isContentAddressed(info),
  };
}
