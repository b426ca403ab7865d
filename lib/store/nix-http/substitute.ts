// Substitution: closures from a binary cache into a store. What is known is asked first: the target's own paths, then
// the NARs it has seen, then, of a cache that keeps trees, the parts of the tree; only then the archive.
import { TvixError } from "../../base/error.ts";
import type { Castore } from "../../castore/tree.ts";
import { mapBounded } from "../../castore/object/service.ts";
import * as base32 from "../../formats/nixbase32.ts";
import type { CopyOptions, CopySummary } from "../copy.ts";
import { checkAcyclic, referencesFirst } from "../gc.ts";
import { checkContentAddress, checkNar } from "../nar/check.ts";
import { KeptCastore } from "../nar/kept.ts";
import { narDigest } from "../nar/render.ts";
import type { IngestedNar } from "../nar/ingest.ts";
import { ingestPath } from "../nar/path.ts";
import { parseNarUrl } from "../nar/url.ts";
import type { PathClaim, PathInfo } from "../path-info.ts";
import { putPaths, unlessCollected } from "../put.ts";
import type { NarEntry } from "../service.ts";
import type { Store, Substituter } from "../store.ts";
import type { StorePath } from "../../formats/store-path.ts";
import type { BinaryCache, CacheEntry } from "./cache.ts";
import { TreeFetcher } from "./trees.ts";

/** Questions about paths under way at once. */
const ASKING = 16;
/** Archives under way at once. */
const FETCHING = 4;
const HASHING = 2;
/** Paths whose trees are fetched together, and the sum of their NARs in bytes. */
const GROUP_PATHS = 512;
const GROUP_BYTES = 4 * 2 ** 30;

/** A path to be stored, trusted as far as that can be said without its contents. */
interface Wanted extends CacheEntry {
  /** Only its contents can prove it. */
  readonly checkContents: boolean;
}

/** A path to be looked for, and who refers to it. */
interface Asked {
  readonly digest: Uint8Array;
  readonly name: string | undefined;
  readonly from: PathClaim | undefined;
  /** False for what a path that is there already refers to: without it that path is no worse than before. */
  readonly isNeeded: boolean;
}

/** Brings paths from a cache to stores. */
export class CacheSubstituter implements Substituter {
  readonly #cache: BinaryCache;
  /** Whether archives are fetched even where the cache has trees. */
  readonly #onlyNars: boolean;

  constructor(cache: BinaryCache, options: { readonly onlyNars?: boolean } = {}) {
    this.#cache = cache;
    this.#onlyNars = options.onlyNars ?? false;
  }

  async look(hash: Uint8Array): Promise<StorePath | undefined> {
    return (await this.#cache.entry(hash))?.claim.path;
  }

  /**
   * Stores paths and what they refer to; each becomes visible whole, after those it refers to.
   * @throws TvixError `ERR_STORE_NO_PATH`, `ERR_STORE_UNTRUSTED`, `ERR_STORE_NAR_MISMATCH`,
   *   `ERR_STORE_CONTENT_ADDRESS`, `ERR_STORE_CYCLE`, `ERR_HTTP_…`, `ERR_CACHE_…`, `ERR_NAR_…`, `ERR_COMPRESS_…`. What was
   *   stored before the failure stays, closed under references.
   */
  async substitute(to: Store, paths: readonly (StorePath | string)[], options: CopyOptions = {}): Promise<CopySummary> {
    const { wanted, present } = await this.#walk(to, paths, options);
    const sorted = referencesFirst(wanted.map((each) => each.claim));
    checkAcyclic(sorted);
    const byPath = new Map(wanted.map((each) => [each.claim.path.basename, each]));
    const ordered = sorted.map((claim) => byPath.get(claim.path.basename) as Wanted);
    return await new Substitution(this.#cache, to, ordered, present, options).run(this.#onlyNars);
  }

  /** What is to be fetched, and how many paths are there. */
  async #walk(to: Store, paths: readonly (StorePath | string)[], options: CopyOptions) {
    const seen = new Set<string>();
    const wanted: Wanted[] = [];
    let present = 0;
    let level: Asked[] = paths.map((path) => {
      const { digest, name } = to.parsePath(path);
      return { digest, name, from: undefined, isNeeded: true };
    });
    while (level.length > 0) {
      const found = await mapBounded(level, ASKING, async (asked) => {
        options.signal?.throwIfAborted();
        const key = base32.encode(asked.digest);
        if (seen.has(key)) return [];
        seen.add(key);
        const known = await to.pathInfos.get(asked.digest);
        if (known) {
          present++;
          return referencesOf(known, false);
        }
        const entry = await this.#entry(asked, options);
        if (entry === undefined) return [];
        wanted.push(entry);
        return referencesOf(entry.claim, true);
      });
      level = options.noClosure === true ? [] : found.flat();
    }
    return { wanted, present };
  }

  async #entry({ digest, name, from, isNeeded }: Asked, options: CopyOptions): Promise<Wanted | undefined> {
    const entry = await this.#cache.entry(digest, options.signal);
    if (entry !== undefined && (name === undefined || entry.claim.path.name === name)) {
      return { ...entry, ...this.#cache.requireTrust(entry.claim, options.trustedKeys) };
    }
    if (!isNeeded) return undefined;
    const hash = base32.encode(digest);
    throw noPath(this.#cache, name === undefined ? hash : `${hash}-${name}`, from);
  }
}

function referencesOf(claim: PathClaim, isNeeded: boolean): Asked[] {
  return claim.references.map(({ digest, name }) => ({ digest, name, from: claim, isNeeded }));
}

/** One closure on its way. */
class Substitution {
  readonly #cache: BinaryCache;
  readonly #to: Store;
  readonly #wanted: readonly Wanted[];
  readonly #present: number;
  readonly #options: CopyOptions;
  /** Stops everything at the first failure. */
  readonly #stop = new AbortController();
  readonly #signal: AbortSignal;
  /** Trees that are here already and have the NAR that is claimed. */
  readonly #known = new Map<Wanted, NarEntry>();
  /** By base name: settles when the path is in the target. */
  readonly #arrivals = new Map<string, Promise<PathInfo>>();
  /** Base names of paths that are not in the target yet. */
  readonly #pending: Set<string>;
  #done = 0;
  #bytes = 0;

  constructor(cache: BinaryCache, to: Store, wanted: readonly Wanted[], present: number, options: CopyOptions) {
    this.#cache = cache;
    this.#to = to;
    this.#wanted = wanted;
    this.#present = present;
    this.#options = options;
    this.#pending = new Set(wanted.map(({ claim }) => claim.path.basename));
    this.#signal = options.signal ? AbortSignal.any([options.signal, this.#stop.signal]) : this.#stop.signal;
  }

  async run(onlyNars: boolean): Promise<CopySummary> {
    if (!onlyNars) {
      for (const group of groups(this.#wanted)) {
        await unlessCollected(() => this.#fromTrees(group));
      }
    }
    try {
      // References come first in the list, so whatever waits for one waits for something under way.
      const copied = await mapBounded(this.#wanted, FETCHING, (each) => {
        const key = each.claim.path.basename;
        const arrival = this.#arrivals.get(key) ?? this.#arrive(each);
        this.#arrivals.set(key, arrival);
        return arrival.catch((error: unknown) => {
          this.#stop.abort(error);
          throw error;
        });
      });
      return { copied, present: this.#present, bytes: this.#bytes };
    } finally {
      await Promise.allSettled(this.#arrivals.values());
    }
  }

  #report(): void {
    const done = this.#present + this.#done;
    const total = this.#present + this.#wanted.length;
    this.#options.onProgress?.({ phase: "copy", done, total, bytes: this.#bytes });
  }

  /**
   * Finds and fetches trees as trees, and stores the paths that have all they refer to. What goes to a store far away is
   * kept meanwhile: all of it is read once more, for the hashes that are claimed.
   */
  async #fromTrees(group: readonly Wanted[]): Promise<void> {
    if (this.#to.received === undefined) return await this.#groupFromTrees(group, this.#to.castore);
    const kept = new KeptCastore(this.#to.castore);
    try {
      await this.#groupFromTrees(group, kept);
    } finally {
      await kept.close();
    }
  }

  async #groupFromTrees(group: readonly Wanted[], castore: Castore): Promise<void> {
    const offered: { wanted: Wanted; entry: NarEntry }[] = [];
    for (const wanted of group) {
      this.#known.delete(wanted);
      const seen = await this.#seen(wanted.claim);
      const entry = parseNarUrl(wanted.url);
      if (seen) this.#known.set(wanted, seen);
      else if (entry?.narSize === wanted.claim.narSize) offered.push({ wanted, entry });
    }
    if (
      offered.length > 0 &&
      (await this.#fetchTrees(
        offered.map(({ entry }) => entry),
        castore,
      ))
    ) {
      await mapBounded(offered, HASHING, async ({ wanted, entry }) => {
        if (await this.#isNarOf(wanted.claim, entry, castore)) this.#known.set(wanted, entry);
      });
    }
    await this.#putReady(group, castore);
  }

  async #putReady(group: readonly Wanted[], castore: Castore): Promise<void> {
    const ready = new Map<string, PathInfo>();
    for (const wanted of group) {
      const { claim } = wanted;
      const { basename } = claim.path;
      const entry = this.#known.get(wanted);
      const isWaiting = claim.references.some(
        (other) => other.basename !== basename && this.#pending.has(other.basename) && !ready.has(other.basename),
      );
      // What it waits for takes the way of archives, and so it does, with nothing left to fetch.
      if (entry === undefined || isWaiting) continue;
      ready.set(basename, await this.#checked(wanted, entry, castore));
    }
    if (ready.size === 0) return;
    await putPaths(this.#to, [...ready.values()]);
    for (const [basename, info] of ready) {
      this.#arrivals.set(basename, Promise.resolve(info));
      this.#pending.delete(basename);
    }
    this.#done += ready.size;
    this.#report();
  }

  /** The tree of a NAR that the target has seen, if it still has it. */
  async #seen({ narSha256, narSize }: PathClaim): Promise<NarEntry | undefined> {
    const entry = await this.#to.narIndex.get(narSha256);
    if (entry?.narSize !== narSize) return undefined;
    const { root } = entry;
    if (root.type === "symlink") return entry;
    const service = root.type === "directory" ? this.#to.directories : this.#to.blobs;
    return (await service.has([root.digest]))[0] ? entry : undefined;
  }

  async #fetchTrees(entries: readonly NarEntry[], castore: Castore): Promise<boolean> {
    const budget = entries.reduce((sum, { narSize }) => sum + narSize, 0);
    const trees = new TreeFetcher(this.#cache.fetcher, castore, budget, this.#options);
    try {
      return await trees.fetch(entries.map(({ root }) => root));
    } catch (error) {
      this.#signal.throwIfAborted();
      if (isAboutTrees(error)) return false;
      throw error;
    } finally {
      this.#bytes += trees.fetched;
    }
  }

  async #isNarOf(claim: PathClaim, { root }: NarEntry, castore: Castore): Promise<boolean> {
    try {
      const nar = this.#to.hashesNars ? await this.#to.narDigest(root) : await narDigest(castore, root);
      checkNar(claim, nar.digest, nar.size);
      return true;
    } catch (error) {
      if (isAboutTrees(error)) return false;
      throw error;
    }
  }

  async #checked(
    { claim, checkContents }: Wanted,
    { root }: NarEntry,
    castore: Castore = this.#to.castore,
  ): Promise<PathInfo> {
    const info: PathInfo = { ...claim, root };
    if (checkContents) await checkContentAddress(castore, info);
    return info;
  }

  /** One path, when its turn has come: from what is here, else from its archive. */
  async #arrive(wanted: Wanted): Promise<PathInfo> {
    this.#signal.throwIfAborted();
    const info = await unlessCollected(async () => {
      const entry = this.#known.get(wanted) ?? (await this.#seen(wanted.claim));
      this.#known.delete(wanted);
      if (entry) return await this.#stored(wanted, entry);
      return wanted.checkContents ? await this.#proven(wanted) : await this.#ingested(wanted);
    });
    this.#done++;
    this.#report();
    return info;
  }

  async #stored(wanted: Wanted, entry: NarEntry): Promise<PathInfo> {
    await this.#references(wanted);
    const info = await this.#checked(wanted, entry);
    await putPaths(this.#to, [info]);
    return info;
  }

  /** The tree and the path become visible at once. */
  async #ingested(wanted: Wanted): Promise<PathInfo> {
    const describe = ({ root, narSha256, narSize }: IngestedNar): PathInfo => {
      checkNar(wanted.claim, narSha256, narSize);
      return { ...wanted.claim, root };
    };
    return await ingestPath(this.#to, this.#archive(wanted), describe, { signal: this.#signal });
  }

  /** The tree is stored, then its contents have to prove the path. */
  async #proven(wanted: Wanted): Promise<PathInfo> {
    const change = ({ narSha256, narSize }: IngestedNar) => checkNar(wanted.claim, narSha256, narSize);
    const { root } = await this.#to.ingestNar(this.#archive(wanted), { change, signal: this.#signal });
    const info = await this.#checked(wanted, { root, narSize: wanted.claim.narSize });
    await putPaths(this.#to, [info]);
    return info;
  }

  /** The archive, whose end waits until all that the path refers to has arrived. */
  async *#archive(wanted: Wanted): AsyncGenerator<Uint8Array> {
    for await (const piece of this.#cache.nar(wanted, this.#signal)) {
      this.#bytes += piece.length;
      yield piece;
    }
    await this.#references(wanted);
  }

  async #references({ claim }: Wanted): Promise<void> {
    for (const reference of claim.references) {
      if (reference.basename !== claim.path.basename) await this.#arrivals.get(reference.basename);
    }
  }
}

/** Groups paths, in their order, so that the directories of a group's trees fit into memory. */
function* groups(wanted: readonly Wanted[]): Generator<readonly Wanted[]> {
  let start = 0;
  let size = 0;
  for (const [i, { claim }] of wanted.entries()) {
    if (i > start && (i - start === GROUP_PATHS || size + claim.narSize > GROUP_BYTES)) {
      yield wanted.slice(start, i);
      start = i;
      size = 0;
    }
    size += claim.narSize;
  }
  if (start < wanted.length) yield wanted.slice(start);
}

/** Failures that say something about how a cache keeps trees, and nothing about the paths in it. */
function isAboutTrees(error: unknown): boolean {
  return error instanceof TvixError && /^ERR_(CACHE_TREE|STORE_NAR_MISMATCH|CASTORE_|HTTP_|PROTOBUF)/.test(error.code);
}

function noPath(cache: BinaryCache, basename: string, from: PathClaim | undefined): TvixError {
  const why = from === undefined ? "" : `; ${from.path.basename} refers to it`;
  return new TvixError("ERR_STORE_NO_PATH", `${cache.storeDir}/${basename} is not in ${cache.address}${why}`);
}
