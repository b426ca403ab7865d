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
  const found = new Map<string, PathInfo>();
  const stack: PathInfo[] = [];
  for (const path of paths) stack.push(await store.info(path));
  for (let info = stack.pop(); info !== undefined; info = stack.pop()) {
    if (found.has(info.path.basename)) continue;
    found.set(info.path.basename, info);
    for (const reference of info.references) {
      if (!found.has(reference.basename)) stack.push(await followed(store, info, reference));
    }
  }
  const sorted = referencesFirst([...found.values()]);
  checkAcyclic(sorted);
  return sorted;
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
