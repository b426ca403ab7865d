// `tvix store cat`, `nar`, `export` and `export-tree`: contents out of the store.
import { exportPaths } from "../../../store/stream.ts";
import { print, refuseTerminal, STDOUT } from "../../output.ts";
import { interruptible } from "../../signals.ts";
import { type StoreOptions, withStore } from "./session.ts";

/** Writes a file's contents to standard output, verified piece by piece. */
export async function cat(path: string, flags: StoreOptions): Promise<void> {
  await withStore(flags, "read", async (store) => {
    for await (const piece of store.cat(path, true)) await print(piece);
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

/** Flags of `tvix store export`. */
export interface ExportFlags extends StoreOptions {
  readonly closure?: boolean;
}

/** Writes paths to standard output as `nix-store --export` does. */
export async function exportStream(paths: readonly string[], flags: ExportFlags): Promise<void> {
  refuseTerminal();
  await withStore(flags, "read", async (store) => {
    for await (const piece of exportPaths(store, paths, { closure: flags.closure === true })) await print(piece);
  });
}
