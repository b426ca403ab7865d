#!/usr/bin/env node
// The `tvix` command: loads the program and turns what it did into an exit code.
//
// The package's command is this file and what it imports as one CommonJS file, tvix.cjs (script/bundle.mjs): Node's
// loader of modules takes a tenth of a short command's time. For the same reason threads start elsewhere, thread.ts.
import { tuneEngine } from "../eval/tune.ts";
import { loadBundle } from "./bundle.ts";
import { runBundled } from "./run-bundled.ts";

const argv = process.argv.slice(2);
const entry = new URL(import.meta.url);

/** What an evaluation would print if it is known; the program is not loaded for it. */
async function replayed(): Promise<boolean> {
  if (argv[0] !== "eval" || argv.includes("--no-replay") || argv.includes("--no-cache")) return false;
  const bundle = loadBundle<typeof import("./replay.ts")>(new URL("replay.cjs", entry));
  if (bundle === undefined || !(await bundle.evaluate().replay(argv, entry))) return false;
  bundle.keep();
  return true;
}

async function start(): Promise<void> {
  tuneEngine();
  if (await replayed()) return;
  const { hasSaidAll } = await runBundled(argv, entry);
  // An evaluation leaves nothing behind that could go on: its memory need not be given back piece by piece.
  if (argv[0] === "eval" && hasSaidAll() && process.exitCode === 0) process.exit();
}

void start();
