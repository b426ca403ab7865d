// A store near by in front of others far away: what is read from afar is kept near.
//
// Blobs are kept as they are read, in pieces where they are long. Directories and path infos of the far stores are kept
// in memory only: a local store that held some of them would have entries that lead nowhere. A path comes near as a
// whole when a binary cache gives it, or with `fetch: "whole"` when anybody asks for it.
import { TvixError } from "../../base/error.ts";
import { bytesToLatin1 } from "../../base/text.ts";
import { type Digest, digestKey } from "../../castore/digest.ts";
import type { Directory } from "../../castore/directory.ts";
import type { DirectoryService } from "../../castore/directory/service.ts";
import { copyClosure } from "../copy.ts";
import type { OpenOptions } from "../open.ts";
import type { PathInfo } from "../path-info.ts";
import type { NarIndex, PathInfoService } from "../service.ts";
import { Store } from "../store.ts";
import { CachedBlobService } from "./cached-blobs.ts";
import { readOnlyStore } from "./read-only.ts";

/** How a cache behaves. */
export interface CachedOptions {
  /**
   * `lazy` (the default): of a path only what is read comes near. `whole`: asking for a path brings all of it. Binary
   * caches give whole paths in either case.
   */
  readonly fetch?: "lazy" | "whole";
  /** Where writes go: to the near store (the default), or through to the first far store as well. */
  readonly writes?: "near" | "through";
}

const DIRECTORIES = 50_000;
const PATH_INFOS = 20_000;

/** Joins a near store with far ones, which are asked in the order given. Closing it closes all of them. */
export function cachedStore(near: Store, far: readonly Store[], options: CachedOptions = {}): Store {
  const [first] = far;
  const targets = options.writes === "through" && first ? [first, near] : [near];
  const directories = new CachedDirectoryService(near, far, targets);
  const blobs = new CachedBlobService(
    near.blobs,
    far.filter((store) => store.substituter === undefined).map((store) => store.blobs),
    targets.map((store) => store.blobs),
  );
  return new Store({
    address: `cache:?near=${near.address}${far.map((store) => `&far=${store.address}`).join("")}`,
    castore: { blobs, directories },
    pathInfos: new CachedPathInfoService(near, far, targets, options.fetch === "whole"),
    narIndex: narIndexOf(near, far, targets),
    storeDir: near.storeDir,
    received: () => far.reduce<number | undefined>((sum, { received }) => (received ?? 0) + (sum ?? 0), undefined),
    close: async () => {
      for (const store of [...far, near]) await store.close();
    },
  });
}

/** Opens a near store and far ones by their addresses, the far ones for reading. */
export async function openCached(
  { near, far }: { readonly near: string; readonly far: readonly string[] },
  open: (address: string, options: OpenOptions) => Promise<Store>,
  options: OpenOptions,
): Promise<Store> {
  const opened: Store[] = [];
  try {
    for (const address of far) opened.push(await open(address, { ...options, readOnly: true }));
    // Who only reads still has what is read kept near.
    const { readOnly, ...others } = options;
    const store = cachedStore(await open(near, others), opened);
    return readOnly === true ? readOnlyStore(store) : store;
  } catch (error) {
    for (const store of opened) await store.close();
    throw error;
  }
}

/** A map that forgets what was put first. */
class Recent<Value> {
  readonly #limit: number;
  readonly #values = new Map<string, Value>();

  constructor(limit: number) {
    this.#limit = limit;
  }

  get(key: string): Value | undefined {
    return this.#values.get(key);
  }

  set(key: string, value: Value): void {
    this.#values.set(key, value);
    if (this.#values.size <= this.#limit) return;
    const [oldest] = this.#values.keys();
    if (oldest !== undefined) this.#values.delete(oldest);
  }

  delete(key: string): void {
    this.#values.delete(key);
  }
}

class CachedDirectoryService implements DirectoryService {
  readonly #near: DirectoryService;
  readonly #far: readonly DirectoryService[];
  readonly #targets: readonly DirectoryService[];
  readonly #recent = new Recent<Directory>(DIRECTORIES);

  constructor(near: Store, far: readonly Store[], targets: readonly Store[]) {
    this.#near = near.directories;
    // What a binary cache has is near as soon as its path is known.
    this.#far = far.filter((store) => store.substituter === undefined).map((store) => store.directories);
    this.#targets = targets.map((store) => store.directories);
  }

  async has(digests: readonly Digest[]): Promise<boolean[]> {
    const found = await this.#near.has(digests);
    for (const far of this.#far) {
      const missing = digests.filter((_, i) => !found[i]);
      if (missing.length === 0) break;
      const there = (await far.has(missing)).values();
      for (const [i, here] of found.entries()) if (!here) found[i] = there.next().value === true;
    }
    return found;
  }

  async get(digest: Digest): Promise<Directory | undefined> {
    const key = digestKey(digest);
    const known = this.#recent.get(key) ?? (await this.#near.get(digest));
    if (known) return known;
    for (const far of this.#far) {
      const directory = await far.get(digest);
      if (directory === undefined) continue;
      this.#recent.set(key, directory);
      return directory;
    }
    return undefined;
  }

  async *getClosure(root: Digest): AsyncGenerator<Directory> {
    for (const service of [this.#near, ...this.#far]) {
      if (!(await service.has([root]))[0]) continue;
      for await (const directory of service.getClosure(root)) {
        this.#recent.set(digestKey(directory.digest()), directory);
        yield directory;
      }
      return;
    }
  }

  async put(directories: readonly Directory[]): Promise<Digest[]> {
    let digests: Digest[] = [];
    for (const target of this.#targets) digests = await target.put(directories);
    return digests;
  }

  async putClosure(directories: Iterable<Directory> | AsyncIterable<Directory>): Promise<Digest> {
    const all: Directory[] = [];
    for await (const directory of directories) all.push(directory);
    let root: Digest | undefined;
    for (const target of this.#targets) root = await target.putClosure(all);
    return root as Digest;
  }
}

class CachedPathInfoService implements PathInfoService {
  readonly #near: Store;
  readonly #far: readonly Store[];
  readonly #targets: readonly Store[];
  readonly #whole: boolean;
  readonly #recent = new Recent<PathInfo>(PATH_INFOS);

  constructor(near: Store, far: readonly Store[], targets: readonly Store[], whole: boolean) {
    this.#near = near;
    this.#far = far;
    this.#targets = targets;
    this.#whole = whole;
  }

  /** The first that any store has. A far store that fails is passed over as long as another one has the path. */
  async get(hash: Uint8Array): Promise<PathInfo | undefined> {
    const key = bytesToLatin1(hash);
    const known = (await this.#near.pathInfos.get(hash)) ?? this.#recent.get(key);
    if (known) return known;
    let failure: unknown;
    for (const far of this.#far) {
      try {
        const info = await this.#from(far, hash);
        if (info === undefined) continue;
        if (!(await this.#isNear(hash))) this.#recent.set(key, info);
        return info;
      } catch (error) {
        failure ??= error;
      }
    }
    if (failure !== undefined) throw failure;
    return undefined;
  }

  async #isNear(hash: Uint8Array): Promise<boolean> {
    return (await this.#near.pathInfos.get(hash)) !== undefined;
  }

  async #from(far: Store, hash: Uint8Array): Promise<PathInfo | undefined> {
    if (far.substituter) {
      const entry = await far.substituter.look(hash);
      if (entry === undefined) return undefined;
      await far.substituter.substitute(this.#near, [entry], { noClosure: true });
      return await this.#near.pathInfos.get(hash);
    }
    const info = await far.pathInfos.get(hash);
    if (info && this.#whole) await copyClosure(far, this.#near, [info.path], { noClosure: true });
    return info;
  }

  async put(info: PathInfo): Promise<PathInfo> {
    let stored = info;
    for (const target of this.#targets) stored = await target.pathInfos.put(stored);
    this.#recent.delete(bytesToLatin1(info.path.digest));
    return stored;
  }

  /** Each path once. Far stores that cannot list are passed over. */
  async *list(): AsyncGenerator<PathInfo> {
    const seen = new Set<string>();
    for (const store of [this.#near, ...this.#far]) {
      try {
        for await (const info of store.pathInfos.list()) {
          if (seen.has(info.path.hash)) continue;
          seen.add(info.path.hash);
          yield info;
        }
      } catch (error) {
        if (!(error instanceof TvixError) || error.code !== "ERR_STORE_NO_LIST") throw error;
      }
    }
  }
}

function narIndexOf(near: Store, far: readonly Store[], targets: readonly Store[]): NarIndex {
  return {
    get: async (narSha256) => {
      for (const store of [near, ...far]) {
        const entry = await store.narIndex.get(narSha256);
        if (entry) return entry;
      }
      return undefined;
    },
    put: async (narSha256, entry) => {
      for (const target of targets) await target.narIndex.put(narSha256, entry);
    },
  };
}
