// Finds and loads the core addon: the one place that requires a `.node` file.
//
// lib/native is the typed face of native/: BLAKE3, SHA-256, content-defined chunking, NAR streams, pack files and
// the ingestion pipeline, all in C++ behind Node-API. Each file beside this one covers one native room: it casts
// `core()` to the functions it uses, checks arguments, and turns native failures into typed errors.
// Everything above calls those files, never the addon.
//
// Node's modules are asked for late: bundles for browsers, where nothing is loaded, may contain this file.
import { TvixError } from "../base/error.ts";

/** The addon's exports before a file of this room gives them types. */
export type CoreAddon = Readonly<Record<string, unknown>>;

let loaded: CoreAddon | undefined;

/**
 * The core addon: one just built in a checkout (`build/core`), else the prebuilt binary for this platform.
 * @throws TvixError `ERR_NATIVE_MISSING` when neither is there or it cannot be loaded, saying how to build it.
 */
export function core(): CoreAddon {
  loaded ??= load();
  return loaded;
}

function load(): CoreAddon {
  const root = process.getBuiltinModule("node:url").fileURLToPath(new URL("../..", import.meta.url));
  const require = process.getBuiltinModule("node:module").createRequire(import.meta.url);
  try {
    return require(`${root}build/core/Release/core.node`) as CoreAddon;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "MODULE_NOT_FOUND") throw missing(error, root);
  }
  try {
    return (require("node-gyp-build") as (dir: string) => CoreAddon)(root);
  } catch (error) {
    throw missing(error, root);
  }
}

function missing(cause: unknown, root: string): TvixError {
  const platform = `${process.platform}-${process.arch}`;
  return new TvixError("ERR_NATIVE_MISSING", `the native part of tvix cannot be loaded on ${platform}`, {
    cause,
    notes: [
      cause instanceof Error ? (cause.message.split("\n")[0] ?? "") : String(cause),
      "no prebuilt binary fits this platform; with a C++20 compiler, cmake and ninja or make installed, build it:",
      `cd ${root} && npm install --include=dev --ignore-scripts && npm run build:native`,
    ],
  });
}
