// Stores made of another one: everything as it is there but for what is said.
import { Store, type StoreParts } from "../store.ts";

/**
 * A store over another one. What the other could do because it is a local store is not passed on: it would go past
 * what is put in its way.
 */
export function wrapStore(inner: Store, changes: Partial<StoreParts>): Store {
  const { address, castore, pathInfos, narIndex, substituter, storeDir } = inner;
  return new Store({
    address,
    castore,
    pathInfos,
    narIndex,
    substituter,
    storeDir,
    received: () => inner.received,
    close: () => inner.close(),
    ...changes,
  });
}
