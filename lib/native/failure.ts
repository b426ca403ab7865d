// Turns what the addon throws into the project's typed errors.
import { TvixError } from "../base/error.ts";

/** What a native failure carries besides its message: see `Failure` in native/common/failure.h. */
interface NativeError extends Error {
  readonly code?: string;
  readonly notes?: readonly string[];
}

/**
 * A native failure of ours (`ERR_…` code of this project) as a {@link TvixError}; anything else is given back as it
 * came, because it is a mistake in a call and not an expected failure.
 */
export function typed(error: unknown): unknown {
  const native = error as NativeError;
  if (!(error instanceof Error) || !native.notes || !native.code) return error;
  return new TvixError(native.code, native.message, { notes: native.notes });
}

/** Awaits a native promise; a failure comes out typed. */
export async function settled<T>(promise: Promise<T>): Promise<T> {
  try {
    return await promise;
  } catch (error) {
    throw typed(error);
  }
}

/** Runs a synchronous native call; a failure comes out typed. */
export function guarded<T>(call: () => T): T {
  try {
    return call();
  } catch (error) {
    throw typed(error);
  }
}

const encoder = new TextEncoder();

/** A host path as bytes: text is UTF-8; bytes are taken as they are. */
export function pathBytes(path: string | Uint8Array): Uint8Array {
  const bytes = typeof path === "string" ? encoder.encode(path) : path;
  if (bytes.length === 0 || bytes.includes(0)) {
    throw new TvixError("ERR_TREE_PATH", "a host path is a non-empty byte string without NUL bytes");
  }
  return bytes;
}
