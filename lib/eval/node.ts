// What the evaluator can do on Node beyond index.ts: files, compiled JavaScript with a cache, engine tuning, and
// stacks deep enough for deep recursion.

import { setFlagsFromString } from "node:v8";
import { unitPacks } from "./io/unit-packs.ts";
import { tuneEngine } from "./tune.ts";
import { nodeScriptHost } from "./vm/script-host.ts";
import { STACK_LIMIT } from "./vm/script-trace.ts";
import { type TieredBackend, tieredBackend } from "./vm/tier.ts";

export { fileSystemIO } from "./io/files.ts";
export { startProfile, type Profiling } from "./profile.ts";
export { unitPacks } from "./io/unit-packs.ts";
export { tuneEngine } from "./tune.ts";
export { nodeScriptHost } from "./vm/script-host.ts";
export { type TieredBackend, type TierOptions, tieredBackend } from "./vm/tier.ts";

/** Options of {@link nodeBackend}. */
export interface NodeBackendOptions {
  /** Where compiled units are kept; none are when absent. */
  readonly cacheDirectory?: string;
  readonly javascriptLimit?: number;
}

/** The back end for Node. Call `flush` on it after the evaluation, to fill the cache. */
export function nodeBackend(options: NodeBackendOptions = {}): TieredBackend {
  tuneEngine();
  // Traces of Nix code are read out of JavaScript's, in which the runtime's own frames stand between.
  Error.stackTraceLimit = Math.max(Error.stackTraceLimit, STACK_LIMIT);
  return tieredBackend({
    host: nodeScriptHost(),
    ...(options.cacheDirectory === undefined ? {} : { storage: unitPacks(options.cacheDirectory) }),
    ...(options.javascriptLimit === undefined ? {} : { javascriptLimit: options.javascriptLimit }),
  });
}

/**
 * What a deep thread gets, in MiB. A million nested calls need 400 to 600 of stack, depending on how soon V8 optimises
 * the function. Every collection scans the stack, which takes a second when it is full: so the young generation is made
 * that large at once that an endless recursion fills the stack first. Memory that is not used costs nothing.
 */
export const DEEP_LIMITS: { readonly stackSizeMb: number; readonly maxYoungGenerationSizeMb: number } = {
  stackSizeMb: 640,
  maxYoungGenerationSizeMb: 1536,
};

/** Loaded when a thread is asked for: it takes a tenth of a short evaluation's time. */
const threads = (): typeof import("node:worker_threads") => process.getBuiltinModule("node:worker_threads");

const DEEP_SEMI_SPACE = "--min-semi-space-size=512";

/** Whether this thread was started by {@link runDeep}. */
export function isDeepThread(): boolean {
  return !threads().isMainThread;
}

/**
 * Runs a module again in a thread with a deep stack; answers its exit code. Standard output and error are shared.
 * Starting the thread costs some 30 ms, so it is worth it only after a stack overflow. `workerData` is for the module.
 */
export function runDeep(module: URL, argv: readonly string[], workerData: unknown): Promise<number> {
  // Read when the thread's heap is made; there is no resource limit for the size to begin with.
  setFlagsFromString(DEEP_SEMI_SPACE);
  return new Promise((resolve, reject) => {
    const worker = new (threads().Worker)(module, { argv: [...argv], workerData, resourceLimits: DEEP_LIMITS });
    worker.on("error", reject);
    worker.on("exit", resolve);
  });
}
