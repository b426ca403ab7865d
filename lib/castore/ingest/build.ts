// From a flat listing and the digests of its files to directories: the last step of every ingestion.
import { DIRECTORY, entryName, entryTarget, EXECUTABLE, SYMLINK, type TreeListing } from "../../native/tree.ts";
import { asDigest, type Digest, DIGEST_LENGTH, digestKey } from "../digest.ts";
import { Directory, type Entry } from "../directory.ts";
import type { Node } from "../node.ts";

/** A tree as built: its root, and its directories leaves first. */
export interface BuiltTree {
  readonly root: Node;
  readonly directories: readonly BuiltDirectory[];
}

/** What is to be stored of a directory: a million entries as bytes are small, as objects they are not. */
export interface BuiltDirectory {
  readonly digest: Digest;
  readonly bytes: Uint8Array;
}

/**
 * Builds the directories of a listing in NAR order.
 * @param fileDigests 32 bytes per entry of the listing; those of entries that are not files are not looked at
 */
export function buildTree(listing: TreeListing, fileDigests: Uint8Array): BuiltTree {
  const directories: BuiltDirectory[] = [];
  const built = new Set<string>();
  /** Entries of directories not yet built, by the index of the directory, last name first. */
  const open = new Map<number, Entry[]>();
  const nodeAt = (i: number): Node => {
    const kind = listing.kinds[i];
    if (kind === SYMLINK) return { type: "symlink", target: entryTarget(listing, i) };
    if (kind !== DIRECTORY) {
      const digest = asDigest(fileDigests.subarray(i * DIGEST_LENGTH, (i + 1) * DIGEST_LENGTH));
      return { type: "file", digest, size: listing.sizes[i] as number, executable: kind === EXECUTABLE };
    }
    const directory = Directory.of((open.get(i) ?? []).reverse());
    open.delete(i);
    const digest = directory.digest();
    const key = digestKey(digest);
    if (!built.has(key)) {
      built.add(key);
      directories.push({ digest, bytes: directory.encode() });
    }
    return directory.node();
  };
  for (let i = listing.kinds.length - 1; i > 0; i--) {
    const entry = { name: entryName(listing, i), node: nodeAt(i) };
    const parent = listing.parents[i] as number;
    const siblings = open.get(parent);
    if (siblings) siblings.push(entry);
    else open.set(parent, [entry]);
  }
  return { root: nodeAt(0), directories };
}
