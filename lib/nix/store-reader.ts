// Reading a store in the middle of an evaluation, which cannot wait: path infos, directories and files, synchronously.
import { type Digest, digestKey } from "../castore/digest.ts";
import type { Directory } from "../castore/directory.ts";
import { LocalStore } from "../castore/local/store.ts";
import { TvixError } from "../base/error.ts";
import type { StorePath } from "../formats/store-path.ts";
import { LocalPathInfoService } from "../store/local.ts";
import type { PathInfo } from "../store/path-info.ts";
import type { Store } from "../store/store.ts";

/** Directories remembered between look-ups: an evaluation opens the same few again and again. */
const REMEMBERED = 4096;

/** Reads trees of a castore. */
export interface TreeReader {
  directory(digest: Digest): Directory;
  file(digest: Digest): Uint8Array;
}

/** What evaluation asks of a store. */
export interface StoreReader extends TreeReader {
  /** The path info of a store path that is there. */
  info(path: StorePath): PathInfo | undefined;
}

/** Remembers the directories that `read` answered. */
export function rememberDirectories(read: (digest: Digest) => Directory): (digest: Digest) => Directory {
  const remembered = new Map<string, Directory>();
  return (digest) => {
    const key = digestKey(digest);
    let directory = remembered.get(key);
    if (directory === undefined) {
      directory = read(digest);
      if (remembered.size >= REMEMBERED) remembered.clear();
      remembered.set(key, directory);
    }
    return directory;
  };
}

/**
 * Reads a store in the call itself.
 * @throws TvixError `ERR_STORE_NOT_LOCAL` when the store is not a local one: others answer only later
 */
export function storeReader(store: Store): StoreReader {
  return new LocalReader(store.requireLocal("reading during an evaluation"));
}

/** A reader with a store of its own. */
export interface OwnReader extends StoreReader {
  /** Opens the store now, if it is not open. @throws TvixError what opening a local store for reading throws */
  open(): void;
  close(): Promise<void>;
}

/** Reads the local store in a directory, which is opened when something is first asked: most evaluations never ask. */
export function lazyReader(directory: string): OwnReader {
  let castore: LocalStore | undefined;
  let opened: LocalReader | undefined;
  const open = (): LocalReader => {
    if (opened === undefined) {
      castore = LocalStore.openForReading(directory);
      opened = new LocalReader({ castore, pathInfos: new LocalPathInfoService(castore) });
    }
    return opened;
  };
  return {
    open,
    info: (path) => open().info(path),
    directory: (digest) => open().directory(digest),
    file: (digest) => open().file(digest),
    close: async () => await castore?.close(),
  };
}

interface ReadableParts {
  readonly castore: LocalStore;
  readonly pathInfos: LocalPathInfoService;
}

class LocalReader implements StoreReader {
  readonly #local: ReadableParts;
  readonly directory = rememberDirectories(
    (digest) => this.#local.castore.directories.getSync(digest) ?? missing("a directory"),
  );

  constructor(local: ReadableParts) {
    this.#local = local;
  }

  info(path: StorePath): PathInfo | undefined {
    const info = this.#local.pathInfos.getSync(path.digest);
    return info?.path.name === path.name ? info : undefined;
  }

  file(digest: Digest): Uint8Array {
    return this.#local.castore.blobs.readSync(digest) ?? missing("a file");
  }
}

function missing(what: string): never {
  throw new TvixError("ERR_CASTORE_MISSING", `${what} of a store path is not in the store any more`);
}
