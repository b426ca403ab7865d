// The examples of docs/store.md, run as they stand: what follows an arrow is what they print.
import { spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { describe, expect, test } from "vitest";
import { scratch } from "./fixture.ts";

const project = join(import.meta.dirname, "../..");
const text = readFileSync(join(project, "docs/store.md"), "utf8");
const examples = [...text.matchAll(/^```ts\n([^]*?)^```$/gm)].map((match) => match[1] ?? "");
const { fresh } = scratch("docs");

/** Package imports, as they are in a checkout. */
function local(code: string): string {
  return code.replace(/from "tvix\/([a-z/]+)"/g, (_, room: string) => {
    const file = room.includes("/") ? `${room}.ts` : `${room}/index.ts`;
    return `from "${pathToFileURL(join(project, "lib", file)).href}"`;
  });
}

describe("the examples of docs/store.md", () => {
  test("are there", () => {
    expect(examples.length).toBeGreaterThan(4);
  });
  test.each(examples.map((code, i) => [code.split("\n").at(2) ?? String(i), code] as const))("%s", (_title, code) => {
    const directory = fresh();
    mkdirSync(join(directory, "hello"), { recursive: true });
    writeFileSync(join(directory, "hello/greeting"), "Hello, World!");
    symlinkSync("greeting", join(directory, "hello/link"));
    writeFileSync(join(directory, "example.mts"), local(code));
    const result = spawnSync(process.execPath, ["--import", import.meta.resolve("tsx"), "example.mts"], {
      cwd: directory,
      encoding: "utf8",
    });
    expect(result.stderr).toBe("");
    expect(result.status).toBe(0);
    const expected = [...code.matchAll(/\/\/ → (.*)$/gm)].map((match) => match[1]);
    if (expected.length > 0) expect(result.stdout.trim().split("\n")).toEqual(expected);
  });
});
