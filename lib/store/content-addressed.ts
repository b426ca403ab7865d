// Rewriting closures so that every path follows from its contents: whoever knows the new path need trust nobody.
import { nixHash } from "../formats/hash.ts";
import { contentAddressedPath, type StorePath } from "../formats/store-path.ts";
import type { OperationOptions } from "../castore/progress.ts";
import { closureOf } from "./closure.ts";
import { ingestPath } from "./nar/path.ts";
import { narStream } from "./nar/render.ts";
import { rewritten, selfReferringDigest } from "./nar/rewrite.ts";
import { type PathInfo, sortedPaths } from "./path-info.ts";
import type { Store } from "./store.ts";

/**
 * Makes the content-addressed form of a path and of all it refers to, as `nix store make-content-addressed` does: the
 * paths that the contents mention become the new ones. Answers the new closure, each after what it refers to.
 * @param from has the closure
 * @param to is where the new one goes
 * @throws TvixError `ERR_STORE_NO_PATH`, `ERR_STORE_CYCLE`
 */
export async function makeContentAddressed(
  from: Store,
  to: Store,
  path: StorePath,
  options: OperationOptions = {},
): Promise<PathInfo[]> {
  const made = new Map<string, PathInfo>();
  for (const info of await closureOf(from, [path])) {
    options.signal?.throwIfAborted();
    made.set(info.path.basename, await rewriteOne(from, to, info, made, options));
  }
  return [...made.values()];
}

async function rewriteOne(
  from: Store,
  to: Store,
  info: PathInfo,
  made: ReadonlyMap<string, PathInfo>,
  options: OperationOptions,
): Promise<PathInfo> {
  const { path, references } = info;
  const others = references.filter(({ basename }) => basename !== path.basename);
  const renamed = others.map((other): [StorePath, StorePath] => [other, (made.get(other.basename) as PathInfo).path]);
  const rewrites = renamed
    .filter(([before, after]) => before.basename !== after.basename)
    .map(([before, after]): [string, string] => [before.absolute(from.storeDir), after.absolute(to.storeDir)]);
  const refersToItself = others.length < references.length;
  const nar = (): AsyncIterable<Uint8Array> => rewritten(narStream(from.castore, info.root), rewrites);
  const { digest } = await selfReferringDigest(nar(), path.hash);
  const address = { method: "nar", hash: nixHash("sha256", digest) } as const;
  const newPath = contentAddressedPath({
    name: path.name,
    address,
    references: renamed.map(([, after]) => after.absolute(to.storeDir)),
    selfReferencing: refersToItself,
    storeDir: to.storeDir,
  });
  const newReferences = sortedPaths([...renamed.map(([, after]) => after), ...(refersToItself ? [newPath] : [])]);
  return await ingestPath(
    to,
    rewritten(nar(), [[path.hash, newPath.hash]]),
    ({ root, narSha256, narSize }) => ({
      path: newPath,
      root,
      references: newReferences,
      narSha256,
      narSize,
      ca: address,
      signatures: [],
    }),
    options,
  );
}
