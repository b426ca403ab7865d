// Runs the command line in its own process, as a user does.
import { execFileSync, spawnSync } from "node:child_process";
import { join } from "node:path";

const root = join(import.meta.dirname, "../..");

// What runs is the compiled program; compiling first (it is incremental) makes sure it is today's.
execFileSync("npm", ["run", "--silent", "build"], { cwd: root, stdio: "ignore" });

/** The compiled entry of the command line. */
export const PROGRAM: string = join(root, "dist/cli/tvix.js");

/** What a command did. */
export interface Outcome {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
  /** Standard output as bytes. */
  readonly bytes: Uint8Array;
}

/** Runs `tvix ARGS` with `store` as its store. */
export function tvix(
  args: readonly string[],
  options: { store?: string; input?: Uint8Array; cwd?: string } = {},
): Outcome {
  const result = spawnSync(process.execPath, [PROGRAM, ...args], {
    cwd: options.cwd ?? root,
    input: options.input ?? new Uint8Array(0),
    env: { ...process.env, TVIX_STORE: options.store ?? "memory:", NO_COLOR: "1" },
    maxBuffer: 1 << 28,
  });
  const bytes = new Uint8Array(result.stdout);
  return { status: result.status, stdout: result.stdout.toString(), stderr: result.stderr.toString(), bytes };
}
