// `tvix eval-jobs`: every job of a value, in order, whatever fails and however many workers there are.
import { spawn, spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { HAS_ORACLE, ORACLE } from "../nix/fetch/oracle.ts";
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

test("a job is kept when another one needs it; a set of jobs, always", () => {
  const text = `let make = name: input: derivation { inherit name input; system = "s"; builder = "b"; }; in rec {
    a = builtins.trace "a" (make "a" "");
    b = builtins.trace "b" (make "b" a);
    c = make "c" [ a set.one ];
    d = make "d" [ a set.one ];
    set = builtins.trace "set" { recurseForDerivations = true; one = make "one" ""; };
  }`;
  const { stdout, stderr } = run("--workers", "1", "-E", text);
  expect(parse(stdout).map(({ attr }) => attr)).toEqual(["a", "b", "c", "d", "set.one"]);
  expect(stderr.split("\n").sort()).toEqual(["", "trace: a", "trace: a", "trace: b", "trace: set"]);
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
    { attr: "worse", error: expect.stringContaining("no") },
    { attr: "both", error: "b.c: does not exist\n", globConstituents: false },
  ]);
  const [a, , , both] = lines;
  expect(both?.constituents).toEqual([a?.drvPath]);
  expect(a).not.toHaveProperty("constituents");
  expect(parse(run("-E", text).stdout)[3]).not.toHaveProperty("error");
});

// What C++ Nix makes of an aggregate whose names refer to the derivations by context is what rewriting makes of it.
const AGGREGATES = `let
    make = name: attributes: derivation ({ inherit name; system = "s"; builder = "/bin/sh"; } // attributes);
    aggregate = name: constituents: make name { _hydraAggregate = true; inherit constituents; };
    glob = name: constituents: make name { _hydraAggregate = true; _hydraGlobConstituents = true; inherit constituents; };
  in rec {
    a = make "a" { outputs = [ "out" "dev" ]; };
    aggregates = { recurseForDerivations = true; one = aggregate "one" [ "z.b" a.out ]; };
    all = glob "all" [ "[yz].*" "aggregates.o?e" ];
    two = aggregate "two" [ a "a" "aggregates.one" "all" ];
    z = { recurseForDerivations = true; b = make "b" { }; fod = make "f" { outputHash = "sha256-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="; outputHashMode = "nar"; }; };
  }`;
const BY_CONTEXT = `let
    make = name: attributes: derivation ({ inherit name; system = "s"; builder = "/bin/sh"; } // attributes);
    refer = text: parts: builtins.appendContext text (builtins.listToAttrs
      (map (d: { name = builtins.unsafeDiscardStringContext d.drvPath; value = { outputs = [ (builtins.head (builtins.sort builtins.lessThan (d.outputs or [ "out" ]))) ]; }; }) parts));
    aggregate = name: constituents: make name { _hydraAggregate = true; inherit constituents; };
    glob = name: constituents: make name { _hydraAggregate = true; _hydraGlobConstituents = true; inherit constituents; };
    a = make "a" { outputs = [ "out" "dev" ]; };
    b = make "b" { };
    fod = make "f" { outputHash = "sha256-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="; outputHashMode = "nar"; };
    one = aggregate "one" [ (refer "z.b" [ b ]) a.out ];
    all = glob "all" [ (refer "[yz].*" [ b fod ]) (refer "aggregates.o?e" [ one ]) ];
    two = aggregate "two" [ a (refer "a" [ a ]) (refer "aggregates.one" [ one ]) (refer "all" [ all ]) ];
  in map (d: [ "\${builtins.unsafeDiscardStringContext d.drvPath}" "\${builtins.unsafeDiscardStringContext d.outPath}" ]) [ one all two ]`;

test("aggregates depend on the jobs that they name, and are told at the end", () => {
  const args = ["-E", AGGREGATES, "--constituents", "--show-input-drvs"];
  const lines = parse(run(...args).stdout);
  expect(lines.map(({ attr }) => attr)).toEqual(["a", "z.b", "z.fod", "aggregates.one", "all", "two"]);
  const [a, b, fod, one, all, two] = lines;
  const expected = JSON.parse(tvix(["eval", "--strict", "--json", "-E", BY_CONTEXT]).stdout) as unknown;
  expect([one, all, two].map((line) => [line?.drvPath, (line as { outputs?: { out?: string } }).outputs?.out])).toEqual(
    expected,
  );
  expect(one).toMatchObject({ constituents: [a?.drvPath, b?.drvPath], globConstituents: false });
  expect(all?.constituents).toEqual([b?.drvPath, fod?.drvPath, one?.drvPath]);
  expect(two?.constituents).toEqual([a?.drvPath, one?.drvPath, all?.drvPath]);
  expect(two?.inputDrvs).toMatchObject({ [a?.drvPath as string]: ["out", "dev"], [all?.drvPath as string]: ["out"] });
  for (const line of lines) expect(line).not.toHaveProperty("namedConstituents");
  expect(run(...args, "--workers", "3").stdout).toBe(run(...args).stdout);
});

const FLOATING = `let
    make = name: attributes: derivation ({ inherit name; system = "s"; builder = "/bin/sh"; } // attributes);
    c = make "c" { __contentAddressed = true; };
    aggregate = constituents: make "of-c" { _hydraAggregate = true; outputs = [ "lib" "out" ]; inherit constituents; };`;
const FLOATING_BY_CONTEXT = `${FLOATING} in (aggregate
    [ (builtins.appendContext "c" { "\${builtins.unsafeDiscardStringContext c.drvPath}".outputs = [ "out" ]; }) ]).drvPath`;
const FEATURES = ["--extra-experimental-features", "ca-derivations"];

test("the outputs of an aggregate are not known where those of its constituents are not", () => {
  const text = `${FLOATING} in { inherit c; agg = aggregate [ "c" ]; }`;
  const [c, aggregate] = parse(run("-E", text, "--constituents", ...FEATURES).stdout);
  expect(aggregate).toMatchObject({ outputs: { lib: null, out: null }, constituents: [c?.drvPath] });
  expect(aggregate?.drvPath).toBe(tvix(["eval", "--raw", ...FEATURES, "-E", FLOATING_BY_CONTEXT]).stdout);
});

test.runIf(HAS_ORACLE)("C++ Nix has the same paths for aggregates", () => {
  for (const text of [BY_CONTEXT, FLOATING_BY_CONTEXT]) {
    const command = ["nix-instantiate", "--eval", "--strict", "--json", ...FEATURES, "-E", text];
    const asked = spawnSync(ORACLE[0] as string, [...ORACLE.slice(1), ...command], { cwd: tmpdir() });
    const ours = tvix(["eval", "--strict", "--json", ...FEATURES, "-E", text]).stdout;
    expect(JSON.parse(asked.stdout.toString())).toEqual(JSON.parse(ours));
  }
});

test("rewritten aggregates are written and kept", () => {
  const own = join(scratch, "aggregates");
  const roots = join(scratch, "aggregate-roots");
  const options = { store: own, cwd: scratch };
  const { stdout } = tvix(["eval-jobs", "-E", AGGREGATES, "--constituents", "--gc-roots-dir", roots], options);
  tvix(["store", "gc"], options);
  const lines = parse(stdout);
  expect(lines).toHaveLength(6);
  for (const { drvPath } of lines) {
    const path = drvPath as string;
    expect(readlinkSync(join(roots, path.slice("/nix/store/".length)))).toBe(path);
    expect(tvix(["store", "cat", path], options).stdout).toContain("Derive(");
  }
  const shown = tvix(["drv", "show", lines.at(-1)?.drvPath as string], options).stdout;
  for (const { drvPath } of [lines[0], lines[3], lines[4]] as Line[]) {
    expect(shown).toContain((drvPath as string).slice("/nix/store/".length));
  }
});

test("aggregates of what is broken, is not there or leads back to them are errors", () => {
  const text = `let aggregate = name: attributes: derivation ({ inherit name; system = "s"; builder = "b"; _hydraAggregate = true; } // attributes); in {
    bad = throw "no";
    fine = aggregate "fine" { constituents = [ ]; };
    lacks = aggregate "lacks" { };
    missing = aggregate "missing" { constituents = [ "fine" "nowhere" "bad" ]; };
    nothing = aggregate "nothing" { _hydraGlobConstituents = true; constituents = [ "x*" ]; };
    outer = aggregate "outer" { constituents = [ "missing" ]; };
    round = aggregate "round" { constituents = [ "fine" "trip" ]; };
    self = aggregate "self" { constituents = [ "self" ]; };
    stands = aggregate "stands" { constituents = [ "fine" ]; };
    trip = aggregate "trip" { constituents = [ "round" ]; };
    visits = aggregate "visits" { constituents = [ "trip" ]; };
  }`;
  const lines = parse(run("-E", text, "--constituents").stdout);
  const cycle = "Dependency cycle: round <-> trip";
  expect(
    Object.fromEntries(lines.map(({ attr, error }) => [attr, error?.replaceAll(/\n +at [^]*?\n\n?/g, "")])),
  ).toMatchObject({
    bad: expect.stringContaining("error: no"),
    fine: undefined,
    lacks: expect.stringContaining("derivation must have a 'constituents' attribute"),
    missing: expect.stringMatching(/^nowhere: does not exist\nbad: error: no[^]*\n$/),
    nothing: "x*: constituent glob pattern had no matches\n",
    outer: expect.stringMatching(/^missing: nowhere: does not exist/),
    round: cycle,
    self: "Dependency cycle: self <-> self",
    stands: undefined,
    trip: cycle,
    visits: `trip: ${cycle}\n`,
  });
  expect(lines.find(({ attr }) => attr === "outer")?.error).toBe("missing: nowhere: does not exist\n");
  expect(lines.slice(-8).map(({ attr }) => attr)).toEqual([
    "missing",
    "nothing",
    "outer",
    "round",
    "self",
    "stands",
    "trip",
    "visits",
  ]);
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
  expect(units().length).toBeGreaterThan(0);
  // The second run may warm what the first one left; from then on nothing is compiled, so that nothing is written.
  expect(tvix(["eval-jobs", "--workers", "3"], options).stdout).toBe(first);
  const warm = units().sort();
  expect(tvix(["eval-jobs", "--workers", "3"], options).stdout).toBe(first);
  expect(units().sort()).toEqual(warm);
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
    in { a = job "a"; a1 = job "a1"; b = job "b-\${toString (builtins.length (builtins.concatMap (i: builtins.genList (j: { x = i; y = j; }) 100000) (builtins.genList (i: i) 1000)))}"; c = job "c"; d = job "d"; }`;
  for (const flags of [
    ["--workers", "2"],
    ["--workers", "1", "--instantiate"],
  ]) {
    const outcome = run("-E", text, ...flags, "--max-memory-size", "64");
    const [a, a1, b, ...others] = parse(outcome.stdout);
    expect([a?.name, a1?.name, b?.error]).toEqual(["a", "a1", expect.stringContaining("--max-memory-size")]);
    expect(others.map(({ name }) => name)).toEqual(["c", "d"]);
    expect(outcome.status).toBe(0);
  }
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
  const aggregates = run("-E", AGGREGATES, "--constituents").stdout;
  for (const lines of [0, 2, 4, 6]) {
    writeFileSync(
      file,
      aggregates
        .split("\n")
        .slice(0, lines)
        .map((line) => `${line}\n`)
        .join(""),
    );
    expect(run("-E", AGGREGATES, "--constituents", "--resume", file)).toMatchObject({ status: 0, stdout: "" });
    expect(readFileSync(file, "utf8")).toBe(aggregates);
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
