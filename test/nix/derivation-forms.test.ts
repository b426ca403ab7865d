// Derivations of every form, with all experimental features: the hashes and refusals that Nix 2.34 recorded
// (test/data/nix/derivations.json), and asked again where there is one (fetch/oracle.ts). `TVIX_RECORD=1` records.
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { TvixError } from "../../lib/base/error.ts";
import { EXPERIMENTAL_FEATURES, type ExperimentalFeature } from "../../lib/eval/features.ts";
import { toJs } from "../../lib/eval/index.ts";
import { fileSystemIO } from "../../lib/eval/node.ts";
import { openSession } from "../../lib/nix/session.ts";
import { HAS_ORACLE, ORACLE } from "./fetch/oracle.ts";

const FORMS = join(import.meta.dirname, "../data/nix/derivations");
const GOLDEN = `${FORMS}.json`;
const recorded = JSON.parse(readFileSync(GOLDEN, "utf8")) as Record<string, unknown>;
const ALL = Object.keys(EXPERIMENTAL_FEATURES) as ExperimentalFeature[];

const session = (features: readonly ExperimentalFeature[]) =>
  openSession({ io: fileSystemIO(), settings: { features: new Set(features), system: "x86_64-linux" } });
const { evaluator } = session(ALL);
const names = toJs(evaluator.evaluate(`builtins.attrNames (import ${FORMS})`)) as string[];

function answer(name: string): unknown {
  try {
    return JSON.parse(JSON.stringify(toJs(evaluator.evaluate(`(import ${FORMS})."${name}"`))));
  } catch (error) {
    if (error instanceof TvixError) return null;
    throw error;
  }
}

test.each(names)("%s", (name) => {
  expect(recorded).toHaveProperty([name]);
  expect(answer(name)).toEqual(recorded[name]);
});

test("nothing is recorded that is not asked", () => {
  expect(Object.keys(recorded).filter((name) => !names.includes(name))).toEqual([]);
});

test.each([
  ["__contentAddressed = true;", "ca-derivations"],
  ["__impure = true;", "impure-derivations"],
  ['outputHashMode = "text";', "dynamic-derivations"],
  ['outputHashMode = "git";', "git-hashing"],
  ['outputHashAlgo = "blake3";', "blake3-hashes"],
  ['outputHash = "blake3-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";', "blake3-hashes"],
] as const)("%s is refused without its feature, and nothing else allows it", (attributes, feature) => {
  const text = `(derivation { name = "n"; system = "s"; builder = "b"; ${attributes} }).drvPath`;
  const others = ALL.filter((each) => each !== feature);
  expect(() => session(others).evaluator.evaluate(text)).toThrow(`experimental Nix feature '${feature}' is disabled`);
  expect(toJs(session([feature]).evaluator.evaluate(text))).toMatch(/^\/nix\/store\/.*-n\.drv$/);
});

test("outputOf is there with its feature only", () => {
  expect(toJs(session([]).evaluator.evaluate("builtins ? outputOf"))).toBe(false);
  expect(toJs(evaluator.evaluate("builtins ? outputOf"))).toBe(true);
});

test("reading what only building will tell names the derivation", () => {
  const read = `builtins.readFile (derivation { name = "n"; system = "s"; builder = "b"; __impure = true; })`;
  expect(() => evaluator.evaluate(read)).toThrow(/cannot build output 'out' of '\/nix\/store\/.*-n\.drv'/);
});

test.skipIf(!HAS_ORACLE)("Nix today answers what is recorded", { timeout: 300_000 }, () => {
  const directory = mkdtempSync(join(tmpdir(), "tvix-forms-"));
  try {
    execFileSync("cp", ["-r", FORMS, join(directory, "derivations")]);
    writeFileSync(join(directory, "names"), `${names.join("\n")}\n`);
    writeFileSync(
      join(directory, "ask.sh"),
      `while read -r name; do
        nix-instantiate --read-write-mode --extra-experimental-features '${ALL.join(" ")}' \\
          --eval --strict --json ./derivations -A "$name" > "$name.out" 2> /dev/null < /dev/null || echo null > "$name.out"
      done < names`,
    );
    execFileSync(ORACLE[0] as string, [...ORACLE.slice(1), "bash", "ask.sh"], { cwd: directory, stdio: "ignore" });
    const read = (name: string): unknown => JSON.parse(readFileSync(join(directory, `${name}.out`), "utf8"));
    const now = Object.fromEntries(names.map((name) => [name, read(name)]));
    if (process.env["TVIX_RECORD"] === "1") writeFileSync(GOLDEN, `${JSON.stringify(now, null, 1)}\n`);
    else expect(now).toEqual(recorded);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
});
