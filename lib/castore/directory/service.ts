// The directory service: directories by digest, singly and as whole closures.
import type { Digest } from "../digest.ts";
import type { Directory } from "../directory.ts";

/**
 * Keeps directories by their digest.
 *
 * Every backend keeps these promises (`tvix/castore/testing` checks them):
 * - A directory handed out has the digest asked for; otherwise the read fails with `ERR_CASTORE_CORRUPT`.
 * - What a successful `put` or `putClosure` stored is durable and visible to every later call, in every process.
 * - `putClosure` stores all of a closure or makes none of it reachable.
 */
export interface DirectoryService {
  /** Which of the directories are there, in the order asked. */
  has(digests: readonly Digest[]): Promise<boolean[]>;
  /** One directory; `undefined` when it is not there. */
  get(digest: Digest): Promise<Directory | undefined>;
  /** Stores directories as they are; their children need not be there. Their digests in the same order. */
  put(directories: readonly Directory[]): Promise<Digest[]>;
  /**
   * A root and everything below it, parents before children, breadth first, each once. Nothing when the root is not
   * there; fails with `ERR_CASTORE_MISSING` where one below it is not.
   */
  getClosure(root: Digest): AsyncIterable<Directory>;
  /**
   * Stores a closure given leaves first: each directory refers only to earlier ones, sizes agree, and the last is the
   * one root (`closure.ts` lists the errors). The digest of the root.
   */
  putClosure(directories: Iterable<Directory> | AsyncIterable<Directory>): Promise<Digest>;
}
