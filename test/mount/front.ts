// The front-end of native/test/front: drives a vhost-user-fs device as a virtual machine would, without one.
import { execFile, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";

const root = join(import.meta.dirname, "../..");
const program = join(root, "build/front/front");
const sources = join(root, "native/test/front");

/** The program, compiled when that was not done since its sources changed; `undefined` without a compiler. */
export async function compileFront(): Promise<string | undefined> {
  if (spawnSync("c++", ["--version"]).status !== 0) return undefined;
  const files = readdirSync(sources).map((name) => join(sources, name));
  const changed = Math.max(...files.map((file) => statSync(file).mtimeMs));
  if (existsSync(program) && statSync(program).mtimeMs > changed) return program;
  mkdirSync(join(root, "build/front"), { recursive: true });
  const units = files.filter((file) => file.endsWith(".cc"));
  await promisify(execFile)("c++", ["-std=c++20", "-O2", "-Wall", "-Wextra", "-o", program, ...units]);
  return program;
}
