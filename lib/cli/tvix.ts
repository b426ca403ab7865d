#!/usr/bin/env node
// The `tvix` command: loads the program and turns what it did into an exit code.
import { isMainThread } from "node:worker_threads";
import { loadBundle, tune } from "./bundle.ts";

tune();
const bundle = loadBundle(new URL("program.cjs", import.meta.url));
const { runProgram } = bundle ? bundle.evaluate() : await import("./program.ts");
process.exitCode = await runProgram(process.argv.slice(2), new URL(import.meta.url));
// A thread tells its exit code only when it ends itself.
if (!isMainThread) process.exit();
