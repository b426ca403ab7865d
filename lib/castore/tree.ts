// Trees: a pair of services seen as one, and walking what they keep from a root.
import { bytesToLatin1 } from "../base/text.ts";
import { TvixError } from "../base/error.ts";
import type { BlobService } from "./blob/service.ts";
import type { Entry } from "./directory.ts";
import { TreeDirectories } from "./directory/closure.ts";
import type { DirectoryService } from "./directory/service.ts";
import type { Node } from "./node.ts";
import { displayPath, type TreePath } from "./path.ts";

/** The two services that keep trees. */
export interface Castore {
  readonly blobs: BlobService;
  readonly directories: DirectoryService;
}

/** A node and where it is below the root. */
export interface TreeEntry {
  readonly path: TreePath;
  readonly node: Node;
}

/**
 * The node at `path` below `root`; `undefined` when there is none. Symlinks are not followed.
 * @throws TvixError `ERR_CASTORE_MISSING` when a directory on the way is not in the store.
 */
export async function lookUp(castore: Castore, root: Node, path: TreePath): Promise<Node | undefined> {
  if (root.type !== "directory") return path.length === 0 ? root : undefined;
  const directories = new TreeDirectories(castore.directories, root.digest);
  let node: Node = root;
  for (const name of path) {
    if (node.type !== "directory") return undefined;
    const next: Node | undefined = (await directories.open(node.digest)).find(name);
    if (next === undefined) return undefined;
    node = next;
  }
  return node;
}

/**
 * The same for a path that must lead somewhere.
 * @throws TvixError `ERR_CASTORE_NO_ENTRY`, `ERR_CASTORE_MISSING`.
 */
export async function resolve(castore: Castore, root: Node, path: TreePath): Promise<Node> {
  const node = await lookUp(castore, root, path);
  if (node === undefined) throw new TvixError("ERR_CASTORE_NO_ENTRY", `there is no ${displayPath(path)} in this tree`);
  return node;
}

/**
 * All entries of a tree, the root first, each directory before what is in it, names ascending: the order of a NAR.
 * @throws TvixError `ERR_CASTORE_MISSING`.
 */
export async function* walkTree(castore: Castore, root: Node): AsyncGenerator<TreeEntry> {
  yield { path: [], node: root };
  if (root.type !== "directory") return;
  const directories = new TreeDirectories(castore.directories, root.digest);
  const open: { path: TreePath; entries: Iterator<Entry> }[] = [];
  const enter = async (path: TreePath, node: Node & { type: "directory" }) => {
    const directory = await directories.open(node.digest);
    open.push({ path, entries: directory.entries[Symbol.iterator]() });
  };
  await enter([], root);
  for (let top = open.at(-1); top !== undefined; top = open.at(-1)) {
    const next = top.entries.next();
    if (next.done) {
      open.pop();
      continue;
    }
    const { name, node } = next.value;
    const path = [...top.path, name];
    yield { path, node };
    if (node.type === "directory") await enter(path, node);
  }
}

/** A path below a directory of the host, as the bytes the system calls take. */
export function hostPath(base: string, path: TreePath): Buffer {
  const below = path.map((name) => `/${bytesToLatin1(name)}`).join("");
  return Buffer.concat([Buffer.from(base), Buffer.from(below, "latin1")]);
}
