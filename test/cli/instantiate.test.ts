// `tvix instantiate`, `tvix drv diff`, and evaluation over a store.
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Outcome, tvix } from "./tvix.ts";

let scratch: string;
let store: string;
const run = (...args: string[]): Outcome => tvix(args, { store, cwd: scratch });
const lines = ({ stdout }: Outcome): string[] => stdout.trim().split("\n");

beforeAll(() => {
  scratch = mkdtempSync(join(tmpdir(), "tvix-instantiate-"));
  store = join(scratch, "store");
  writeFileSync(join(scratch, "file"), "contents\n");
  writeFileSync(
    join(scratch, "default.nix"),
    `{ version ? "1" }:
    let
      make = name: attributes: derivation ({ inherit name; system = "x86_64-linux"; builder = "/bin/sh"; } // attributes);
      base = make "base" { inherit version; outputs = [ "out" "dev" ]; src = ./file; };
    in {
      a = make "top-\${version}" { input = base.dev; };
      b.c = base;
      d = { recurseForDerivations = true; e = base; f = [ base ]; };
      g = base.dev;
      h = [ base.dev [ (make "listed" { }) ] ];
    }`,
  );
});
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

test("prints what nix-instantiate prints, and writes the closure", () => {
  const all = run("instantiate");
  expect(all.stderr).toBe("");
  const names = lines(all).map((line) => line.replace(/^\/nix\/store\/[^-]*-/, ""));
  expect(names).toEqual(["top-1.drv", "base.drv", "base.drv!dev"]);
  expect(lines(run("instantiate", "-A", "h")).map((line) => line.slice(44))).toEqual(["base.drv!dev", "listed.drv"]);
  const [top = ""] = lines(all);
  const shown = run("store", "info", top);
  expect(shown.status).toBe(0);
  expect(shown.stdout).toContain("base.drv");
  expect(run("store", "cat", top).stdout).toMatch(/^Derive\(\[\("out","\/nix\/store\/.*-top-1","",""\)\]/);
  expect(lines(run("instantiate", "-A", "a"))).toEqual([top]);
});

test("keeps what it wrote under names", () => {
  const [a, dev] = lines(run("instantiate", "-A", "a", "-A", "g", "--add-root", "kept"));
  const roots = run("store", "roots", "list").stdout;
  expect(roots).toContain(`kept -> ${a}`);
  expect(roots).toContain(`kept-2 -> ${dev?.replace("!dev", "")}`);
});

test("refuses what is no derivation, and writes nothing then", () => {
  const outcome = run("instantiate", "-E", "1");
  expect(outcome.status).toBe(1);
  expect(outcome.stderr).toContain("expression does not evaluate to a derivation (or a set or list of those)");
  const missing = run(
    "instantiate",
    "-E",
    'derivation { name = "n"; system = "s"; builder = builtins.storePath "/nix/store/00000000000000000000000000000000-x"; }',
  );
  expect(missing.status).toBe(1);
  expect(missing.stderr).toContain("is not valid");
});

test("refuses, as Nix does, a system that would be read back as another one", () => {
  for (const system of ['a\\"b', "a\\\\b"]) {
    const outcome = run("instantiate", "-E", `derivation { name = "n"; system = "${system}"; builder = "b"; }`);
    expect(outcome).toMatchObject({ status: 1, stdout: "" });
    expect(outcome.stderr).toContain("ERR_DRV_SYSTEM");
  }
  expect(run("instantiate", "-E", 'derivation { name = "n"; system = "a\\nb"; builder = "b"; }').status).toBe(0);
});

test("evaluating alone writes nothing", () => {
  const untouched = join(scratch, "untouched");
  const text = '(import ./. { }).a.drvPath + "${./file}" + builtins.toFile "n" "t"';
  expect(tvix(["eval", "--raw", "-E", text], { store: untouched, cwd: scratch }).stdout).toMatch(
    /^\/nix\/store\/.*-top-1\.drv/,
  );
  expect(existsSync(untouched)).toBe(false);
  run("instantiate", "-A", "a");
  const other = run("eval", "--raw", "-E", '(import ./. { version = "9"; }).a.drvPath').stdout;
  expect(run("store", "info", other).stderr).toContain("is not in the store");
});

test("evaluation reads what is in the store, and names what would have to be built", () => {
  const [drv = ""] = lines(run("instantiate", "-A", "a"));
  expect(run("eval", "-E", `builtins.substring 0 6 (builtins.readFile ${drv})`).stdout).toBe('"Derive"\n');
  const built = run("eval", "-E", `import (import ./default.nix { }).a`);
  expect(built.status).toBe(1);
  expect(built.stderr).toContain(`cannot build output 'out' of '${drv}'`);
});

test("drv diff tells why derivations differ, down to the input that does", () => {
  const [one = ""] = lines(run("instantiate", "-A", "a"));
  const [two = ""] = lines(run("instantiate", "-A", "a", "--argstr", "version", "2"));
  expect(run("drv", "diff", one, one)).toMatchObject({ status: 0, stdout: "" });
  expect(run("drv", "diff", one, `${two}x`)).toMatchObject({ status: 2, stdout: "" });
  expect(run("drv", "diff", one)).toMatchObject({ status: 2, stdout: "" });
  const text = run("drv", "diff", one, two);
  expect(text.status).toBe(1);
  expect(text.stdout).toContain('name\n      - "top-1"\n      + "top-2"');
  expect(text.stdout).toContain("input base.drv\n");
  expect(text.stdout).toContain('env.version\n      - "1"\n      + "2"');
  const structured = (list: string): string => {
    const text = `let d = import ./. { version = toString (builtins.length ${list}); }; in derivation {
      name = "s"; system = "s"; builder = "b"; __structuredAttrs = true; input = d.g; list = ${list}; other = [ d.g ]; }`;
    return lines(run("instantiate", "-E", text))[0] ?? "";
  };
  const [first] = lines(run("drv", "diff", "--json", structured("[ 1 ]"), structured("[ 1 2 ]")));
  expect(JSON.parse(first ?? "").fields.map(({ field }: { field: string }) => field)).toEqual(["structuredAttrs.list"]);
  const [top, base] = lines(run("drv", "diff", "--json", one, two)).map((line) => JSON.parse(line));
  expect(top.changed).toHaveLength(1);
  expect(base).toMatchObject({ via: ["base.drv"], fields: [{ field: "env.version", before: "1", after: "2" }] });
});
