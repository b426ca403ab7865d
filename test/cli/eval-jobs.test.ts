// `tvix eval-jobs`: every job of a value, in order, whatever fails and however many workers there are.
import { spawn } from "node:child_process";
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Outcome, PROGRAM, tvix } from "./tvix.ts";

let scratch: string;
let store: string;
const run = (...args: string[]): Outcome => tvix(["eval-jobs", ...args], { store, cwd: scratch });
interface Line {
  readonly attr: string;
  readonly error?: string;
  readonly [field: string]: unknown;
}
const parse = (text: string): Line[] =>
  text
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as Line);

beforeAll(() => {
  scratch = mkdtempSync(join(tmpdir(), "tvix-jobs-"));
  store = join(scratch, "store");
  writeFileSync(join(scratch, "file"), "contents\n");
  writeFileSync(
    join(scratch, "default.nix"),
    `{ system ? "x86_64-linux" }:
    let
      make = name: attributes: derivation ({ inherit name system; builder = "/bin/sh"; } // attributes);
      base = make "base" { outputs = [ "out" "dev" ]; src = ./file; };
      many = builtins.listToAttrs (builtins.genList (i: { name = "job\${toString i}"; value = make "n\${toString i}" { }; }) 100);
      deep = n: if n == 0 then 0 else 1 + deep (n - 1);
    in {
      a = make "user" { input = base.dev; } // { meta = { description = "é"; broken = throw "no"; f = x: x; n = [ 1 ]; }; };
      broken = throw "this one is broken";
      deep = make "deep-\${toString (deep 100000)}" { };
      endless = let x = x; in x;
      function = x: x;
      inner = { recurseForDerivations = true; inherit base; worse = make "worse" { bad = throw "worse"; }; };
      list = { recurseForDerivations = true; one = [ base ]; };
      many = many // { recurseForDerivations = true; };
      number = 1;
      outside = { inherit base; };
      recursing = { recurseForDerivations = throw "how deep?"; };
    }`,
  );
});
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

const EXPECTED = [
  "a",
  "broken",
  "deep",
  "endless",
  "inner.base",
  "inner.worse",
  ...Array.from({ length: 100 }, (_, i) => `many.job${i}`).sort(),
  "recursing",
];

test("jobs come in order, with what fails in its place", () => {
  const one = run("--workers", "1");
  expect(one).toMatchObject({ status: 0, stderr: "" });
  const lines = parse(one.stdout);
  expect(lines.map(({ attr }) => attr)).toEqual(EXPECTED);
  expect(
    lines.filter(({ error }) => error !== undefined).map(({ attr, error }) => [attr, error?.split("\n")[0]]),
  ).toEqual([
    ["broken", "error: this one is broken"],
    ["endless", "error: infinite recursion encountered"],
    ["inner.worse", "error: worse"],
    ["recursing", "error: how deep?"],
  ]);
  const [drv] = tvix(["eval", "--raw", "-E", "(import ./. { }).inner.base.drvPath"], { cwd: scratch }).stdout.split(
    "\n",
  );
  expect(lines.find(({ attr }) => attr === "inner.base")).toEqual({
    attr: "inner.base",
    attrPath: ["inner", "base"],
    name: "base",
    system: "x86_64-linux",
    drvPath: drv,
    outputs: {
      out: expect.stringMatching(/^\/nix\/store\/.*-base$/),
      dev: expect.stringMatching(/^\/nix\/store\/.*-base-dev$/),
    },
  });
  expect(run("--workers", "3").stdout).toBe(one.stdout);
});

test("tells more on request, of a part of the value and with arguments", () => {
  const found = run(
    "--meta",
    "--show-input-drvs",
    "--select",
    "jobs: { inherit (jobs) a; }",
    "--argstr",
    "system",
    "s",
  );
  const [line] = parse(found.stdout);
  expect(line).toMatchObject({ attr: "a", system: "s", meta: { description: "é", n: [1] } });
  expect(Object.keys(line?.meta as object)).toEqual(["description", "n"]);
  expect(Object.values(line?.inputDrvs as object)).toEqual([["dev"]]);
  expect(parse(run("-A", "outside").stdout).map(({ attr }) => attr)).toEqual(["base"]);
  expect(parse(run("--force-recurse").stdout).map(({ attr }) => attr)).toContain("outside.base");
  expect(parse(run("-A", "inner.base").stdout)).toMatchObject([{ attr: "", attrPath: [], name: "base" }]);
});

test("tells of names with dots, of requirements, and of what each derivation is to a function", () => {
  const text = `let make = name: attributes: derivation ({ inherit name; system = "s"; builder = "b"; } // attributes); in rec {
    a = make "a" { requiredSystemFeatures = [ "kvm" "big" ]; };
    "b.c" = make "b" { __structuredAttrs = true; requiredSystemFeatures = [ "kvm" ]; };
    both = make "both" { _hydraAggregate = true; constituents = [ a "b.c" ]; };
    worse = make "worse" { } // { extra = throw "no"; };
  }`;
  const apply = "d: { it = d.name; extra = d.extra or null; }";
  const lines = parse(run("-E", text, "--constituents", "--apply", apply).stdout);
  expect(lines).toMatchObject([
    { attr: "a", requiredSystemFeatures: ["kvm", "big"], extraValue: { it: "a", extra: null } },
    { attr: '"b.c"', attrPath: ["b.c"], requiredSystemFeatures: ["kvm"] },
    { attr: "both", namedConstituents: ["b.c"], globConstituents: false },
    { attr: "worse", error: expect.stringContaining("no") },
  ]);
  const [a, , both] = lines;
  expect(both?.constituents).toEqual([a?.drvPath]);
  expect(a).not.toHaveProperty("constituents");
  expect(parse(run("-E", text).stdout)[3]).not.toHaveProperty("error");
});

test("outputs that only building will tell are null", () => {
  const text = `{ a = derivation { name = "a"; system = "s"; builder = "b"; __contentAddressed = true; outputs = [ "out" "x" ]; }; }`;
  const { stdout } = run("-E", text, "--extra-experimental-features", "flakes ca-derivations");
  expect(parse(stdout)).toMatchObject([{ attr: "a", outputs: { out: null, x: null } }]);
});

test("tells where outputs are already", () => {
  const far = join(scratch, "far");
  const place = (address: string, name: string): string => {
    writeFileSync(join(scratch, name), name);
    const imported = tvix(["store", "import", "--json", join(scratch, name)], { store: address }).stdout;
    const { path } = JSON.parse(imported) as { path: string };
    const info = tvix(["store", "info", "--json", path], { store: address }).stdout;
    return (JSON.parse(info) as { narHash: string }).narHash;
  };
  const fixed = (name: string, hash: string): string =>
    `${name} = derivation { name = "${name}"; system = "s"; builder = "b"; outputHashMode = "nar"; outputHash = "${hash}"; };`;
  const text = `{ ${fixed("here", place(store, "here"))} ${fixed("there", place(far, "there"))} bad = throw "no";
    nowhere = derivation { name = "n"; system = "s"; builder = "b"; }; }`;
  const statuses = (...args: string[]): unknown =>
    parse(run("-E", text, "--check-cache-status", ...args).stdout).map(({ attr, cacheStatus }) => [attr, cacheStatus]);
  const rest = [["nowhere", "notBuilt"]];
  expect(statuses("--substituter", far)).toEqual([["bad", undefined], ["here", "local"], ...rest, ["there", "cached"]]);
  expect(statuses()).toEqual([["bad", undefined], ["here", "local"], ...rest, ["there", "notBuilt"]]);
});

test("takes the jobs of a flake", () => {
  const flake = join(scratch, "flake");
  mkdirSync(flake);
  writeFileSync(
    join(flake, "flake.nix"),
    `{ outputs = { self }: { hydraJobs.x.y = derivation { name = "y"; system = "s"; builder = "b"; }; }; }`,
  );
  const { stdout } = run("--flake", `path:${flake}#hydraJobs`, "--force-recurse");
  expect(parse(stdout)).toMatchObject([{ attr: "x.y", name: "y" }]);
});

test("workers share the compiled code that earlier ones left", () => {
  const cache = join(scratch, "cache");
  const options = { store, cwd: scratch, env: { XDG_CACHE_HOME: cache } };
  const units = (): string[] =>
    readdirSync(join(cache, "tvix/units"), { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map(({ parentPath, name }) => join(parentPath, name));
  const first = tvix(["eval-jobs", "--workers", "2"], options).stdout;
  const left = units();
  expect(left.length).toBeGreaterThan(0);
  const times = (): number[] => left.map((file) => statSync(file).mtimeMs);
  // The second run may warm what the first one left; from then on nothing is compiled, so that nothing is written.
  expect(tvix(["eval-jobs", "--workers", "3"], options).stdout).toBe(first);
  const warm = times();
  expect(tvix(["eval-jobs", "--workers", "3"], options).stdout).toBe(first);
  expect(units().sort()).toEqual(left.sort());
  expect(times()).toEqual(warm);
});

test("a value that fails as a whole is one error, and a failure", () => {
  const outcome = run("-E", 'throw "all of it"');
  expect(outcome.status).toBe(1);
  expect(parse(outcome.stdout)).toMatchObject([{ attr: "", error: expect.stringContaining("all of it") }]);
  expect(run("-E", "1").stdout).toContain("expression does not evaluate to a derivation");
  expect(run("--workers", "0")).toMatchObject({ status: 1, stdout: "" });
});

test("a job that needs too much memory fails alone", () => {
  const text = `let job = name: derivation { inherit name; system = "s"; builder = "b"; };
    in { a = job "a"; b = job "b-\${toString (builtins.length (builtins.concatMap (i: builtins.genList (j: { x = i; y = j; }) 100000) (builtins.genList (i: i) 1000)))}"; c = job "c"; }`;
  const outcome = run("-E", text, "--workers", "2", "--max-memory-size", "64");
  const [a, b, c] = parse(outcome.stdout);
  expect([a?.name, b?.error, c?.name]).toEqual(["a", expect.stringContaining("--max-memory-size"), "c"]);
  expect(outcome.status).toBe(0);
});

test("writes derivations and keeps them where that is asked for", () => {
  const select = "jobs: { inherit (jobs) a inner; }";
  const roots = join(scratch, "roots");
  const { stdout } = run("--gc-roots-dir", roots, "--select", select);
  const drvs = parse(stdout).flatMap(({ drvPath }) => (drvPath === undefined ? [] : [drvPath as string]));
  expect(drvs).toHaveLength(2);
  expect(
    readdirSync(roots)
      .map((name) => readlinkSync(join(roots, name)))
      .sort(),
  ).toEqual(drvs.toSorted());
  tvix(["store", "gc"], { store });
  for (const drv of drvs) expect(tvix(["store", "cat", drv], { store }).stdout).toContain("Derive(");
  const other = join(scratch, "other");
  expect(tvix(["eval-jobs", "--instantiate", "--select", select], { store: other, cwd: scratch }).stdout).toBe(stdout);
  expect(tvix(["store", "cat", drvs[0] as string], { store: other }).stdout).toContain("Derive(");
});

test("continues a file that an earlier run left", () => {
  const whole = run("--workers", "2").stdout;
  const file = join(scratch, "jobs.jsonl");
  for (const end of [0, Math.floor(whole.length / 2), whole.length]) {
    writeFileSync(file, whole.slice(0, end));
    expect(run("--workers", "2", "--resume", file)).toMatchObject({ status: 0, stdout: "" });
    expect(readFileSync(file, "utf8")).toBe(whole);
  }
  writeFileSync(file, "{}\n");
  expect(run("--resume", file).stderr).toContain("line 1 tells of no job");
});

test("leaves no process behind when it is interrupted", async () => {
  const text = `let f = n: if n == 0 then 0 else f (n - 1); in { recurseForDerivations = true;
    a = derivation { name = "a"; system = "s"; builder = "b"; }; b = f (0 - 1); }`;
  const child = spawn(process.execPath, [PROGRAM, "eval-jobs", "--no-cache", "-E", text], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  // The first job is out; the second never ends.
  await new Promise((resolve) => child.stdout.once("data", resolve));
  const workers = readFileSync(`/proc/${child.pid}/task/${child.pid}/children`, "utf8").trim().split(" ");
  expect(workers).toHaveLength(1);
  child.kill("SIGINT");
  const code = await new Promise((resolve) => child.on("close", resolve));
  expect(code).toBe(1);
  for (const pid of workers) expect(() => process.kill(Number(pid), 0)).toThrow("ESRCH");
});
