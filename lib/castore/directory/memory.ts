// Directories in memory: for tests, for evaluation without a store, and as the plainest statement of the contract.
import { type Digest, digestKey } from "../digest.ts";
import { Directory } from "../directory.ts";
import { putLeavesFirst, walkClosure } from "./closure.ts";
import type { DirectoryService } from "./service.ts";

/** Directories in this process's memory; durable for as long as the process is. */
export class MemoryDirectoryService implements DirectoryService {
  readonly #bytes = new Map<string, Uint8Array>();

  async has(digests: readonly Digest[]): Promise<boolean[]> {
    return digests.map((digest) => this.#bytes.has(digestKey(digest)));
  }

  async get(digest: Digest): Promise<Directory | undefined> {
    const bytes = this.#bytes.get(digestKey(digest));
    return bytes && Directory.decode(bytes);
  }

  async put(directories: readonly Directory[]): Promise<Digest[]> {
    return directories.map((directory) => {
      this.#bytes.set(digestKey(directory.digest()), directory.encode());
      return directory.digest();
    });
  }

  getClosure(root: Digest): AsyncIterable<Directory> {
    return walkClosure((digest) => this.get(digest), root);
  }

  async putClosure(directories: Iterable<Directory> | AsyncIterable<Directory>): Promise<Digest> {
    return await putLeavesFirst(this, directories);
  }
}
