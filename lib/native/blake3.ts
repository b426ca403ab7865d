// BLAKE3 at the hardware's speed: at once, in pieces, over a file, by several threads.
import { core } from "./load.ts";
import {
  checkBytes,
  checkThreads,
  DIGEST_LENGTH,
  fileDigest,
  Hasher,
  nativePath,
  steadyBytes,
  type FileDigest,
  type NativeFileResult,
  type NativeHasher,
} from "./digest.ts";

export type { FileDigest } from "./digest.ts";

/** How work is spread. */
export interface ThreadOptions {
  /** Threads to use, 1 … 1024; by default as many as the CPU runs. Inputs below 512 KiB are hashed by one. */
  readonly threads?: number;
}

interface Blake3Addon {
  blake3(bytes: Uint8Array, out: Uint8Array): void;
  blake3Async(bytes: Uint8Array, threads: number): Promise<Uint8Array>;
  blake3File(path: Uint8Array, threads: number): Promise<NativeFileResult>;
  blake3Blobs(blobs: readonly Uint8Array[]): Uint8Array;
  blake3Groups(bytes: Uint8Array, first: number, out: Uint8Array): void;
  blake3Parent(children: Uint8Array, isRoot: boolean, out: Uint8Array): void;
  blake3Implementations(): string[];
  blake3Implementation(): string;
  blake3Force(name: string): boolean;
  readonly Blake3: new () => NativeHasher;
}

let cached: Blake3Addon | undefined;

function addon(): Blake3Addon {
  cached ??= core() as unknown as Blake3Addon;
  return cached;
}

/**
 * The BLAKE3 digest (32 bytes) of `bytes`, at once and on this thread: for small inputs, as a rule of thumb below
 * 1 MiB, which takes about 0.2 ms. Larger ones are {@link blake3Async}'s.
 */
export function blake3(bytes: Uint8Array): Uint8Array {
  checkBytes("bytes", bytes);
  const out = new Uint8Array(DIGEST_LENGTH);
  addon().blake3(bytes, out);
  return out;
}

/**
 * The BLAKE3 digest of `bytes`, off the event loop and by several threads. Until the promise settles the bytes must be
 * neither changed nor transferred; the buffer is kept alive.
 */
export async function blake3Async(bytes: Uint8Array, options: ThreadOptions = {}): Promise<Uint8Array> {
  checkBytes("bytes", bytes);
  return addon().blake3Async(steadyBytes(bytes), checkThreads(options.threads));
}

/**
 * The BLAKE3 digest and size of the regular file at `path` (text is UTF-8), off the event loop and by several threads.
 * @throws TvixError `ERR_NATIVE_READ`, `ERR_NATIVE_CHANGED` as {@link fileDigest}; `ERR_TREE_PATH` for a path that is
 *   empty or has a NUL byte.
 */
export async function blake3File(path: string | Uint8Array, options: ThreadOptions = {}): Promise<FileDigest> {
  const threads = checkThreads(options.threads);
  return fileDigest(path, addon().blake3File(nativePath(path), threads));
}

/**
 * The BLAKE3 digests of many blobs, in order, at once and on this thread. Small blobs are hashed side by side, which
 * for blobs of up to a few KiB is several times faster than one {@link blake3} after the other.
 */
export function blake3Blobs(blobs: readonly Uint8Array[]): Uint8Array[] {
  if (!Array.isArray(blobs)) throw new TypeError("blobs must be an array");
  // A plain array of our own, whose elements cannot change between the check and their use.
  const list = Array.from(blobs);
  list.forEach((blob, i) => checkBytes(`blobs[${i}]`, blob));
  const digests = addon().blake3Blobs(list);
  return list.map((_, i) => digests.slice(i * DIGEST_LENGTH, (i + 1) * DIGEST_LENGTH));
}

/** Bytes of a group: the leaves of the trees that outboards describe. */
export const GROUP_SIZE: number = 16 * 1024;

/**
 * The chaining values (32 bytes each, joined) of the groups of `bytes`, of which the first is group number `first` of
 * its blob. The last may be short, but only where the blob ends. None of them is a digest: a blob of one group has no
 * tree.
 */
export function blake3Groups(bytes: Uint8Array, first: number): Uint8Array {
  checkBytes("bytes", bytes);
  if (!Number.isSafeInteger(first) || first < 0) throw new RangeError("first must be the number of a group");
  const out = new Uint8Array(Math.ceil(bytes.length / GROUP_SIZE) * DIGEST_LENGTH);
  addon().blake3Groups(bytes, first, out);
  return out;
}

/** The chaining value of the parent of two (64 bytes, joined); the digest of the blob when it is the root. */
export function blake3Parent(children: Uint8Array, isRoot: boolean): Uint8Array {
  checkBytes("children", children);
  if (children.length !== 2 * DIGEST_LENGTH) throw new RangeError("children must be two chaining values");
  const out = new Uint8Array(DIGEST_LENGTH);
  addon().blake3Parent(children, isRoot, out);
  return out;
}

/** BLAKE3 of bytes that arrive in pieces. How they are cut has no influence on the digest. */
export class Blake3 extends Hasher {
  constructor() {
    super(new (addon().Blake3)());
  }

  /** A hasher that goes on by itself from the same state. */
  copy(): Blake3 {
    return new Blake3().assign(this);
  }
}

/** Names of the implementations this CPU runs, the best first: of `avx512`, `avx2`, `sse4.1`, `neon`, `portable`. */
export function blake3Implementations(): string[] {
  return addon().blake3Implementations();
}

/** The name of the implementation in use. */
export function blake3Implementation(): string {
  return addon().blake3Implementation();
}

/**
 * Uses the named implementation from now on, in the whole process; `auto` goes back to the best. For tests and
 * measurements: the digests are the same.
 * @throws RangeError when this CPU does not run it.
 */
export function forceBlake3Implementation(name: string): void {
  if (typeof name !== "string") throw new TypeError("name must be a string");
  if (!addon().blake3Force(name)) {
    throw new RangeError(`no BLAKE3 implementation "${name}" here; there are ${blake3Implementations().join(", ")}`);
  }
}
