// A binary cache as a store that can be read: what is asked for is fetched into a store of its own, which ends with it.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { TvixError } from "../../base/error.ts";
import { LocalStore } from "../../castore/local/store.ts";
import { LocalNarIndex, LocalPathInfoService } from "../local.ts";
import type { PathInfo } from "../path-info.ts";
import type { PathInfoService } from "../service.ts";
import { Store } from "../store.ts";
import type { CacheAddress } from "./address.ts";
import { BinaryCache } from "./cache.ts";
import { openFetcher, type FetchOptions } from "./fetch.ts";
import { CacheSubstituter } from "./substitute.ts";

/** Opens a binary cache. Nothing is asked of it before something is asked of the store. */
export async function openCacheStore(
  address: CacheAddress,
  storeDir?: string,
  options: FetchOptions = {},
): Promise<Store> {
  const { root, keys, unsigned, onlyNars } = address;
  const shown = `nix+${root.protocol}//${root.host}${root.pathname.replace(/\/$/, "")}`;
  const cache = new BinaryCache(shown, openFetcher(root, options), { keys, unsigned }, storeDir);
  const directory = await mkdtemp(join(tmpdir(), "tvix-substituted-"));
  const castore = await LocalStore.open(directory);
  const local = { castore, pathInfos: new LocalPathInfoService(castore), narIndex: new LocalNarIndex(castore) };
  const fetched = new Store({ address: shown, ...local, local, storeDir, close: () => castore.close() });
  const substituter = new CacheSubstituter(cache, { onlyNars });
  return new Store({
    address: shown,
    castore,
    narIndex: local.narIndex,
    pathInfos: new CachePathInfoService(cache, substituter, fetched),
    substituter,
    storeDir,
    close: async () => {
      cache.close();
      await fetched.close();
      await rm(directory, { recursive: true, force: true });
    },
  });
}

/** Path infos of a cache; to give one, its tree is fetched. */
class CachePathInfoService implements PathInfoService {
  readonly #cache: BinaryCache;
  readonly #substituter: CacheSubstituter;
  readonly #fetched: Store;

  constructor(cache: BinaryCache, substituter: CacheSubstituter, fetched: Store) {
    this.#cache = cache;
    this.#substituter = substituter;
    this.#fetched = fetched;
  }

  async get(hash: Uint8Array): Promise<PathInfo | undefined> {
    const known = await this.#fetched.pathInfos.get(hash);
    if (known) return known;
    const entry = await this.#cache.entry(hash);
    if (entry === undefined) return undefined;
    await this.#substituter.substitute(this.#fetched, [entry.claim.path], { noClosure: true });
    return await this.#fetched.pathInfos.get(hash);
  }

  async put({ path }: PathInfo): Promise<PathInfo> {
    throw new TvixError("ERR_STORE_READONLY", `${path.basename} cannot be stored in ${this.#cache.address}`, {
      notes: ["a binary cache is read only here; `tvix cache serve` serves one that can be written to"],
    });
  }

  // oxlint-disable-next-line require-yield
  async *list(): AsyncGenerator<PathInfo> {
    throw new TvixError(
      "ERR_STORE_NO_LIST",
      `${this.#cache.address} is a binary cache, which does not list its paths`,
      {
        notes: ["name the paths that are wanted"],
      },
    );
  }
}
