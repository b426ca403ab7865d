// `tvix store roots`: names that keep paths from collection.
import { TvixError } from "../../../base/error.ts";
import { addRoot, listRoots, removeRoot } from "../../../store/roots.ts";
import { print } from "../../output.ts";
import { type StoreOptions, withStore } from "./session.ts";

/** Makes or replaces a root. */
export async function add(name: string, path: string, flags: StoreOptions): Promise<void> {
  await withStore(flags, "write", (store) => addRoot(store, name, path));
}

/** Prints each root as `name -> path`. */
export async function list(flags: StoreOptions): Promise<void> {
  await withStore(flags, "read", async (store) => {
    for (const root of await listRoots(store)) {
      const path = root.path.absolute(store.storeDir);
      await print(flags.json ? `${JSON.stringify({ name: root.name, path })}\n` : `${root.name} -> ${path}\n`);
    }
  });
}

/** Removes roots; one that does not exist is an error, after the others are gone. */
export async function remove(names: readonly string[], flags: StoreOptions): Promise<void> {
  await withStore(flags, "write", async (store) => {
    const missing: string[] = [];
    for (const name of names) if (!(await removeRoot(store, name))) missing.push(name);
    if (missing.length > 0) {
      throw new TvixError("ERR_CLI_NO_ROOT", `there is no root named ${missing.join(", ")}`, {
        notes: ["`tvix store roots list` shows them"],
      });
    }
  });
}
