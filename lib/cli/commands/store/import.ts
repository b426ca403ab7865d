// `tvix store import`: host paths into the store, with a bar while it lasts; an interrupt leaves a sound store.
import { TvixError } from "../../../base/error.ts";
import { digestText } from "../../../castore/digest.ts";
import type { DigestAlgo } from "../../../formats/digest.ts";
import { parseHashAlgo } from "../../../formats/hash.ts";
import type { Store } from "../../../store/store.ts";
import { print } from "../../output.ts";
import { openProgress } from "../../render/progress.ts";
import { interruptible } from "../../signals.ts";
import { type StoreOptions, withStore } from "./session.ts";

/** Flags of `tvix store import`. */
export interface ImportFlags extends StoreOptions {
  readonly name?: string;
  readonly flat?: boolean;
  readonly algo: string;
}

/** Imports each path and prints its store path as soon as it is safely stored. */
export async function run(paths: readonly string[], flags: ImportFlags): Promise<void> {
  if (flags.name !== undefined && paths.length > 1) {
    throw new TvixError("ERR_CLI_USAGE", "--name goes with a single path");
  }
  await interruptible((signal) =>
    withStore(flags, "write", async (store) => {
      for (const path of paths) await importOne(store, path, flags, signal);
    }),
  );
}

async function importOne(store: Store, path: string, flags: ImportFlags, signal: AbortSignal): Promise<void> {
  const algo = parseHashAlgo(flags.algo);
  if (algo === "blake3") throw new TvixError("ERR_CLI_USAGE", "a content address cannot use blake3");
  const progress = await openProgress(`importing ${path}`, "bytes");
  try {
    const info = await store.importPath(path, {
      ...(flags.name === undefined ? {} : { name: flags.name }),
      method: flags.flat ? "flat" : "nar",
      algo: algo satisfies DigestAlgo,
      signal,
      onProgress: ({ bytes, done }) => progress.update(bytes, bytes, `${done} files`),
    });
    const absolute = info.path.absolute(store.storeDir);
    if (!flags.json) return await print(`${absolute}\n`);
    const { root } = info;
    const digest = root.type === "symlink" ? null : digestText(root.digest);
    await print(
      `${JSON.stringify({ source: path, path: absolute, type: root.type, digest, narSize: info.narSize })}\n`,
    );
  } finally {
    progress.stop();
  }
}
