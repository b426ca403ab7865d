// `tvix store cat`, `nar` and `export-tree`: contents out of the store.
import { print, refuseTerminal, STDOUT } from "../../output.ts";
import { interruptible } from "../../signals.ts";
import { type StoreOptions, withStore } from "./session.ts";

/** Writes a file's contents to standard output, verified piece by piece. */
export async function cat(path: string, flags: StoreOptions): Promise<void> {
  await withStore(flags, "read", async (store) => {
    for await (const piece of store.cat(path)) await print(piece);
  });
}

/** Writes the NAR of a place to standard output; from a local store without passing through JavaScript. */
export async function nar(path: string, flags: StoreOptions): Promise<void> {
  refuseTerminal();
  await withStore(flags, "read", async (store) => {
    if (store.local) return await store.narToFile(path, STDOUT);
    for await (const piece of store.nar(path)) await print(piece);
  });
}

/** Writes a place to the host's file system, whole or not at all. */
export async function exportTree(path: string, target: string, flags: StoreOptions): Promise<void> {
  await interruptible((signal) => withStore(flags, "read", (store) => store.export(path, target, { signal })));
}
