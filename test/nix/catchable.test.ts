// What tryEval catches: each row of the table in docs/evaluator.md, on both back ends, and as Nix 2.34 has it
// (test/data/nix/catchable.json; asked again where fetch/oracle.ts finds a Nix; `TVIX_RECORD=1` records).
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { EVAL_ERRORS, EvalError } from "../../lib/eval/error.ts";
import { CLOSURE_BACKEND } from "../../lib/eval/evaluator.ts";
import { toJs } from "../../lib/eval/index.ts";
import { fileSystemIO, nodeBackend } from "../../lib/eval/node.ts";
import { Fetcher } from "../../lib/nix/fetch/fetcher.ts";
import { openSession } from "../../lib/nix/session.ts";
import { FAILURES, WORLD_FAILURES } from "../eval/failures.ts";
import { HAS_ORACLE, ORACLE } from "./fetch/oracle.ts";

const GOLDEN = new URL("../data/nix/catchable.json", import.meta.url);
const recorded = JSON.parse(readFileSync(GOLDEN, "utf8")) as Record<string, boolean>;
const rows = [...FAILURES, ...WORLD_FAILURES].map(([code, text, mode]) => [code, text, mode ?? "free"] as const);

const directory = mkdtempSync(join(tmpdir(), "tvix-catchable-"));
const fetcher = new Fetcher({ directory: join(directory, "cache"), flakeRegistry: "" });
afterAll(async () => {
  await fetcher.close();
  rmSync(directory, { recursive: true, force: true });
});

test("each code has a row", () => {
  expect(rows.map(([code]) => code).sort()).toEqual(Object.keys(EVAL_ERRORS).sort());
});

describe.each([
  ["closures", () => CLOSURE_BACKEND],
  ["JavaScript", () => nodeBackend()],
])("on %s", (_, backend) => {
  test.each(rows)("%s: %s", (code, text, mode) => {
    const run = (program: string): unknown => {
      const settings = { restricted: mode === "restricted" };
      const { evaluator } = openSession({ io: fileSystemIO(), fetcher, settings, backend: backend() });
      try {
        return evaluator.guard(() => toJs(evaluator.evaluate(program)));
      } catch (error) {
        return error instanceof EvalError ? error.code : error;
      }
    };
    expect(run(text)).toBe(code);
    const { catchable } = EVAL_ERRORS[code];
    // Caught or not, the second attempt ends as the first one did.
    expect(run(`let t = ${text}; in map (x: (builtins.tryEval x).success) [ t t ]`)).toEqual(
      catchable ? [false, false] : code,
    );
    expect(recorded[code]).toBe(catchable);
  });
});

test.skipIf(!HAS_ORACLE)("Nix today catches what is recorded", { timeout: 120_000 }, () => {
  const script = rows.map(([, text, mode], i) => {
    writeFileSync(join(directory, `${i}.nix`), `(builtins.tryEval (${text})).success`);
    const flags = mode === "restricted" ? "--option restrict-eval true" : "";
    return `nix-instantiate --eval ${flags} -E "$(cat ${i}.nix)" > ${i}.out 2> /dev/null || true`;
  });
  writeFileSync(
    join(directory, "ask.sh"),
    `export HOME=${directory} NIX_CONFIG="substituters ="\n${script.join("\n")}\n`,
  );
  execFileSync(ORACLE[0] as string, [...ORACLE.slice(1), "bash", "ask.sh"], { cwd: directory, stdio: "ignore" });
  const caught = (i: number): boolean => readFileSync(join(directory, `${i}.out`), "utf8").trim() === "false";
  const now = Object.fromEntries(rows.map(([code], i) => [code, caught(i)]));
  if (process.env["TVIX_RECORD"] === "1") writeFileSync(GOLDEN, `${JSON.stringify(now, null, 1)}\n`);
  else expect(now).toEqual(recorded);
});
