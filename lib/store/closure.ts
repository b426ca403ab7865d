// Closures of store paths: everything that paths refer to, directly or not.
import { TvixError } from "../base/error.ts";
import type { StorePath } from "../formats/store-path.ts";
import { checkAcyclic, referencesFirst } from "./gc.ts";
import type { PathInfo } from "./path-info.ts";
import type { Store } from "./store.ts";

/**
 * The path infos of the given paths and of all they refer to, each after those it refers to.
 * @throws TvixError `ERR_STORE_NO_PATH` when one of them is not in the store, `ERR_STORE_CYCLE`
 */
export async function closureOf(store: Store, paths: Iterable<StorePath | string>): Promise<PathInfo[]> {
  const roots: PathInfo[] = [];
  for (const path of paths) roots.push(await store.info(path));
  const sorted = referencesFirst(await reachable(roots, (info, to) => followed(store, info, to)));
  checkAcyclic(sorted);
  return sorted;
}

/** Path infos and those of all they refer to, as `follow` finds them; what it does not find is left out. */
export async function reachable(
  roots: Iterable<PathInfo>,
  follow: (from: PathInfo, to: StorePath) => Promise<PathInfo | undefined>,
): Promise<PathInfo[]> {
  const found = new Map<string, PathInfo>();
  const stack = [...roots];
  for (let info = stack.pop(); info !== undefined; info = stack.pop()) {
    if (found.has(info.path.basename)) continue;
    found.set(info.path.basename, info);
    for (const reference of info.references) {
      const next = found.has(reference.basename) ? undefined : await follow(info, reference);
      if (next) stack.push(next);
    }
  }
  return [...found.values()];
}

async function followed(store: Store, from: PathInfo, to: StorePath): Promise<PathInfo> {
  try {
    return await store.info(to);
  } catch (cause) {
    if (!(cause instanceof TvixError) || cause.code !== "ERR_STORE_NO_PATH") throw cause;
    const text = `${from.path.basename} refers to ${to.basename}, which is not in the store ${store.address}`;
    throw new TvixError("ERR_STORE_NO_PATH", text, { cause });
  }
}
