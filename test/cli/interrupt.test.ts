// Imports that are interrupted at random moments: the store opens, verifies, and the import completes when repeated.
//
// A few moments by default; TVIX_SOAK=1 takes thirty of each signal.
import { spawn } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { PROGRAM, tvix } from "./tvix.ts";

const MOMENTS = process.env["TVIX_SOAK"] === "1" ? 30 : 3;

let scratch: string;
let tree: string;

beforeAll(() => {
  scratch = mkdtempSync(join(tmpdir(), "tvix-interrupt-"));
  tree = join(scratch, "tree");
  for (let directory = 0; directory < 20; directory++) {
    mkdirSync(join(tree, `d${directory}`), { recursive: true });
    for (let file = 0; file < 100; file++) {
      writeFileSync(join(tree, `d${directory}`, `f${file}`), `${directory}.${file} `.repeat(2000));
    }
    writeFileSync(join(tree, `d${directory}`, "large"), Buffer.alloc(3_000_000, `${directory} is large; `));
  }
});
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

/** Starts an import, sends the signal `delay` ms after the store has appeared, and resolves to the exit code or signal. */
async function interrupt(store: string, signal: NodeJS.Signals, delay: number): Promise<number | string | null> {
  const child = spawn(process.execPath, [PROGRAM, "store", "import", "--store", store, tree], { stdio: "ignore" });
  const ended = new Promise<number | string | null>((resolve) => child.on("exit", (code, by) => resolve(code ?? by)));
  for (let waited = 0; !existsSync(join(store, "index.lmdb")) && waited < 500; waited++) {
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  await new Promise((resolve) => setTimeout(resolve, delay));
  child.kill(signal);
  return await ended;
}

describe("an import that is interrupted", () => {
  test.each(["SIGINT", "SIGKILL"] as const)(
    "by %s leaves a store that verifies, and completes when repeated",
    async (signal) => {
      const store = join(scratch, signal);
      // There from the start: on a slow machine the first signal may come before the import has made it.
      expect(tvix(["store", "gc"], { store }).status).toBe(0);
      for (let moment = 0; moment < MOMENTS; moment++) {
        const how = await interrupt(store, signal, Math.random() * 150);
        // It may have been done before the signal came.
        expect(signal === "SIGINT" ? [0, 1, "SIGINT"] : [0, "SIGKILL"]).toContain(how);
        const verified = tvix(["store", "verify", "--json"], { store });
        expect(verified.stderr).toBe("");
        expect(JSON.parse(verified.stdout)).toMatchObject({ damage: [] });
        expect(verified.status).toBe(0);
      }
      const completed = tvix(["store", "import", tree], { store });
      expect(completed.status).toBe(0);
      expect(completed.stdout).toBe(tvix(["store", "import", tree], { store: join(scratch, "fresh") }).stdout);
      const verified = tvix(["store", "verify", "--json"], { store });
      expect(JSON.parse(verified.stdout)).toMatchObject({ damage: [], paths: 1 });
    },
  );
});
