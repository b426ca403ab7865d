// What of a remote store was used: the paths asked for, and how many bytes of their closure have come for it.
import { TvixError } from "../base/error.ts";
import { reachable } from "./closure.ts";
import { wrapStore } from "./compose/wrap.ts";
import type { PathInfo } from "./path-info.ts";
import type { Store } from "./store.ts";

/** What was used. */
export interface Use {
  /** Paths asked for and found, by name. */
  readonly paths: number;
  /** Those and all that they refer to, as far as it is there. */
  readonly closure: number;
  /** Bytes of the NARs of the closure. */
  readonly closureBytes: number;
  /** Bytes that came from the other machine. */
  readonly received: number;
}

/** A store that remembers which of its paths are asked for. */
export function watchUse(inner: Store): { readonly store: Store; use(): Promise<Use> } {
  const used = new Map<string, PathInfo>();
  const { pathInfos } = inner;
  const store = wrapStore(inner, {
    pathInfos: {
      get: async (hash) => {
        const info = await pathInfos.get(hash);
        if (info) used.set(info.path.basename, info);
        return info;
      },
      list: () => pathInfos.list(),
      put: (info) => pathInfos.put(info),
    },
  });
  return {
    store,
    use: async () => {
      // What is asked from here on is for the sum alone.
      const received = inner.received ?? 0;
      const closure = await reachable(used.values(), (_, { digest }) => lookUp(inner, digest));
      const closureBytes = closure.reduce((sum, { narSize }) => sum + narSize, 0);
      return { paths: used.size, closure: closure.length, closureBytes, received };
    },
  };
}

/** What is not there cannot have been used. */
async function lookUp(store: Store, hash: Uint8Array): Promise<PathInfo | undefined> {
  try {
    return await store.pathInfos.get(hash);
  } catch (error) {
    if (error instanceof TvixError) return undefined;
    throw error;
  }
}
