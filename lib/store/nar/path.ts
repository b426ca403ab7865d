// NARs that are store paths: the tree and what is known of the path become visible together, or neither does.
import { equalBytes } from "../../base/bytes.ts";
import type { OperationOptions } from "../../castore/progress.ts";
import type { PathInfo } from "../path-info.ts";
import type { Store } from "../store.ts";
import { type IngestedNar, ingestNar } from "./ingest.ts";

/**
 * Stores the tree of a NAR under the path that `describe` gives it. What the store knows already about that path and
 * the same contents stays, because it may carry signatures and a deriver.
 * @param describe is called once the whole NAR is known; what it throws refuses it
 * @throws TvixError `ERR_NAR_…`, `ERR_STORE_COLLECTED`; nothing of it is visible then
 */
export async function ingestPath(
  store: Store,
  source: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  describe: (found: IngestedNar) => PathInfo,
  options: OperationOptions = {},
): Promise<PathInfo> {
  const { local } = store;
  let info: PathInfo | undefined;
  const change = (found: IngestedNar) => {
    info = describe(found);
    if (!local) return;
    const known = local.pathInfos.getSync(info.path.digest);
    if (known && isSame(known, info)) info = known;
    else local.pathInfos.putSync(info);
    local.narIndex.putSync(info.narSha256, { root: info.root, narSize: info.narSize });
  };
  await ingestNar(store.castore, source, { ...options, change });
  const made = info as unknown as PathInfo;
  if (local) return made;
  await store.narIndex.put(made.narSha256, { root: made.root, narSize: made.narSize });
  const known = await store.pathInfos.get(made.path.digest);
  return known && isSame(known, made) ? known : await store.pathInfos.put(made);
}

function isSame(known: PathInfo, info: PathInfo): boolean {
  return known.path.name === info.path.name && equalBytes(known.narSha256, info.narSha256);
}
