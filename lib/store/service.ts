// The services of a store: path infos by hash, and root nodes by the hash of their NAR.
import type { Node } from "../castore/node.ts";
import type { PathInfo } from "./path-info.ts";

/**
 * Keeps path infos by the 20 bytes of their path's hash.
 *
 * Every backend keeps these promises (`tvix/store/testing` checks them):
 * - What a successful `put` stored is durable and visible to every later call, in every process.
 * - A later `put` for the same path replaces the former.
 */
export interface PathInfoService {
  /** The path info whose path has this hash (20 bytes); `undefined` when there is none. */
  get(hash: Uint8Array): Promise<PathInfo | undefined>;
  /**
   * Stores a path info whose tree is in the castore already. Returns what was stored: a service may add signatures.
   * @throws TvixError `ERR_PATH_INFO` for one that makes no sense.
   */
  put(info: PathInfo): Promise<PathInfo>;
  /** All path infos, in order of no meaning. */
  list(): AsyncIterable<PathInfo>;
}

/** The tree of a NAR seen before. */
export interface NarEntry {
  readonly root: Node;
  /** Bytes of the NAR. */
  readonly narSize: number;
}

/** Remembers which tree a NAR is of, so that one seen before is neither fetched nor hashed again. */
export interface NarIndex {
  /** By the SHA-256 of the NAR. The tree was in the castore when it was put; it may have been collected since. */
  get(narSha256: Uint8Array): Promise<NarEntry | undefined>;
  put(narSha256: Uint8Array, entry: NarEntry): Promise<void>;
}
