// Opens the store that the flags name, for the time of one piece of work.
import { openStore } from "../../../store/open.ts";
import type { Store } from "../../../store/store.ts";

/** The flag that every store command has. */
export interface StoreOptions {
  readonly store?: string;
  readonly json?: boolean;
}

/** Runs `work` on the store of `--store`, `TVIX_STORE` or the default, and closes it whatever happens. */
export async function withStore<T>(
  options: StoreOptions,
  access: "read" | "write",
  work: (store: Store) => Promise<T>,
): Promise<T> {
  const store = await openStore(options.store, access === "read" ? { readOnly: true } : {});
  try {
    return await work(store);
  } finally {
    await store.close();
  }
}
