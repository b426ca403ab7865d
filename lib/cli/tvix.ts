#!/usr/bin/env node
// The `tvix` command: starts the program and turns its errors into messages and exit codes.
import { isMainThread } from "node:worker_threads";
import { runProgram } from "./program.ts";

process.exitCode = await runProgram(process.argv.slice(2));
// A thread tells its exit code only when it ends itself.
if (!isMainThread) process.exit();
