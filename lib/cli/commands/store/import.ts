// `tvix store import`: host paths into the store, with a bar while it lasts; an interrupt leaves a sound store.
import { createReadStream } from "node:fs";
import { readFile } from "node:fs/promises";
import { TvixError } from "../../../base/error.ts";
import { digestText } from "../../../castore/digest.ts";
import type { OperationOptions } from "../../../castore/progress.ts";
import { parseHashAlgo } from "../../../formats/hash.ts";
import { StorePath } from "../../../formats/store-path.ts";
import type { ImportOptions } from "../../../store/import.ts";
import type { PathInfo } from "../../../store/path-info.ts";
import type { Store } from "../../../store/store.ts";
import { importClosure, importStream } from "../../../store/stream.ts";
import { print, STDIN } from "../../output.ts";
import { openProgress } from "../../render/progress.ts";
import { interruptible } from "../../signals.ts";
import { type StoreOptions, withStore } from "./session.ts";

/** Flags of `tvix store import`. */
export interface ImportFlags extends StoreOptions {
  readonly name?: string;
  readonly flat?: boolean;
  readonly algo: string;
  readonly root?: string;
  readonly candidate?: readonly string[];
  readonly fromClosure?: string;
  readonly fromStream?: string;
  readonly prefix?: string;
}

/** Imports each path and prints its store path as soon as it is safely stored. */
export async function run(paths: readonly string[], flags: ImportFlags): Promise<void> {
  checkUsage(paths, flags);
  await interruptible((signal) =>
    withStore(flags, "write", async (store) => {
      for (const path of paths) {
        const options = importOptions(flags, store.storeDir);
        const [info] = await withBar(path, signal, async (bar) => [
          await store.importPath(path, { ...options, ...bar }),
        ]);
        await report(store, info as PathInfo, flags, path);
      }
      const { fromClosure, fromStream } = flags;
      const batches: PathInfo[][] = [];
      if (fromClosure !== undefined) {
        const prefix = flags.prefix === undefined ? {} : { prefix: flags.prefix };
        const json = await readFile(fromClosure, "utf8");
        batches.push(await withBar(fromClosure, signal, (bar) => importClosure(store, json, { ...prefix, ...bar })));
      }
      if (fromStream !== undefined) {
        const source = createReadStream(fromStream, {
          ...(fromStream === "-" ? { fd: STDIN } : {}),
          highWaterMark: 1 << 20,
        });
        batches.push(await withBar(fromStream, signal, (bar) => importStream(store, source, bar)));
      }
      for (const info of batches.flat()) await report(store, info, flags, fromClosure ?? fromStream ?? "");
    }),
  );
}

function checkUsage(paths: readonly string[], flags: ImportFlags): void {
  const problem =
    paths.length === 0 && flags.fromClosure === undefined && flags.fromStream === undefined
      ? "there is nothing to import"
      : flags.name !== undefined && paths.length !== 1
        ? "--name goes with a single path"
        : flags.root !== undefined && paths.length !== 1
          ? "--root goes with a single path"
          : undefined;
  if (problem !== undefined)
    throw new TvixError("ERR_CLI_USAGE", problem, { notes: ["see `tvix store import --help`"] });
}

function importOptions(flags: ImportFlags, storeDir: string): ImportOptions {
  const algo = parseHashAlgo(flags.algo);
  if (algo === "blake3") throw new TvixError("ERR_CLI_USAGE", "a content address cannot use blake3");
  return {
    method: flags.flat ? "flat" : "nar",
    algo,
    ...(flags.name === undefined ? {} : { name: flags.name }),
    ...(flags.root === undefined ? {} : { root: flags.root }),
    ...(flags.candidate ? { candidates: flags.candidate.map((path) => StorePath.parseAbsolute(path, storeDir)) } : {}),
  };
}

/** Runs one piece of work with a bar titled by what is imported. */
async function withBar(
  what: string,
  signal: AbortSignal,
  work: (options: OperationOptions) => Promise<PathInfo[]>,
): Promise<PathInfo[]> {
  const progress = await openProgress(`importing ${what}`, "bytes");
  try {
    return await work({ signal, onProgress: ({ bytes, done }) => progress.update(bytes, bytes, `${done} files`) });
  } finally {
    progress.stop();
  }
}

async function report(store: Store, info: PathInfo, flags: ImportFlags, source: string): Promise<void> {
  const path = info.path.absolute(store.storeDir);
  if (!flags.json) return await print(`${path}\n`);
  const { root } = info;
  const digest = root.type === "symlink" ? null : digestText(root.digest);
  await print(`${JSON.stringify({ source, path, type: root.type, digest, narSize: info.narSize })}\n`);
}
