// The top of a mount: one directory, a set of named nodes, or the paths of a store, asked for by name.
import { latin1ToBytes, bytesToLatin1 } from "../base/text.ts";
import { TvixError } from "../base/error.ts";
import { Directory, type Entry } from "../castore/directory.ts";
import type { DirectoryNode, Node } from "../castore/node.ts";
import type { Castore } from "../castore/tree.ts";
import type { Store } from "../store/store.ts";

/** A directory's node, shown as the root; or entries, which become the root's. */
export type MountRoots = Node | Iterable<Entry>;

/** A store's paths, by their names. */
export interface StoreRootOptions {
  readonly store: Store;
  /** Whether the root can be listed; names are found either way. Default: false, for stores hold millions. */
  readonly listRoot?: boolean;
}

/** Trees of a castore: one directory, or named nodes. */
export interface TreeRootOptions {
  readonly castore: Castore;
  readonly roots: MountRoots;
}

/** What is served. */
export type RootOptions = StoreRootOptions | TreeRootOptions;

/** Names that are found on demand. */
export interface RootNames {
  /** The node called `name`; `undefined` when there is none now. */
  find(name: Uint8Array): Promise<Node | undefined>;
  /** All entries; absent when the root is not to be listed. */
  readonly list?: (() => AsyncIterable<Entry>) | undefined;
}

/** What the root is: a directory of the castore, one made for the mount, or names found on demand. */
export type RootView =
  | { readonly kind: "node"; readonly node: DirectoryNode }
  | { readonly kind: "made"; readonly node: DirectoryNode; readonly directory: Directory }
  | { readonly kind: "names"; readonly names: RootNames };

/** @throws TvixError `ERR_MOUNT_ROOT`, or what {@link Directory.of} throws for names that cannot be. */
export function viewRoot(options: RootOptions): RootView {
  if ("store" in options) return { kind: "names", names: storeNames(options.store, options.listRoot ?? false) };
  const { roots } = options;
  if (!("type" in roots)) {
    const directory = Directory.of(roots);
    return { kind: "made", node: directory.node(), directory };
  }
  if (roots.type !== "directory") {
    throw new TvixError("ERR_MOUNT_ROOT", `the root of a mount is a directory, and this is a ${roots.type}`, {
      notes: ["give it a name: mount a set of entries"],
    });
  }
  return { kind: "node", node: roots };
}

/** The paths of a store, called as in /nix/store. */
function storeNames(store: Store, list: boolean): RootNames {
  const find = async (name: Uint8Array) => {
    const text = bytesToLatin1(name);
    // What programs look for everywhere (`.git`, `.Trash`) is not worth a question to the store.
    if (!/^[0-9a-df-np-sv-z]{32}-./.test(text)) return undefined;
    try {
      return (await store.info(text)).root;
    } catch (error) {
      if (error instanceof TvixError && /^ERR_STORE_(NO_PATH|PATH)/.test(error.code)) return undefined;
      throw error;
    }
  };
  if (!list) return { find };
  return {
    find,
    async *list() {
      for await (const { path, root } of store.list()) yield { name: latin1ToBytes(path.basename), node: root };
    },
  };
}
