// A file tree as flat arrays: what the native walk, ingestion and NAR rendering exchange with JavaScript.
import { core } from "./load.ts";
import { pathBytes, settled } from "./failure.ts";

/** What an entry is: the values of {@link TreeListing.kinds}. */
export const DIRECTORY = 0;
export const REGULAR = 1;
export const EXECUTABLE = 2;
export const SYMLINK = 3;

/**
 * A tree in NAR order: each directory comes before its entries, entries ascend bytewise by name, and entry 0 is the
 * root, whose name is empty. Walking it backwards meets every directory after all that is in it, which is the order for
 * building castore directories.
 */
export interface TreeListing {
  /** One of {@link DIRECTORY}, {@link REGULAR}, {@link EXECUTABLE}, {@link SYMLINK} per entry. */
  readonly kinds: Uint8Array;
  /** Index of the directory each entry is in; 0xffffffff for the root. */
  readonly parents: Uint32Array;
  /** Regular files: size in bytes. Symlinks: length of the target. Directories: number of entries. */
  readonly sizes: Float64Array;
  /** Two per entry: where its name ends in {@link text}, and where its symlink target ends; each starts where the last ended. */
  readonly ends: Uint32Array;
  /** Names and targets, one behind the other; bytes, in no encoding. */
  readonly text: Uint8Array;
}

/** The name of entry `index`: a view of the listing's own bytes. Empty for the root. */
export function entryName(listing: TreeListing, index: number): Uint8Array {
  return listing.text.subarray(index === 0 ? 0 : listing.ends[2 * index - 1], listing.ends[2 * index]);
}

/** The target of the symlink at `index`: a view of the listing's own bytes. Empty for other kinds. */
export function entryTarget(listing: TreeListing, index: number): Uint8Array {
  return listing.text.subarray(listing.ends[2 * index], listing.ends[2 * index + 1]);
}

/**
 * The listing without the entries `keep` refuses and all that is below them; entry 0 is always kept.
 * `keep` is asked in NAR order, and never about what is below a refused directory.
 */
export function filterListing(listing: TreeListing, keep: (index: number) => boolean): TreeListing {
  const count = listing.kinds.length;
  const moved = new Int32Array(count).fill(-1);
  const kept: number[] = [];
  for (let i = 0; i < count; i++) {
    const parent = listing.parents[i] as number;
    if (i > 0 && ((moved[parent] as number) < 0 || !keep(i))) continue;
    moved[i] = kept.length;
    kept.push(i);
  }
  const out = {
    kinds: new Uint8Array(kept.length),
    parents: new Uint32Array(kept.length),
    sizes: new Float64Array(kept.length),
    ends: new Uint32Array(kept.length * 2),
    text: new Uint8Array(listing.text.length),
  };
  let at = 0;
  for (const [to, from] of kept.entries()) {
    const parent = listing.parents[from] as number;
    const kind = listing.kinds[from] as number;
    out.kinds[to] = kind;
    out.parents[to] = to === 0 ? 0xffffffff : (moved[parent] as number);
    out.sizes[to] = kind === DIRECTORY ? 0 : (listing.sizes[from] as number);
    if (to > 0) (out.sizes[moved[parent] as number] as number) += 1;
    const name = entryName(listing, from);
    const target = entryTarget(listing, from);
    out.text.set(name, at);
    out.text.set(target, at + name.length);
    out.ends[2 * to] = at + name.length;
    at += name.length + target.length;
    out.ends[2 * to + 1] = at;
  }
  return { ...out, text: out.text.subarray(0, at) };
}

interface TreeAddon {
  treeWalk(path: Uint8Array): Promise<TreeListing>;
}

/**
 * Lists a host tree off the event loop without reading file contents or following symlinks; the root itself may be a
 * file or a symlink.
 * @throws TvixError `ERR_TREE_MISSING`, `ERR_TREE_UNREADABLE`, `ERR_TREE_KIND` (socket, device, pipe),
 *   `ERR_TREE_NAME` (over 255 bytes), `ERR_TREE_TOO_DEEP`, `ERR_TREE_CHANGED`, `ERR_TREE_IO`; each names the path
 */
export function walkTree(path: string | Uint8Array): Promise<TreeListing> {
  return settled((core() as unknown as TreeAddon).treeWalk(pathBytes(path)));
}
