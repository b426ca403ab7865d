// Directories of a local store: canonical bytes in the index.
import { corrupt } from "../blob/range.ts";
import { type Digest, digestOf } from "../digest.ts";
import { Directory } from "../directory.ts";
import { putLeavesFirst, walkClosure } from "../directory/closure.ts";
import type { DirectoryService } from "../directory/service.ts";
import { equalBytes } from "../../base/bytes.ts";
import type { LocalIndex } from "./index.ts";

/** Directories of a local store. */
export class LocalDirectoryService implements DirectoryService {
  readonly #index: LocalIndex;

  constructor(index: LocalIndex) {
    this.#index = index;
  }

  async has(digests: readonly Digest[]): Promise<boolean[]> {
    return digests.map((digest) => this.#index.directories.has(digest));
  }

  async get(digest: Digest): Promise<Directory | undefined> {
    return this.getSync(digest);
  }

  /** One directory, verified. @throws TvixError `ERR_CASTORE_CORRUPT` */
  getSync(digest: Digest): Directory | undefined {
    const bytes = this.#index.directories.get(digest);
    if (bytes === undefined) return undefined;
    if (!equalBytes(digestOf(bytes), digest)) throw corrupt(digest, "the index holds other bytes for this directory");
    return Directory.decode(bytes);
  }

  /** Inside a transaction: writes those directories that are not there. */
  putSync(directories: Iterable<Directory>): void {
    const { directories: table } = this.#index;
    for (const directory of directories) {
      if (!table.has(directory.digest())) table.put(directory.digest(), directory.encode());
    }
  }

  async put(directories: readonly Directory[]): Promise<Digest[]> {
    if (directories.length > 0) this.#index.write(() => this.putSync(directories));
    return directories.map((directory) => directory.digest());
  }

  getClosure(root: Digest): AsyncIterable<Directory> {
    return walkClosure((digest) => this.getSync(digest), root);
  }

  async putClosure(directories: Iterable<Directory> | AsyncIterable<Directory>): Promise<Digest> {
    return await putLeavesFirst(this, directories);
  }
}
