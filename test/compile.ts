// Compiles the project once before the tests that run its commands, unless what is compiled is newer than the sources.
import { execFileSync } from "node:child_process";
import { existsSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";

const root = join(import.meta.dirname, "..");

/** When any of our TypeScript was last changed. */
function lastChange(): number {
  let last = 0;
  for (const entry of readdirSync(join(root, "lib"), { recursive: true, withFileTypes: true })) {
    if (entry.isFile()) last = Math.max(last, statSync(join(entry.parentPath, entry.name)).mtimeMs);
  }
  return last;
}

/** Vitest calls this before anything else. */
export function setup(): void {
  const made = join(root, "dist/cli/program.cache");
  if (existsSync(made) && statSync(made).mtimeMs > lastChange()) return;
  execFileSync("npm", ["run", "--silent", "build"], { cwd: root, stdio: "inherit" });
}
