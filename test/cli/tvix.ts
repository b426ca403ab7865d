// Runs the command line in its own process, as a user does.
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll } from "vitest";

const root = join(import.meta.dirname, "../..");

/** The compiled entry of the command line; test/compile.ts sees to it that it is of today. */
export const PROGRAM: string = join(root, "dist/cli/tvix.cjs");

// Caches of a run of tests: nothing is replayed that another run has evaluated.
const cache = mkdtempSync(join(tmpdir(), "tvix-cache-"));
afterAll(() => rmSync(cache, { recursive: true, force: true }));

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
  options: { store?: string; input?: Uint8Array; cwd?: string; env?: Readonly<Record<string, string>> } = {},
): Outcome {
  const result = spawnSync(process.execPath, [PROGRAM, ...args], {
    cwd: options.cwd ?? root,
    input: options.input ?? new Uint8Array(0),
    env: {
      ...process.env,
      TVIX_STORE: options.store ?? "memory:",
      XDG_CACHE_HOME: cache,
      NO_COLOR: "1",
      ...options.env,
    },
    maxBuffer: 1 << 28,
  });
  const bytes = new Uint8Array(result.stdout);
  return { status: result.status, stdout: result.stdout.toString(), stderr: result.stderr.toString(), bytes };
}
