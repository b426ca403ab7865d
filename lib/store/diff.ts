// What differs between two trees: found by digest, so that what is equal costs nothing.
import { compareBytes } from "../base/bytes.ts";
import type { Directory, Entry } from "../castore/directory.ts";
import { TreeDirectories } from "../castore/directory/closure.ts";
import { type DirectoryNode, equalNodes, type Node } from "../castore/node.ts";
import type { TreePath } from "../castore/path.ts";
import type { Castore } from "../castore/tree.ts";
import type { Store } from "./store.ts";

/** One difference. `before` is absent for what was added, `after` for what was removed. */
export interface Difference {
  /** Below the roots; empty for the roots themselves. */
  readonly path: TreePath;
  readonly before: Node | undefined;
  readonly after: Node | undefined;
}

/**
 * The differences between two trees, in order of path. A directory that is on one side only, or on one side something
 * else, is one difference; what is in it is not listed.
 */
export async function* diffTrees(
  before: Castore,
  beforeRoot: Node,
  after: Castore,
  afterRoot: Node,
): AsyncGenerator<Difference> {
  if (equalNodes(beforeRoot, afterRoot)) return;
  if (beforeRoot.type !== "directory" || afterRoot.type !== "directory") {
    yield { path: [], before: beforeRoot, after: afterRoot };
    return;
  }
  const left = new TreeDirectories(before.directories, beforeRoot.digest);
  const right = new TreeDirectories(after.directories, afterRoot.digest);
  const compare = async function* (a: DirectoryNode, b: DirectoryNode, path: TreePath): AsyncGenerator<Difference> {
    for (const { name, before, after } of mergeEntries(await left.open(a.digest), await right.open(b.digest))) {
      const at = [...path, name];
      if (before && after && equalNodes(before, after)) continue;
      if (before?.type === "directory" && after?.type === "directory") yield* compare(before, after, at);
      else yield { path: at, before, after };
    }
  };
  yield* compare(beforeRoot, afterRoot, []);
}

function* mergeEntries(
  left: Directory,
  right: Directory,
): Generator<{ name: Uint8Array; before: Node | undefined; after: Node | undefined }> {
  let i = 0;
  let j = 0;
  while (i < left.entries.length || j < right.entries.length) {
    const a: Entry | undefined = left.entries[i];
    const b: Entry | undefined = right.entries[j];
    const order = a && b ? compareBytes(a.name, b.name) : a ? -1 : 1;
    if (order <= 0) i++;
    if (order >= 0) j++;
    const entry = (order <= 0 ? a : b) as Entry;
    yield { name: entry.name, before: order <= 0 ? a?.node : undefined, after: order >= 0 ? b?.node : undefined };
  }
}

/** The differences between what is at two paths inside stores (the same store, unless a second is given). */
export async function* diffPaths(
  store: Store,
  before: string,
  after: string,
  other: Store = store,
): AsyncGenerator<Difference> {
  const left = await store.locate(before);
  const right = await other.locate(after);
  yield* diffTrees(store.castore, left.node, other.castore, right.node);
}
