// A binary cache as a store that can be read: what is asked for is fetched into a store of its own, which ends with it.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { TvixError } from "../../base/error.ts";
import type { BlobService } from "../../castore/blob/service.ts";
import type { DirectoryService } from "../../castore/directory/service.ts";
import { LocalStore } from "../../castore/local/store.ts";
import { LocalNarIndex, LocalPathInfoService } from "../local.ts";
import type { NarIndex, PathInfoService } from "../service.ts";
import { Store } from "../store.ts";
import type { CacheAddress } from "./address.ts";
import { BinaryCache } from "./cache.ts";
import { type FetchOptions, openFetcher } from "./fetch.ts";
import { CacheSubstituter } from "./substitute.ts";

/** Opens a binary cache. Nothing is asked of it before something is asked of the store. */
export async function openCacheStore(
  address: CacheAddress,
  storeDir?: string,
  options: FetchOptions = {},
): Promise<Store> {
  const { root, keys, unsigned, onlyNars, ca } = address;
  const shown = `nix+${root.protocol}//${root.host}${root.pathname.replace(/\/$/, "")}`;
  const cache = new BinaryCache(shown, openFetcher(root, { ca, ...options }), { keys, unsigned }, storeDir);
  const substituter = new CacheSubstituter(cache, { onlyNars });
  const fetched = new Fetched(storeDir);
  return new Store({
    address: shown,
    ...servicesOf(shown, substituter, fetched),
    substituter,
    storeDir,
    close: async () => {
      cache.close();
      await fetched.close();
    },
  });
}

/** What was fetched: a local store in a temporary directory, made when it is first needed. */
class Fetched {
  readonly #storeDir: string | undefined;
  #opening: Promise<Store> | undefined;

  constructor(storeDir: string | undefined) {
    this.#storeDir = storeDir;
  }

  store(): Promise<Store> {
    this.#opening ??= this.#open();
    return this.#opening;
  }

  async #open(): Promise<Store> {
    const directory = await mkdtemp(join(tmpdir(), "tvix-substituted-"));
    const castore = await LocalStore.open(directory);
    const local = { castore, pathInfos: new LocalPathInfoService(castore), narIndex: new LocalNarIndex(castore) };
    return new Store({
      address: directory,
      ...local,
      local,
      storeDir: this.#storeDir,
      close: async () => {
        await castore.close();
        await rm(directory, { recursive: true, force: true });
      },
    });
  }

  async close(): Promise<void> {
    await (await this.#opening)?.close();
  }
}

/** The services of what was fetched; to give a path info, its tree is fetched. */
function servicesOf(
  address: string,
  substituter: CacheSubstituter,
  fetched: Fetched,
): { castore: { blobs: BlobService; directories: DirectoryService }; pathInfos: PathInfoService; narIndex: NarIndex } {
  const refuse = (): never => {
    throw new TvixError("ERR_STORE_READONLY", `${address} is a binary cache, which is only read here`, {
      notes: ["`tvix cache serve` serves one that can be written to"],
    });
  };
  const refuseLater = async (): Promise<never> => refuse();
  const blobs: BlobService = {
    has: async (digests) => (await fetched.store()).blobs.has(digests),
    openRead: async (digest) => (await fetched.store()).blobs.openRead(digest),
    chunks: async (digest) => (await fetched.store()).blobs.chunks(digest),
    put: refuseLater,
    openWrite: refuse,
  };
  const directories: DirectoryService = {
    has: async (digests) => (await fetched.store()).directories.has(digests),
    get: async (digest) => (await fetched.store()).directories.get(digest),
    getClosure: async function* (root) {
      yield* (await fetched.store()).directories.getClosure(root);
    },
    put: refuseLater,
    putClosure: refuseLater,
  };
  const pathInfos: PathInfoService = {
    get: async (hash) => {
      const store = await fetched.store();
      const known = await store.pathInfos.get(hash);
      if (known) return known;
      const path = await substituter.look(hash);
      if (path === undefined) return undefined;
      await substituter.substitute(store, [path], { noClosure: true });
      return await store.pathInfos.get(hash);
    },
    put: refuseLater,
    // oxlint-disable-next-line require-yield
    list: async function* () {
      throw new TvixError("ERR_STORE_NO_LIST", `${address} is a binary cache, which does not list its paths`, {
        notes: ["name the paths that are wanted"],
      });
    },
  };
  const narIndex: NarIndex = {
    get: async (narSha256) => (await fetched.store()).narIndex.get(narSha256),
    put: refuseLater,
  };
  return { castore: { blobs, directories }, pathInfos, narIndex };
}
