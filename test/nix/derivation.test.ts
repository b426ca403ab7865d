// derivationStrict against paths that C++ Nix 2.8 gave, and nixpkgs where there is one.

import { describe, expect, test } from "vitest";
import { EvalError } from "../../lib/eval/error.ts";
import { memoryIO, toJs } from "../../lib/eval/index.ts";
import { fileSystemIO, nodeBackend } from "../../lib/eval/node.ts";
import { openSession } from "../../lib/nix/session.ts";

const BASE = 'system = "x86_64-linux"; builder = "/bin/sh";';
const SIMPLE = `derivation { name = "simple"; ${BASE} args = [ "-c" "echo \\"hi\\" > $out" ]; }`;
const MULTI = `derivation { name = "multi"; ${BASE} outputs = [ "dev" "out" "a" ]; t = "tab\\tnl\\ncr\\rq\\"b\\\\d$é"; }`;
const ZEROS = "0000000000000000000000000000000000000000000000000000";

function run(text: string): unknown {
  const { evaluator } = openSession({ io: memoryIO({ files: { "/src/a": "x", "/src/b/c": "y" } }) });
  try {
    return toJs(evaluator.evaluate(text));
  } catch (error) {
    if (error instanceof EvalError) return error.code;
    throw error;
  }
}

describe("paths that Nix gave", () => {
  test.each([
    [`(${SIMPLE}).drvPath`, "h9nw8dpljkgycwiy7a396ijf2qqb53yp-simple.drv"],
    [`(${SIMPLE}).outPath`, "v8a5h6ck8d1skdkswmxv2c96qz1q8ki4-simple"],
    [`(${MULTI}).drvPath`, "rqlrxfvdr8mi08n11gpkwasp561lzwz3-multi.drv"],
    [`(${MULTI}).dev.outPath`, "gqa3yk0bmwjdhpwsd4hgqbnc312srgjm-multi-dev"],
    [`(${MULTI}).outPath`, "gqa3yk0bmwjdhpwsd4hgqbnc312srgjm-multi-dev"],
    [`(${MULTI}).out.outPath`, "knyvqrqc0xkzn3kybpl3bchx8i1vmmn1-multi"],
    [
      `(derivation { name = "fodflat"; ${BASE} outputHash = "${ZEROS}"; outputHashAlgo = "sha256"; }).outPath`,
      "wn22g5y4d9dxi17marghcfq0s6jflrl4-fodflat",
    ],
    [
      `(derivation { name = "fodrec"; ${BASE} outputHashMode = "recursive"; outputHash = "sha256-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="; }).outPath`,
      "s49z06n7slirl186980bxq5mmq40lvi6-fodrec",
    ],
    [
      `(derivation { name = "deep"; ${BASE} d = (${SIMPLE}).drvPath; }).drvPath`,
      "rhhi11fwb3ivjnyx5l0wkzhyyiw7myp7-deep.drv",
    ],
    ['(derivation { name = "n"; system = "s"; builder = "b"; }).drvPath', "wr1i7p014rsirg48bgmkclzgi393aj0p-n.drv"],
  ])("%s", (text, answer) => {
    expect(run(text)).toBe(`/nix/store/${answer}`);
  });
});

describe("errors", () => {
  test.each([
    ['(derivation { name = "a.drv"; system = "s"; builder = "b"; }).drvPath', "ERR_EVAL_DERIVATION"],
    ['(derivation { system = "s"; builder = "b"; }).drvPath', "ERR_EVAL_MISSING_ATTRIBUTE"],
    ['(derivation { name = "n"; builder = "b"; }).drvPath', "ERR_EVAL_MISSING_ATTRIBUTE"],
    ['(derivation { name = "n"; system = "s"; }).drvPath', "ERR_EVAL_MISSING_ATTRIBUTE"],
    [
      '(derivation { name = "n"; system = "s"; builder = "b"; outputs = [ "out" "out" ]; }).drvPath',
      "ERR_EVAL_DERIVATION",
    ],
    ['(derivation { name = "n"; system = "s"; builder = "b"; f = x: x; }).drvPath', "ERR_EVAL_COERCE"],
    [`builtins.readFile "\${${SIMPLE}}/x"`, "ERR_EVAL_BUILD"],
    [
      'builtins.path { path = /src/a; sha256 = "sha256-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="; }',
      "ERR_EVAL_HASH",
    ],
    ["builtins.path { path = /none; }", "ERR_EVAL_IO"],
    [`builtins.toFile "x" "\${${SIMPLE}}"`, "ERR_EVAL_CONTEXT"],
    ['builtins.storePath "/src/a"', "ERR_EVAL_STORE"],
  ])("%s", (text, code) => {
    expect(run(text)).toBe(code);
  });
});

test("sources are named by their contents, and filters are Nix functions", () => {
  const kept = 'toString (builtins.filterSource (path: type: baseNameOf path != "a") /src)';
  expect(run(kept)).toBe(
    run('toString (builtins.path { name = "src"; path = /src; filter = p: t: t == "directory" || p == "/src/b/c"; })'),
  );
  expect(run('builtins.path { path = /src; name = ""; } == builtins.path { path = /src; }')).toBe(true);
  expect(run('builtins.attrNames (builtins.getContext "${/src/a}") == [ "${/src/a}" ]')).toBe(true);
  expect(run('builtins.toFile "t" "x"')).toMatch(/^\/nix\/store\/[a-z0-9]{32}-t$/);
});

test("structured attributes go into one JSON text", () => {
  const { evaluator, known } = openSession({ io: memoryIO({ files: {} }) });
  evaluator.evaluate(
    `(derivation { name = "n"; ${BASE} __structuredAttrs = true; b = [ 1 2.5 null ]; a = { x = "é"; }; }).drvPath`,
  );
  const [drv] = [...known.all()].map(([path]) => known.derivation(path));
  const env = drv?.env ?? new Map<string, string>();
  expect([...env.keys()].sort()).toEqual(["__json", "out"]);
  expect(JSON.parse(env.get("__json") ?? "")).toMatchObject({ b: [1, 2.5, null], name: "n" });
});

test("a derivation whose file would not be read back is kept as it is, and can be used with all it needs", () => {
  const { evaluator, known } = openSession({ io: memoryIO({ files: {} }) });
  const odd = 'derivation { name = "x"; system = "a\\nb"; builder = "/b"; }';
  const user = `derivation { name = "y"; system = "s"; builder = "/b";
    deep = builtins.unsafeDiscardOutputDependency (${odd}).drvPath; all = (${odd}).drvPath; }`;
  // Nix 2.8 makes the same.
  const path = "/nix/store/56z4s9g3cpxlfj4zp1ppxqh0jnyrk3aj-y.drv";
  expect(toJs(evaluator.evaluate(`(${user}).drvPath`))).toBe(path);
  const [input] = [...(known.outline(path)?.inputDrvs.keys() ?? [])];
  expect(known.derivation(input as string)?.system).toBe("a\nb");
});

const nixpkgs = process.env["TVIX_NIXPKGS"];
if (nixpkgs === undefined) console.warn("TVIX_NIXPKGS is not set: nixpkgs is not compared");
test.skipIf(nixpkgs === undefined)("hello of nixpkgs 20.09", () => {
  const { evaluator } = openSession({ io: fileSystemIO(), backend: nodeBackend() });
  expect(
    toJs(
      evaluator.evaluate(
        `(import ${nixpkgs} { system = "x86_64-linux"; config = { }; overlays = [ ]; }).hello.drvPath`,
      ),
    ),
  ).toBe("/nix/store/iylhv1jiapks1396jz2fv8wq85q68y6y-hello-2.10.drv");
});
