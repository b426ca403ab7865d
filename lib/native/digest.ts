// What the faces of the two hashes share: checked arguments, and what reading a file came to as typed errors.
import { TvixError } from "../base/error.ts";
import { displayBytes } from "../base/text.ts";
import { pathBytes } from "./failure.ts";

/** Length in bytes of a BLAKE3 or SHA-256 digest. */
export const DIGEST_LENGTH = 32;

/** A file's digest, and its size in bytes. */
export interface FileDigest {
  readonly digest: Uint8Array;
  readonly size: number;
}

/** A hash state of the addon: `assign` takes over another's state, `digest` writes into `out`. */
export interface NativeHasher {
  update(bytes: Uint8Array): void;
  digest(out: Uint8Array): void;
  assign(other: NativeHasher): void;
}

/** A hash of bytes that arrive in pieces: what `Blake3` and `Sha256` have in common. */
export class Hasher {
  readonly #native: NativeHasher;

  protected constructor(native: NativeHasher) {
    this.#native = native;
  }

  /** Takes in the next bytes. */
  update(bytes: Uint8Array): this {
    checkBytes("bytes", bytes);
    this.#native.update(bytes);
    return this;
  }

  /** The digest of everything so far; the hasher may go on afterwards. */
  digest(): Uint8Array {
    const out = new Uint8Array(DIGEST_LENGTH);
    this.#native.digest(out);
    return out;
  }

  /** Takes over the state of another hasher of the same class. */
  protected assign(other: this): this {
    this.#native.assign(other.#native);
    return this;
  }
}

/** How the addon reports a file: an error (0: none), the error in words, the size, the digest. */
export type NativeFileResult = readonly [error: number, text: string, size: number, digest: Uint8Array];

/** @throws TypeError naming the parameter unless `value` is a `Uint8Array`. */
export function checkBytes(name: string, value: unknown): asserts value is Uint8Array {
  if (!(value instanceof Uint8Array)) throw new TypeError(`${name} must be a Uint8Array`);
}

/** The number of threads as the addon takes it (0: as many as the CPU runs). @throws TypeError, RangeError */
export function checkThreads(threads: number | undefined): number {
  if (threads === undefined) return 0;
  if (typeof threads !== "number") throw new TypeError("options.threads must be a number");
  if (!Number.isInteger(threads) || threads < 1 || threads > 1024) {
    throw new RangeError(`options.threads must be an integer from 1 to 1024, not ${threads}`);
  }
  return threads;
}

/** Bytes that stay where they are while another thread reads them: a copy when their buffer may shrink. */
export function steadyBytes(bytes: Uint8Array): Uint8Array {
  return (bytes.buffer as { readonly resizable?: boolean }).resizable ? bytes.slice() : bytes;
}

/** A host path as the addon takes it, ending in NUL. @throws TypeError, TvixError `ERR_TREE_PATH` */
export function nativePath(path: string | Uint8Array): Uint8Array {
  if (typeof path !== "string" && !(path instanceof Uint8Array)) {
    throw new TypeError("path must be a string or a Uint8Array");
  }
  const bytes = pathBytes(path);
  const out = new Uint8Array(bytes.length + 1);
  out.set(bytes);
  return out;
}

/**
 * Waits for the addon to have hashed the file at `path`.
 * @throws TvixError `ERR_NATIVE_READ` when it cannot be opened or read, or is no regular file;
 *   `ERR_NATIVE_CHANGED` when its size or time of modification moved while it was read.
 */
export async function fileDigest(path: string | Uint8Array, result: Promise<NativeFileResult>): Promise<FileDigest> {
  const [error, text, size, digest] = await result;
  if (error === 0) return { digest, size };
  const shown = typeof path === "string" ? path : displayBytes(path);
  throw new TvixError(error === CHANGED ? "ERR_NATIVE_CHANGED" : "ERR_NATIVE_READ", `cannot hash ${shown}: ${text}`, {
    notes: error === CHANGED ? ["hash it again when nothing writes to it"] : [],
  });
}

/** `File::kChanged` of native/common/file.h. */
const CHANGED = -1;
