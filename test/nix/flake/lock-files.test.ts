// Lock files, byte by byte as `nix flake lock` of Nix 2.34 writes them (test/data/nix/locks.json), and as it writes them
// today where there is one (fetch/oracle.ts). `TVIX_RECORD=1` records its answers anew.
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { tvix } from "../../cli/tvix.ts";
import { git, settle, write } from "../fetch/fixture.ts";
import { HAS_ORACLE, ORACLE } from "../fetch/oracle.ts";

const GOLDEN = new URL("../../data/nix/locks.json", import.meta.url);
const recorded = JSON.parse(readFileSync(GOLDEN, "utf8")) as Record<string, string | null>;
const base = mkdtempSync(join(tmpdir(), "tvix-locks-"));

const leaf = (v: string): string => `{ outputs = { self }: { v = "${v}"; }; }`;
const flake = (inputs: string, names: string): string =>
  `{ inputs = { ${inputs} }; outputs = { self, ${names} }: { v = 1; }; }`.replaceAll("@/", `${base}/`);

/** Flakes by their directories; those in `git/` are repositories. Later ones may refer to earlier ones. */
const FLAKES: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  leaf: { "flake.nix": leaf("leaf") },
  other: { "flake.nix": leaf("other") },
  plain: { file: "plain\n" },
  "git/leaf": { "flake.nix": leaf("git leaf"), "sub/flake.nix": leaf("git sub") },
  "git/plain": { file: "git plain\n" },
  middle: { "flake.nix": flake('l.url = "path:@/leaf";', "l") },
  "git/middle": {
    "flake.nix": flake('l.url = "git+file://@/git/leaf"; p = { url = "path:@/plain"; flake = false; };', "l, p"),
  },
  upper: { "flake.nix": flake('m.url = "path:@/middle"; l.follows = "m/l";', "m, l") },
  relative: {
    "flake.nix": flake('i.url = "./in"; j.url = "path:./in/deep";', "i, j"),
    "in/flake.nix": flake('d.url = "path:./deep"; l.url = "path:@/leaf";', "d, l"),
    "in/deep/flake.nix": leaf("deep"),
  },
  dirty: { "flake.nix": leaf("dirty") },
};

interface LockCase {
  readonly inputs: string;
  readonly names: string;
  /** Flags, separated by spaces. */
  readonly flags?: string;
  /** The case whose lock file the flake has. */
  readonly after?: string;
  /** Further files of the flake. */
  readonly files?: Readonly<Record<string, string>>;
}

const LEAF = 'l.url = "path:@/leaf";';
const MIDDLE = 'm.url = "path:@/middle";';
const GIT_MIDDLE = 'm.url = "git+file://@/git/middle";';
const CASES: Readonly<Record<string, LockCase>> = {
  "a path": { inputs: LEAF, names: "l" },
  "a repository": { inputs: 'l.url = "git+file://@/git/leaf";', names: "l" },
  "a repository's branch and directory": { inputs: 'l.url = "git+file://@/git/leaf?ref=main&dir=sub";', names: "l" },
  attributes: { inputs: 'l = { type = "git"; url = "file://@/git/leaf"; ref = "main"; shallow = true; };', names: "l" },
  "trees that are no flakes": {
    inputs: 'p = { url = "path:@/plain"; flake = false; }; q = { url = "git+file://@/git/plain"; flake = false; };',
    names: "p, q",
  },
  "inputs of inputs": { inputs: `${MIDDLE} n.url = "git+file://@/git/middle";`, names: "m, n" },
  "names that several have": { inputs: `${MIDDLE} ${LEAF} u.url = "path:@/upper";`, names: "m, l, u" },
  "an input that follows": { inputs: `${MIDDLE} m.inputs.l.follows = "o"; o.url = "path:@/other";`, names: "m, o" },
  "one that follows an input's": { inputs: `${GIT_MIDDLE} l.follows = "m/l";`, names: "m, l" },
  "one that follows the flake itself": { inputs: `${MIDDLE} m.inputs.l.follows = "";`, names: "m" },
  "an input's input said otherwise": { inputs: `${MIDDLE} m.inputs.l.url = "path:@/other";`, names: "m" },
  "deep in others": {
    inputs: 'u.url = "path:@/upper"; u.inputs.m.inputs.l.url = "git+file://@/git/leaf";',
    names: "u",
  },
  "follows within an input": {
    inputs: 'u.url = "path:@/upper"; u.inputs.m.url = "git+file://@/git/middle";',
    names: "u",
  },
  "paths within the flake": {
    inputs: 'i.url = "./in"; k.url = "path:./in"; k.flake = false;',
    names: "i, k",
    files: { "in/flake.nix": leaf("in") },
  },
  "a flake with paths within": {
    inputs: 'r.url = "path:@/relative"; r.inputs.i.inputs.l.follows = "l"; ' + LEAF,
    names: "r, l",
  },
  "a path within said of an input's": {
    inputs: `${MIDDLE} m.inputs.l.url = "path:./in";`,
    names: "m",
    files: { "in/flake.nix": leaf("in") },
  },
  "no inputs": { inputs: "", names: "..." },
  "an unlocked input": { inputs: 'l.url = "git+file://@/dirty";', names: "l" },
  "override: a path": { inputs: LEAF, names: "l", flags: "--override-input l path:@/other" },
  "override: a repository": { inputs: LEAF, names: "l", flags: "--override-input l git+file://@/git/leaf?dir=sub" },
  "override: a relative path": { inputs: LEAF, names: "l", flags: "--override-input l ./other" },
  "override: a relative path in a repository": { inputs: LEAF, names: "l", flags: "--override-input l ./git/leaf/sub" },
  "override: a relative URL": { inputs: LEAF, names: "l", flags: "--override-input l path:./other" },
  "override: an input's": { inputs: MIDDLE, names: "m", flags: "--override-input m/l path:@/other" },
  "override: both": {
    inputs: MIDDLE,
    names: "m",
    flags: "--override-input m git+file://@/git/middle --override-input m/l path:@/other",
  },
  "override: before what the flake says": {
    inputs: `${MIDDLE} m.inputs.l.follows = "o"; o.url = "path:@/other";`,
    names: "m, o",
    flags: "--override-input m/l path:@/leaf",
  },
  "override: one that follows": {
    inputs: `${MIDDLE} l.follows = "m/l";`,
    names: "m, l",
    flags: "--override-input l path:@/other",
  },
  "override: no flake": {
    inputs: 'p = { url = "path:@/plain"; flake = false; };',
    names: "p",
    flags: "--override-input p path:@/leaf",
  },
  "override: no such input": { inputs: LEAF, names: "l", flags: "--override-input nope path:@/other" },
  "override: over a lock file": {
    inputs: MIDDLE,
    names: "m",
    after: "override: an input's",
    flags: "--override-input m path:@/upper",
  },
  "after an override": { inputs: MIDDLE, names: "m", after: "override: an input's" },
  unchanged: { inputs: `${MIDDLE} n.url = "git+file://@/git/middle";`, names: "m, n", after: "inputs of inputs" },
  "one more": { inputs: `${MIDDLE} ${LEAF} o.url = "path:@/other";`, names: "m, l, o", after: "inputs of inputs" },
  "no longer following": {
    inputs: `${MIDDLE} o.url = "path:@/other";`,
    names: "m, o",
    after: "an input that follows",
  },
  "update: an input": { inputs: MIDDLE, names: "m", after: "override: an input's", flags: "--update-input m" },
  "update: an input's": { inputs: MIDDLE, names: "m", after: "override: an input's", flags: "--update-input m/l" },
  "update: no such input": { inputs: MIDDLE, names: "m", after: "override: an input's", flags: "--update-input x" },
  anew: { inputs: MIDDLE, names: "m", after: "override: an input's", flags: "--recreate-lock-file" },
  "by another lock file": { inputs: MIDDLE, names: "m", flags: "--reference-lock-file @/locks/override:-an-input's" },
};

const names = Object.keys(CASES);
const nameOf = (name: string): string => name.replaceAll(" ", "-");
const directoryOf = (name: string): string => join(base, "cases", nameOf(name));
/** Paths, hashes and revisions, which differ from run to run, and what stands for them. */
const facts: [found: string, name: string][] = [[base, "@"]];

beforeAll(() => {
  for (const [name, files] of Object.entries(FLAKES)) {
    const directory = join(base, name);
    write(directory, files);
    settle(directory);
    if (!name.startsWith("git/") && name !== "dirty") continue;
    git(directory, "init", "-q");
    git(directory, "add", ".");
    git(directory, "commit", "-qm", "one");
    facts.push([git(directory, "rev-parse", "HEAD"), `@rev of ${name}@`]);
  }
  write(join(base, "dirty"), { "flake.nix": leaf("very dirty") });
  mkdirSync(join(base, "locks"));
  for (const name of names) {
    const { inputs, names: args, files, after } = CASES[name] as LockCase;
    write(directoryOf(name), { "flake.nix": flake(inputs, args), ...files });
    if (after !== undefined) write(directoryOf(name), { "flake.lock": lockText(after) });
    settle(directoryOf(name));
  }
  const trees = Object.keys(FLAKES).map((name) =>
    name.startsWith("git/") ? `git+file://${base}/${name}` : `path:${base}/${name}`,
  );
  const expression = `map (url: (builtins.fetchTree url).narHash) [ ${trees.map((url) => `"${url}"`).join(" ")} ]`;
  const hashes = JSON.parse(tvix(["eval", "--strict", "--json", "-E", expression]).stdout) as string[];
  facts.push(...Object.keys(FLAKES).map((name, i): [string, string] => [hashes[i] as string, `@hash of ${name}@`]));
});

afterAll(() => rmSync(base, { recursive: true, force: true }));

const flagsOf = (name: string): string[] =>
  (CASES[name] as LockCase).flags?.replaceAll("@/", `${base}/`).split(" ") ?? [];

const made = new Map<string, { text: string | null; stderr: string }>();

/** The lock file that comes of a case; `null` where none is written. */
function lock(name: string): { text: string | null; stderr: string } {
  const known = made.get(name);
  if (known !== undefined) return known;
  const file = join(base, "locks", nameOf(name));
  const { reference = "" } =
    /--reference-lock-file @\/locks\/(?<reference>\S+)/.exec(CASES[name]?.flags ?? "")?.groups ?? {};
  if (reference !== "") lock(names.find((other) => nameOf(other) === reference) as string);
  const args = ["eval", "--flake", `path:${directoryOf(name)}#v`, "--output-lock-file", file, ...flagsOf(name)];
  const { stderr } = tvix(args, { cwd: base });
  const found = { text: existsSync(file) ? readFileSync(file, "utf8") : null, stderr };
  made.set(name, found);
  return found;
}

function lockText(name: string): string {
  const { text, stderr } = lock(name);
  if (text === null) throw new Error(`${name}: ${stderr}`);
  return text;
}

function general(text: string | null): string | null {
  return text && facts.reduce((so, [found, name]) => so.replaceAll(found, name), text);
}

describe("as nix flake lock", () => {
  test.each(names)("%s", (name) => {
    expect(recorded).toHaveProperty([name]);
    expect(general(lock(name).text)).toBe(recorded[name]);
  });

  test("nothing is recorded that is not asked", () => {
    expect(Object.keys(recorded).filter((name) => !names.includes(name))).toEqual([]);
  });
});

describe.skipIf(!HAS_ORACLE)("Nix today", () => {
  test("writes what is recorded", { timeout: 300_000 }, () => {
    for (const name of names) lock(name);
    const script = [
      `cd ${base}; export HOME=${base}/home XDG_CACHE_HOME=${base}/cache; mkdir theirs`,
      "git config --global --add safe.directory '*'",
      "export NIX_CONFIG='experimental-features = nix-command flakes\nflake-registry ='",
    ];
    for (const [i, name] of names.entries()) {
      const flags = [...flagsOf(name), "--output-lock-file", `${base}/theirs/${i}`]
        .map((flag) => `"${flag}"`)
        .join(" ");
      script.push(`nix flake lock "path:${directoryOf(name)}" ${flags} > theirs/${i}.out 2>&1`);
    }
    writeFileSync(join(base, "ask.sh"), `${script.join("\n")}\n`);
    spawnSync(ORACLE[0] as string, [...ORACLE.slice(1), "bash", join(base, "ask.sh")], { cwd: base });
    const theirs = names.map((name, i): [string, string | null] => {
      const file = join(base, "theirs", String(i));
      return [name, existsSync(file) ? general(readFileSync(file, "utf8")) : null];
    });
    if (process.env["TVIX_RECORD"] === "1")
      writeFileSync(GOLDEN, `${JSON.stringify(Object.fromEntries(theirs), null, 1)}\n`);
    else expect(Object.fromEntries(theirs)).toEqual(recorded);
  });
});
