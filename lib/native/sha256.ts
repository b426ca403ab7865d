// SHA-256 on the CPU's SHA instructions: at once, in pieces, over a file.
import { core } from "./load.ts";
import {
  checkBytes,
  DIGEST_LENGTH,
  fileDigest,
  Hasher,
  nativePath,
  steadyBytes,
  type FileDigest,
  type NativeFileResult,
  type NativeHasher,
} from "./digest.ts";

interface Sha256Addon {
  sha256(bytes: Uint8Array, out: Uint8Array): void;
  sha256Async(bytes: Uint8Array): Promise<Uint8Array>;
  sha256File(path: Uint8Array): Promise<NativeFileResult>;
  sha256Implementations(): string[];
  sha256Implementation(): string;
  sha256Force(name: string): boolean;
  readonly Sha256: new () => NativeHasher;
}

let cached: Sha256Addon | undefined;

function addon(): Sha256Addon {
  cached ??= core() as unknown as Sha256Addon;
  return cached;
}

/**
 * The SHA-256 digest (32 bytes) of `bytes`, at once and on this thread: for small inputs, as a rule of thumb below
 * 256 KiB, which takes about 0.15 ms where the CPU has SHA instructions. Larger ones are {@link sha256Async}'s.
 */
export function sha256(bytes: Uint8Array): Uint8Array {
  checkBytes("bytes", bytes);
  const out = new Uint8Array(DIGEST_LENGTH);
  addon().sha256(bytes, out);
  return out;
}

/**
 * The SHA-256 digest of `bytes`, off the event loop. Until the promise settles the bytes must be neither changed nor
 * transferred; the buffer is kept alive.
 */
export async function sha256Async(bytes: Uint8Array): Promise<Uint8Array> {
  checkBytes("bytes", bytes);
  return addon().sha256Async(steadyBytes(bytes));
}

/**
 * The SHA-256 digest and size of the regular file at `path` (text is UTF-8), off the event loop.
 * @throws TvixError `ERR_NATIVE_READ`, `ERR_NATIVE_CHANGED` as {@link fileDigest}; `ERR_TREE_PATH` for a path that is
 *   empty or has a NUL byte.
 */
export async function sha256File(path: string | Uint8Array): Promise<FileDigest> {
  return fileDigest(path, addon().sha256File(nativePath(path)));
}

/** SHA-256 of bytes that arrive in pieces. How they are cut has no influence on the digest. */
export class Sha256 extends Hasher {
  constructor() {
    super(new (addon().Sha256)());
  }

  /** A hasher that goes on by itself from the same state. */
  copy(): Sha256 {
    return new Sha256().assign(this);
  }
}

/** Names of the implementations this CPU runs, the best first: of `sha-ni`, `armv8`, `portable`. */
export function sha256Implementations(): string[] {
  return addon().sha256Implementations();
}

/** The name of the implementation in use. */
export function sha256Implementation(): string {
  return addon().sha256Implementation();
}

/**
 * Uses the named implementation from now on, in the whole process; `auto` goes back to the best. For tests and
 * measurements: the digests are the same.
 * @throws RangeError when this CPU does not run it.
 */
export function forceSha256Implementation(name: string): void {
  if (typeof name !== "string") throw new TypeError("name must be a string");
  if (!addon().sha256Force(name)) {
    throw new RangeError(`no SHA-256 implementation "${name}" here; there are ${sha256Implementations().join(", ")}`);
  }
}
