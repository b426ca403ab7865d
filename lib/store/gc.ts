// Collection of a store: path infos that no root reaches, and everything only they kept.
//
// A path is alive when a root names it, when a path alive refers to it, or, with `keepDerivations`, when it is the
// deriver of a path alive. What the trees of live paths reach is marked; the castore's collection sweeps the rest.
import { TvixError } from "../base/error.ts";
import { bytesToLatin1 } from "../base/text.ts";
import { collect, type CollectOptions, type CollectSummary } from "../castore/local/collect.ts";
import { Marker } from "../castore/local/mark.ts";
import type { Node } from "../castore/node.ts";
import type { StorePath } from "../formats/store-path.ts";
import type { PathClaim, PathInfo } from "./path-info.ts";
import { listRootsSync } from "./roots.ts";
import type { LocalParts, Store } from "./store.ts";

/** Options of {@link collectGarbage}. */
export interface GarbageOptions extends CollectOptions {
  /** Keep the derivations that made live paths, and all they need. Default false. */
  readonly keepDerivations?: boolean;
  /** Stop once at least this many bytes of contents are removed: as few paths go as that takes. */
  readonly maxFreed?: number;
  /** Paths to keep in addition to the roots. */
  readonly keep?: readonly StorePath[];
}

/** What a collection of a store removed, or would. */
export interface GarbageSummary extends CollectSummary {
  readonly livePaths: number;
  /** Store paths removed, sorted. */
  readonly removedPaths: readonly StorePath[];
}

const keyOf = (path: StorePath): string => path.basename;

/**
 * Collects a local store.
 * @throws TvixError `ERR_STORE_NOT_LOCAL`, or what {@link collect} throws
 */
export async function collectGarbage(store: Store, options: GarbageOptions = {}): Promise<GarbageSummary> {
  const local = store.requireLocal("collecting garbage");
  const extra = options.keep ?? [];
  /** Dead paths that stay because enough is removed without them. */
  const spared = new Map<string, PathInfo>();
  let alive = new Map<string, PathInfo>();
  let removed: StorePath[] = [];
  const roots = function* (): Generator<Node> {
    alive = livePaths(local, extra, options.keepDerivations === true);
    for (const info of alive.values()) yield info.root;
    for (const info of spared.values()) yield info.root;
  };
  const deadPaths = (): PathInfo[] =>
    [...local.pathInfos.listSync()].filter(({ path }) => !alive.has(keyOf(path)) && !spared.has(keyOf(path)));
  const summary = await collect(
    local.castore,
    {
      roots,
      keep: (marker, sweepable) => {
        if (options.maxFreed !== undefined) {
          for (const info of spare(local, marker, deadPaths(), sweepable(), options.maxFreed)) {
            spared.set(keyOf(info.path), info);
          }
        }
        removed = deadPaths().map((info) => info.path);
      },
      sweep: (marker) => {
        removed = removeDead(local, marker, deadPaths());
      },
    },
    options,
  );
  removed.sort((a, b) => (a.basename < b.basename ? -1 : 1));
  return { ...summary, livePaths: alive.size + spared.size, removedPaths: removed };
}

/** Inside the sweep's transaction: the entries of dead paths, and of NARs whose trees are dead. */
function removeDead(local: LocalParts, marker: Marker, dead: readonly PathInfo[]): StorePath[] {
  for (const { path } of dead) local.pathInfos.table.remove(path.digest);
  const { table } = local.narIndex;
  for (const { key } of table.entries()) {
    const entry = local.narIndex.getSync(key);
    if (entry && !marker.has(entry.root)) table.remove(key);
  }
  return dead.map((info) => info.path);
}

/** The paths that roots reach. */
function livePaths(local: LocalParts, extra: readonly StorePath[], derivations: boolean): Map<string, PathInfo> {
  const alive = new Map<string, PathInfo>();
  const stack = [...listRootsSync(local).map((root) => root.path), ...extra];
  for (let path = stack.pop(); path !== undefined; path = stack.pop()) {
    if (alive.has(keyOf(path))) continue;
    const info = local.pathInfos.getSync(path.digest);
    // A root may name, and a path refer to, what was never there.
    if (info === undefined || info.path.name !== path.name) continue;
    alive.set(keyOf(path), info);
    stack.push(...info.references);
    if (derivations && info.deriver) stack.push(info.deriver);
  }
  return alive;
}

/**
 * Chooses dead paths to spare so that the rest is still worth `maxFreed` bytes. References come before what refers to
 * them, so that what is spared is closed: a path whose reference goes, goes.
 */
function spare(
  local: LocalParts,
  marker: Marker,
  dead: readonly PathInfo[],
  sweepable: number,
  maxFreed: number,
): PathInfo[] {
  const spared: PathInfo[] = [];
  const going = new Set(dead.map((info) => keyOf(info.path)));
  let left = Math.max(0, sweepable - marker.bytes);
  for (const info of referencesFirst(dead)) {
    const closed = info.references.every(
      (reference) => keyOf(reference) === keyOf(info.path) || !going.has(keyOf(reference)),
    );
    if (!closed) continue;
    const trial = new Marker(local.castore, marker);
    trial.mark(info.root);
    if (left - trial.bytes < maxFreed) continue;
    marker.absorb(trial);
    left -= trial.bytes;
    going.delete(keyOf(info.path));
    spared.push(info);
  }
  return spared;
}

/** Sorts path infos so that each comes after those among them that it refers to. */
export function referencesFirst<Info extends PathClaim>(infos: readonly Info[]): Info[] {
  const byHash = new Map(infos.map((info) => [bytesToLatin1(info.path.digest), info]));
  const out: Info[] = [];
  const state = new Map<Info, "open" | "done">();
  for (const start of infos) {
    const stack = [start];
    for (let info = stack.at(-1); info !== undefined; info = stack.at(-1)) {
      if (state.has(info)) {
        stack.pop();
        if (state.get(info) === "open") {
          state.set(info, "done");
          out.push(info);
        }
        continue;
      }
      state.set(info, "open");
      for (const reference of info.references) {
        const next = byHash.get(bytesToLatin1(reference.digest));
        if (next && next !== info && !state.has(next)) stack.push(next);
      }
    }
  }
  return out;
}

/**
 * Refuses references that lead in a circle, which no two store paths can have.
 * @throws TvixError `ERR_STORE_CYCLE`
 */
export function checkAcyclic(sorted: readonly PathClaim[]): void {
  const place = new Map(sorted.map((info, i) => [info.path.basename, i]));
  for (const [i, info] of sorted.entries()) {
    for (const reference of info.references) {
      const at = place.get(reference.basename);
      if (at !== undefined && at > i) {
        throw new TvixError("ERR_STORE_CYCLE", `${info.path.basename} and ${reference.basename} refer to each other`);
      }
    }
  }
}
