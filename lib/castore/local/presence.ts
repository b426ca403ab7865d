// Whether a whole tree is in a local store: a walk over the index alone.
import { type Digest, digestKey } from "../digest.ts";
import type { Node } from "../node.ts";
import { decodeChunkList } from "./blobs.ts";
import type { LocalStore } from "./store.ts";

/**
 * The first object below `root` that the index lacks, down to chunks; `undefined` when all is there. Synchronous, so it
 * can be asked inside a transaction.
 * @param deep false looks at the root alone
 */
export function missingFrom({ index, blobs, directories }: LocalStore, root: Node, deep: boolean): Digest | undefined {
  const seen = new Set<string>();
  const stack: Node[] = [root];
  for (let node = stack.pop(); node !== undefined; node = stack.pop()) {
    if (node.type === "symlink") continue;
    const key = node.type + digestKey(node.digest);
    if (seen.has(key)) continue;
    seen.add(key);
    if (node.type === "file") {
      if (!blobs.hasSync(node.digest)) return node.digest;
      const list = deep ? index.blobs.getSealed(node.digest) : undefined;
      for (const chunk of list ? decodeChunkList(list) : []) if (!index.chunks.has(chunk.digest)) return chunk.digest;
      continue;
    }
    if (!deep) return index.directories.has(node.digest) ? undefined : node.digest;
    const directory = directories.getSync(node.digest);
    if (directory === undefined) return node.digest;
    for (const entry of directory.entries) stack.push(entry.node);
  }
  return undefined;
}
