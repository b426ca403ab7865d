// The program in a thread of a process that runs it already: one with a deep stack (lib/eval/node.ts) or a worker of
// `tvix eval-jobs`.
import { workerData } from "node:worker_threads";
import { tuneEngine } from "../eval/tune.ts";
import type { Said } from "./output.ts";
import { runBundled } from "./run-bundled.ts";

tuneEngine();
await runBundled(process.argv.slice(2), new URL(import.meta.url), (workerData as Said | null) ?? undefined);
// A thread tells its exit code only when it ends itself.
process.exit();
