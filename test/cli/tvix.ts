// Runs the command line in its own process, as a user does.
import { spawnSync } from "node:child_process";
import { join } from "node:path";

const root = join(import.meta.dirname, "../..");

/** The compiled entry of the command line; test/compile.ts sees to it that it is of today. */
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
