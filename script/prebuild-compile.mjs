#!/usr/bin/env node
// Stands in for node-gyp under prebuildify: compiles the core addon with cmake-js and puts it where prebuildify looks.
import { spawnSync } from "node:child_process";
import { copyFileSync, mkdirSync } from "node:fs";
import { join } from "node:path";

const root = join(import.meta.dirname, "..");
const compiled = spawnSync(join(root, "node_modules/.bin/cmake-js"), ["compile", "--out", "build/core"], {
  cwd: root,
  stdio: "inherit",
});
if (compiled.status !== 0) process.exit(compiled.status ?? 1);
mkdirSync(join(root, "build/Release"), { recursive: true });
copyFileSync(join(root, "build/core/Release/core.node"), join(root, "build/Release/core.node"));
