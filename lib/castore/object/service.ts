// An object store: bytes by key, as S3 and its like offer them; here what the castore needs of one.
import { TvixError } from "../../base/error.ts";

/**
 * Keeps objects by key. Keys are `/`-separated text of ASCII letters, digits, `-`, `_` and `.`; what is stored under
 * one never changes, because keys follow from contents or, for path infos, are replaced as a whole.
 */
export interface ObjectStore {
  /** The object; `undefined` when there is none. */
  get(key: string): Promise<Uint8Array | undefined>;
  /** Which objects are there, in the order asked. */
  has(keys: readonly string[]): Promise<boolean[]>;
  /** Stores an object, durably. Without `replace`, one that is there already stays. */
  put(key: string, value: Uint8Array, options?: { readonly replace?: boolean }): Promise<void>;
  /** The keys that begin with `prefix`, which ends in `/`. */
  list(prefix: string): AsyncIterable<string>;
}

/** Checks a key: it becomes a file's path in one backend and a URL in another. @throws TvixError `ERR_OBJECT_KEY` */
export function checkKey(key: string): string {
  const parts = key.split("/");
  if (parts.every((part) => /^[A-Za-z0-9_-][A-Za-z0-9._-]*$/.test(part))) return key;
  throw new TvixError("ERR_OBJECT_KEY", `${JSON.stringify(key.slice(0, 100))} is not the key of an object`);
}

/** Maps over items with at most `width` calls under way; results in order. After a failure no more calls are begun. */
export async function mapBounded<T, R>(
  items: readonly T[],
  width: number,
  call: (item: T, index: number) => Promise<R>,
): Promise<R[]> {
  const out: R[] = Array.from({ length: items.length });
  let next = 0;
  const worker = async () => {
    try {
      for (let i = next++; i < items.length; i = next++) out[i] = await call(items[i] as T, i);
    } catch (error) {
      next = items.length;
      throw error;
    }
  };
  await Promise.all(Array.from({ length: Math.min(width, items.length) }, worker));
  return out;
}
