// The tests that nixpkgs has of its own library, here and under the installed Nix.
//
// TVIX_NIXPKGS is a checkout. Its test files must have the same values. Its shell script of module tests runs as it is
// with Nix; every question that it asks Nix is then asked here.
import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { findAlongPath } from "../../lib/eval/attr-path.ts";
import { valueToJson } from "../../lib/eval/builtins/json.ts";
import { type Backend, CLOSURE_BACKEND } from "../../lib/eval/evaluator.ts";
import { fileSystemIO, nodeBackend } from "../../lib/eval/node.ts";
import { Source } from "../../lib/eval/source.ts";
import { ContextBuilder } from "../../lib/eval/value/string.ts";
import { printValue } from "../../lib/eval/vm/print.ts";
import { openSession } from "../../lib/nix/session.ts";
import type { Answer } from "../lang/cases.ts";
import { agrees, answerOf } from "../lang/run.ts";
import { readError } from "../oracle/nix.ts";

const NIXPKGS = process.env["TVIX_NIXPKGS"] ?? "";
const TESTS = join(NIXPKGS, "lib/tests");

if (NIXPKGS === "") {
  console.warn("SKIPPED: TVIX_NIXPKGS is not set to a nixpkgs checkout; the tests of its library are not run");
}

let scratch = "";
let nixVersion = "";
beforeAll(() => {
  if (NIXPKGS !== "")
    nixVersion = execFileSync("nix-instantiate", ["--version"], { encoding: "utf8" }).trim().split(" ").at(-1) ?? "";
  scratch = mkdtempSync(join(tmpdir(), "tvix-nixpkgs-lib-"));
});
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

const backends: Readonly<Record<string, () => Backend>> = {
  closures: () => CLOSURE_BACKEND,
  JavaScript: () => nodeBackend({ javascriptLimit: Number.POSITIVE_INFINITY, cacheDirectory: join(scratch, "units") }),
};

/** A question to Nix: an expression in a directory, and an attribute of its value. */
interface Question {
  readonly directory: string;
  readonly text: string;
  readonly attr: string;
  readonly json: boolean;
}

/** Our answer, by an evaluator that knows nothing yet. */
function ask({ directory, text, attr, json }: Question, backend: Backend): Answer {
  const { evaluator } = openSession({ io: fileSystemIO(), backend, settings: { nixVersion } });
  return answerOf(() =>
    evaluator.guard(() => {
      const value = findAlongPath(evaluator.evaluate(Source.string(text, directory)), attr, new Map());
      return json ? valueToJson(evaluator, value, new ContextBuilder()) : printValue(value, { strict: false });
    }),
  );
}

describe.skipIf(NIXPKGS === "").each(Object.entries(backends))("the library of nixpkgs, on %s", (_, backend) => {
  const files = existsSync(TESTS)
    ? ["misc", "systems", "check-eval", "teams", "maintainers"].filter((name) => existsSync(join(TESTS, `${name}.nix`)))
    : [];

  test.each(files)("%s.nix has the value that it has in Nix", (name) => {
    const text = `builtins.toJSON (let v = import ./${name}.nix; in if builtins.isFunction v then builtins.functionArgs v else v)`;
    const expected = execFileSync("nix-instantiate", ["--eval", "--strict", "-E", text], {
      cwd: TESTS,
      encoding: "utf8",
      stdio: ["ignore", "pipe", "ignore"],
    });
    expect(ask({ directory: TESTS, text, attr: "", json: false }, backend())).toEqual({ value: expected.trim() });
  });
});

/** Stands in for `nix-instantiate`: notes its arguments and what the real one said. */
const RECORDER = `#!/bin/sh
dir=$(mktemp -d "$RECORD/XXXXXX")
printf '%s\\0' "$PWD" "$@" > "$dir/words"
"$NIX_INSTANTIATE" "$@" > "$dir/out" 2> "$dir/err"
status=$?
echo $status > "$dir/status"
cat "$dir/out"; cat "$dir/err" >&2
exit $status
`;

/** Runs the script of module tests with Nix; answers every question that it asked, with Nix's answer. */
function recordModuleTests(): (readonly [Question, Answer])[] {
  const bin = join(scratch, "bin");
  const record = join(scratch, "record");
  for (const directory of [bin, record]) mkdirSync(directory);
  writeFileSync(join(bin, "nix-instantiate"), RECORDER, { mode: 0o755 });
  const real = execFileSync("sh", ["-c", "command -v nix-instantiate"], { encoding: "utf8" }).trim();
  spawnSync("bash", [join(TESTS, "modules.sh")], {
    env: { ...process.env, PATH: `${bin}:${process.env["PATH"]}`, RECORD: record, NIX_INSTANTIATE: real },
  });
  return readdirSync(record).map((name) => {
    const read = (file: string): string => readFileSync(join(record, name, file), "latin1");
    const [directory = "", ...words] = read("words").split("\0");
    const after = (flag: string): string => words[words.indexOf(flag) + 1] ?? "";
    const question = { directory, text: after("-E"), attr: after("-A"), json: words.includes("--json") };
    const answer = read("status") === "0\n" ? { value: read("out").trimEnd() } : { error: readError(read("err")) };
    return [question, answer] as const;
  });
}

test.skipIf(NIXPKGS === "")(
  "module tests get Nix's answers",
  () => {
    const recorded = recordModuleTests();
    expect(recorded.length).toBeGreaterThan(50);
    const different = Object.values(backends).flatMap((open) => {
      const backend = open();
      return recorded
        .map(([question, expected]) => ({ question, expected, answer: ask(question, backend) }))
        .filter(({ expected, answer }) => !agrees(answer, expected));
    });
    expect(different).toEqual([]);
    console.warn(`${recorded.length} questions of nixpkgs' module tests have Nix's answers`);
  },
  600_000,
);
