// A local store: the directory on disk that holds an index and packs, opened.
//
//   STORE/index.lmdb/        the index (index.ts)
//   STORE/packs/NNNNNN.pack  chunks (packs.ts; the format is native/pack's)
//
// Several processes may have one store open and write to it at the same time: the index has one writer at a time by
// LMDB's own lock, packs one writer each. Nothing is ever written in place.
import { access, constants } from "node:fs/promises";
import { TvixError } from "../../base/error.ts";
import { Batch, Commits } from "./batch.ts";
import { LocalBlobService } from "./blobs.ts";
import { LocalDirectoryService } from "./directories.ts";
import { LocalIndex } from "./index.ts";
import { Packs } from "./packs.ts";

/** How to open a {@link LocalStore}. */
export interface LocalStoreOptions {
  /** Only read: nothing is made, locked or changed. Default: false, unless the directory cannot be written. */
  readonly readOnly?: boolean;
  /** The pages of the index have just been checked. Default false: opening checks them. */
  readonly checked?: boolean;
}

/** An open local store. */
export class LocalStore {
  readonly directory: string;
  readonly index: LocalIndex;
  readonly packs: Packs;
  readonly blobs: LocalBlobService;
  readonly directories: LocalDirectoryService;
  readonly #commits: Commits;

  private constructor(directory: string, index: LocalIndex) {
    this.directory = directory;
    this.index = index;
    this.packs = new Packs(directory, index);
    this.#commits = new Commits(index, this.packs);
    this.blobs = new LocalBlobService(index, this.packs, this.#commits);
    this.directories = new LocalDirectoryService(index);
  }

  /**
   * Opens the store in `directory`, making it when there is none.
   * @throws TvixError `ERR_STORE_MISSING` (reading only, and nothing there), `ERR_STORE_VERSION`, `ERR_STORE_READONLY`
   * (nothing there and it cannot be made), `ERR_STORE_FULL`, `ERR_STORE_INDEX`, `ERR_STORE_IO`.
   */
  static async open(directory: string, options: LocalStoreOptions = {}): Promise<LocalStore> {
    const readOnly = options.readOnly ?? (await isUnwritableStore(directory));
    return new LocalStore(directory, await LocalIndex.open(directory, readOnly, options.checked));
  }

  /** Opens a store that is there for reading, in the call itself. @throws what {@link open} throws */
  static openForReading(directory: string): LocalStore {
    return new LocalStore(directory, LocalIndex.openForReading(directory));
  }

  /** Starts a batch of chunks to be committed together. */
  batch(): Batch {
    return new Batch(this.#commits);
  }

  /** Lets go of all files. What was acknowledged is durable already. */
  async close(): Promise<void> {
    await this.packs.close();
    await this.index.close();
  }
}

/** A store that exists and cannot be written is opened for reading; one that does not exist has to be made. */
async function isUnwritableStore(directory: string): Promise<boolean> {
  const index = `${directory}/index.lmdb`;
  try {
    await access(index, constants.W_OK);
    return false;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "EACCES" || code === "EROFS") return true;
    if (code === "ENOENT") return false;
    throw new TvixError("ERR_STORE_IO", `the store in ${directory} cannot be opened`, { cause: error });
  }
}
