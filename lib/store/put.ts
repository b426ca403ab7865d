// Making paths visible whose trees are in the castore: many in one transaction, never one whose tree has gone.
import { CollectedError } from "../castore/local/batch.ts";
import { missingFrom } from "../castore/local/presence.ts";
import type { PathInfo } from "./path-info.ts";
import type { LocalParts, Store } from "./store.ts";

/** How often a collection may come between. */
const ATTEMPTS = 5;

/**
 * Stores path infos and remembers their NARs. On a local store all of them become visible or none, and `change` runs
 * inside the transaction that does it; elsewhere one becomes visible after the other, in the order given.
 * @throws TvixError `ERR_STORE_COLLECTED` when a collection has removed one of the trees meanwhile
 */
export async function putPaths(
  store: Store,
  infos: readonly PathInfo[],
  change: (local: LocalParts) => void = () => {},
): Promise<void> {
  const { local } = store;
  if (local === undefined) {
    for (const info of infos) {
      await store.pathInfos.put(info);
      await store.narIndex.put(info.narSha256, { root: info.root, narSize: info.narSize });
    }
    return;
  }
  local.castore.index.write(() => {
    for (const info of infos) {
      if (missingFrom(local.castore, info.root, true) !== undefined) throw new CollectedError();
      local.pathInfos.putSync(info);
      local.narIndex.putSync(info.narSha256, { root: info.root, narSize: info.narSize });
    }
    change(local);
  });
}

/** Repeats work that a collection has come in the way of. It stores again what was removed, so that this ends. */
export async function unlessCollected<T>(work: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await work();
    } catch (error) {
      if (!(error instanceof CollectedError) || attempt === ATTEMPTS) throw error;
    }
  }
}
