#!/usr/bin/env node
// The `tvix` command: loads the program and turns what it did into an exit code.
import { isMainThread } from "node:worker_threads";
import { tuneEngine } from "../eval/tune.ts";
import { loadBundle } from "./bundle.ts";

const argv = process.argv.slice(2);
const entry = new URL(import.meta.url);

/** What an evaluation would print if it is known; the program is not loaded for it. */
async function replayed(): Promise<boolean> {
  if (argv[0] !== "eval" || !isMainThread) return false;
  const bundle = loadBundle<typeof import("./replay.ts")>(new URL("replay.cjs", entry));
  if (bundle === undefined || !(await bundle.evaluate().replay(argv, entry))) return false;
  bundle.keep();
  return true;
}

async function run(): Promise<void> {
  const bundle = loadBundle<typeof import("./program.ts")>(new URL("program.cjs", entry), argv[0]);
  const { runProgram } = bundle ? bundle.evaluate() : await import("./program.ts");
  process.exitCode = await runProgram(argv, entry);
  bundle?.keep();
}

tuneEngine();
if (!(await replayed())) await run();
// A thread tells its exit code only when it ends itself.
if (!isMainThread) process.exit();
