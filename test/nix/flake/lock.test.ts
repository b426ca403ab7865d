// Locking: what a lock file settles, what has to be looked up anew, and lock files that are wrong.
import { rmSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeEach, describe, expect, test } from "vitest";
import { toByteString } from "../../../lib/base/text.ts";
import { memoryIO } from "../../../lib/eval/io/memory.ts";
import { fileSystemIO } from "../../../lib/eval/node.ts";
import { forceDeep, printValue } from "../../../lib/eval/vm/print.ts";
import { Fetcher } from "../../../lib/nix/fetch/fetcher.ts";
import { parseLocalFlakeRef } from "../../../lib/nix/flake/local.ts";
import { findNode, isPath, lockChanges, parseLockFile } from "../../../lib/nix/flake/lock-file.ts";
import { formatFlakeRef } from "../../../lib/nix/flake/reference.ts";
import { openSession } from "../../../lib/nix/session.ts";
import { scratch } from "../../store/fixture.ts";
import { settle, TIME, write } from "../fetch/fixture.ts";

const { base, fresh } = scratch("lock");
const fetcher = new Fetcher({ directory: join(base, "cache"), flakeRegistry: "" });
afterAll(() => fetcher.close());

let warnings: string[] = [];
beforeEach(() => {
  warnings = [];
});

function show(text: string, pure = false): string {
  const onMessage = (_kind: string, message: string): void => void warnings.push(message);
  const { evaluator } = openSession({ io: fileSystemIO(), fetcher, settings: { pure }, onMessage });
  const value = evaluator.evaluate(toByteString(text));
  forceDeep(value);
  return printValue(value, { strict: true });
}

const narHash = (path: string): string => JSON.parse(show(`(builtins.fetchTree "path:${path}").narHash`)) as string;

/** A flake at a new path, all of one time. */
function flake(files: Readonly<Record<string, string>>): string {
  const path = fresh();
  write(path, files);
  settle(path);
  return path;
}

const leaf = (v: string) => ({ "flake.nix": `{ outputs = { self }: { v = "${v}"; }; }` });

/** An entry of a lock file for a tree of this machine. */
function locked(path: string, more: object = {}): object {
  const ref = { type: "path", path };
  return { locked: { ...ref, lastModified: TIME, narHash: narHash(path) }, original: ref, ...more };
}

function lockFile(root: object, nodes: object): string {
  return JSON.stringify({ version: 7, root: "root", nodes: { root, ...nodes } });
}

describe("an input that the lock file has", () => {
  test("is not fetched again: its tree is found by its hash", () => {
    const input = flake(leaf("locked"));
    const lock = lockFile({ inputs: { x: "x" } }, { x: locked(input) });
    const outer = flake({
      "flake.nix": `{ inputs.x.url = "path:${input}"; outputs = { self, x }: { inherit (x) v; }; }`,
      "flake.lock": lock,
    });
    rmSync(input, { recursive: true });
    // Trees of this machine are not kept: where one is neither in a store nor where it was, there is nothing.
    expect(() => show(`(builtins.getFlake "path:${outer}").v`)).toThrow(/does not exist/);
    write(input, leaf("locked"));
    expect(show(`(builtins.getFlake "path:${outer}").v`)).toBe('"locked"');
    expect(warnings).toEqual([]);
    const pinned = `path:${outer}?narHash=${narHash(outer).replaceAll("+", "%2B")}`;
    expect(show(`(builtins.getFlake "${pinned}").v`, true)).toBe('"locked"');
  });

  test("must still be what the lock file says", () => {
    const input = flake(leaf("before"));
    const lock = lockFile({ inputs: { x: "x" } }, { x: locked(input) });
    const outer = flake({
      "flake.nix": `{ inputs.x.url = "path:${input}"; outputs = { self, x }: { inherit (x) v; }; }`,
      "flake.lock": lock,
    });
    write(input, leaf("after"));
    expect(() => show(`(builtins.getFlake "path:${outer}").v`)).toThrow(/NAR hash mismatch/);
  });

  test("is looked up anew when flake.nix says something else, and the rest stays", () => {
    const [one, two, three] = [flake(leaf("one")), flake(leaf("two")), flake(leaf("three"))] as const;
    const outer = flake({
      "flake.nix": `{ inputs = { a.url = "path:${one}"; b.url = "path:${three}"; };
        outputs = { self, a, b }: { v = [ a.v b.v (self.sourceInfo ? rev) ]; }; }`,
      "flake.lock": lockFile({ inputs: { a: "a", b: "b", gone: "a" } }, { a: locked(one), b: locked(two) }),
    });
    expect(show(`(builtins.getFlake "path:${outer}").v`)).toBe('[ "one" "three" false ]');
    expect(warnings).toHaveLength(1);
    expect(warnings[0]).toContain(`Updated input 'b':`);
    expect(warnings[0]).toContain(`Removed input 'gone'`);
    expect(warnings[0]).not.toContain("'a'");
    expect(() =>
      show(`(builtins.getFlake "path:${outer}?narHash=${encodeURIComponent(narHash(outer))}").v`, true),
    ).toThrow(/cannot update unlocked flake input 'b' in pure mode/);
  });

  test("brings its own inputs, those that follow others too", () => {
    const inner = flake(leaf("inner"));
    const other = flake(leaf("other"));
    const middle = flake({
      "flake.nix": `{ inputs.i.url = "path:${inner}"; outputs = { self, i }: { inherit (i) v; }; }`,
    });
    const flakeNix = (follows: string): string =>
      `{ inputs = { m.url = "path:${middle}"; o.url = "path:${other}"; ${follows} }; outputs = { self, m, o }: { inherit (m) v; }; }`;
    const nodes = { m: locked(middle, { inputs: { i: ["o"] } }), o: locked(other) };
    const lock = lockFile({ inputs: { m: "m", o: "o" } }, nodes);
    const following = flake({ "flake.nix": flakeNix('m.inputs.i.follows = "o";'), "flake.lock": lock });
    expect(show(`(builtins.getFlake "path:${following}").v`)).toBe('"other"');
    expect(warnings).toEqual([]);
    // Nobody says any more that it follows: it is what its own flake says.
    const alone = flake({ "flake.nix": flakeNix(""), "flake.lock": lock });
    expect(show(`(builtins.getFlake "path:${alone}").v`)).toBe('"inner"');
    expect(warnings[0]).toContain("Updated input 'm/i'");
  });

  test("may be a path inside the flake; its path keeps the dots of the lock file, as Nix has it", () => {
    const relative = { type: "path", path: "./in" };
    const outer = flake({
      "flake.nix": '{ inputs.i.url = "./in"; outputs = { self, i }: { inherit (i) v; at = i.at; }; }',
      "in/flake.nix": '{ outputs = { self }: { v = "in"; at = baseNameOf (dirOf self.outPath); }; }',
      "flake.lock": lockFile({ inputs: { i: "i" } }, { i: { locked: relative, original: relative, parent: [] } }),
    });
    expect(show(`(builtins.getFlake "path:${outer}").v`)).toBe('"in"');
    expect(show(`(builtins.getFlake "path:${outer}").at`)).toBe('"."');
  });
});

describe("lock files", () => {
  const path = { type: "path", path: "/x", narHash: `sha256-${"A".repeat(43)}=` };
  const node = { locked: path, original: { type: "path", path: "/x" } };

  test("are graphs: nodes may be shared, followed and in circles", () => {
    const root = parseLockFile(
      lockFile(
        { inputs: { a: "a", b: "b", f: ["a", "b"] } },
        { a: { ...node, inputs: { b: "b" } }, b: { ...node, inputs: { a: "a" } } },
      ),
      "/flake.lock",
    );
    const a = root.inputs.get("a");
    expect(findNode(root, ["b", "a", "b", "a"])).toBe(a);
    expect(findNode(root, ["f"])).toBe(root.inputs.get("b"));
    expect(findNode(root, ["f", "a"])).toBe(a);
    expect(findNode(root, ["absent"])).toBeUndefined();
    expect(a !== undefined && !isPath(a) && a.locked && formatFlakeRef(a.locked.original)).toBe("path:/x");
    expect(lockChanges(root, root)).toEqual([]);
  });

  test("circles of followers are refused", () => {
    const root = parseLockFile(lockFile({ inputs: { a: ["b"], b: ["a"] } }, {}), "/flake.lock");
    expect(() => findNode(root, ["a"])).toThrow(/follow cycle/);
  });

  test.each([
    ["not JSON", "{", /is not JSON/],
    ["another version", JSON.stringify({ version: 8, root: "root", nodes: {} }), /unsupported version '8'/],
    ["no root", JSON.stringify({ version: 7 }), /has no root/],
    ["a root that is not there", JSON.stringify({ version: 7, root: "r", nodes: {} }), /missing node 'r'/],
    ["a missing node", lockFile({ inputs: { a: "b" } }, {}), /references missing node 'b'/],
    ["an input that is no node", lockFile({ inputs: { a: 1 } }, {}), /no node/],
    ["a node without what it is", lockFile({ inputs: { a: "a" } }, { a: {} }), /does not say what 'a' is/],
    [
      "an unlocked node",
      lockFile({ inputs: { a: "a" } }, { a: { ...node, locked: { type: "github", owner: "o", repo: "r" } } }),
      /contains unlocked input 'github:o\/r'/,
    ],
    ["a prototype's property", lockFile({ inputs: { a: "constructor" } }, {}), /missing node/],
  ])("%s", (_, text, message) => {
    expect(() => parseLockFile(text, "/flake.lock")).toThrow(message);
  });
});

describe("flake.nix", () => {
  test.each([
    ["inputs.x.url = 1;", /expected a string but found an integer: 1/],
    ['inputs.x = { url = "path:/x"; follows = "y"; };', /both a flake reference and a follows/],
    ["inputs.x.foo = true;", /unexpected flake input attribute 'foo'/],
    ['inputs.x.follows = "a b";', /invalid flake input attribute path element 'a b'/],
    ['inputs."a b".url = "path:/x";', /not a valid name/],
    ["description = 1;", /expected a string but found an integer: 1/],
  ])("%s", (text, message) => {
    const path = flake({ "flake.nix": `{ ${text} outputs = _: { }; }` });
    expect(() => show(`builtins.getFlake "path:${path}"`)).toThrow(message);
  });

  test("outputs must be a function", () => {
    const path = flake({ "flake.nix": "{ outputs = { }; }" });
    expect(() => show(`builtins.getFlake "path:${path}"`)).toThrow(/to be a function/);
  });

  test("inputs that are only named by the outputs come from a registry", () => {
    const path = flake({ "flake.nix": "{ outputs = { self, absent }: { }; }" });
    expect(() => show(`builtins.getFlake "path:${path}"`)).toThrow(/cannot find flake 'flake:absent'/);
  });
});

describe("references on the command line", () => {
  const io = memoryIO({
    files: {
      "/repo/.git": "",
      "/repo/flake.nix": "",
      "/repo/sub/flake.nix": "",
      "/repo/sub/deep/x": "",
      "/plain/flake.nix": "",
    },
  });
  test.each([
    [".", "/repo", "git+file:///repo", ""],
    [".#a.b", "/repo", "git+file:///repo", "a.b"],
    ["#x", "/repo", "git+file:///repo", "x"],
    ["./sub", "/repo", "git+file:///repo?dir=sub", ""],
    [".", "/repo/sub/deep", "git+file:///repo?dir=sub", ""],
    ["../../plain?dir=y#z", "/repo/sub", "path:/plain?dir=y", "z"],
    ["/plain", "/", "path:/plain", ""],
    ["path:plain", "/", "path:/plain", ""],
    ["path:./x", "/repo", "path:/repo/x", ""],
    ["path:../x?dir=y#z", "/repo/sub", "path:/repo/x?dir=y", "z"],
    ["nixpkgs#hello", "/repo", "flake:nixpkgs", "hello"],
  ])("%s in %s", (text, directory, url, fragment) => {
    const found = parseLocalFlakeRef(text, directory, io);
    expect([formatFlakeRef(found.ref), found.fragment]).toEqual([url, fragment]);
  });

  test("say so when there is no flake", () => {
    expect(() => parseLocalFlakeRef("./x", "/nowhere", io)).toThrow(/does not contain a 'flake.nix'/);
  });
});
