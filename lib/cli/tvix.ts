#!/usr/bin/env node
// The `tvix` command: starts the program and turns its errors into messages and exit codes.
import { runProgram } from "./program.ts";

process.exitCode = await runProgram(process.argv.slice(2));
