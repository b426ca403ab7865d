// The intermediate form: its table, its text, and that it survives being written and read.

import { expect, test } from "vitest";
import {
  compile,
  deserialiseProgram,
  Evaluator,
  INSTRUCTIONS,
  printIr,
  serialiseProgram,
  Source,
} from "../../lib/eval/index.ts";
import type { Node } from "../../lib/eval/ir/program.ts";
import { compileClosures } from "../../lib/eval/vm/closures.ts";
import { printValue } from "../../lib/eval/vm/print.ts";
import { Unit } from "../../lib/eval/vm/unit.ts";

const PROGRAMS = [
  "let fib = n: if n < 2 then n else fib (n - 1) + fib (n - 2); in fib 10",
  "let f = { a, b ? a, ... }@s: rec { x = a; ${toString b} = s ? c.d; y = [ x (s.c or 1.5) ]; }; in f { a = 9007199254740993; }",
  'with { x = 1; }; assert x == 1 && !false -> true; "${toString x}" + "b"',
  "rec { __overrides = { a = 2; }; a = 1; b = a * 3 / 2 - 1; } // { c = [ 1 ] ++ [ 2 ]; p = ./a; d = ~/x; }",
  "let f = a: b: g b a; g = a: b: a - b; in [ (f 1 2) (builtins.lessThan 1 2) (1.0 <= 2) __curPos ]",
  'let x = "a"; in { p = ./b/${x}/c; q = x != "b" || x == "c"; r = x ? a.b; }',
];

test("every instruction of the programs is in the table with exactly its operands", () => {
  const seen = new Set<string>();
  const visit = (value: unknown): void => {
    if (Array.isArray(value)) for (const item of value) visit(item);
    if (typeof value !== "object" || value === null) return;
    if ("op" in value) {
      const node = value as Node;
      seen.add(node.op);
      expect(
        Object.keys(node)
          .filter((key) => key !== "op")
          .sort(),
      ).toEqual(Object.keys(INSTRUCTIONS[node.op].operands).sort());
    }
    for (const [key, item] of Object.entries(value)) if (key !== "direct") visit(item);
  };
  for (const text of PROGRAMS) visit(compile(text).root);
  const rare = Object.keys(INSTRUCTIONS).filter((op) => !seen.has(op));
  // Only scopedImport makes it.
  expect(rare).toEqual(["ambient"]);
});

test.each(PROGRAMS)("%s: written, read and run again", (text) => {
  const evaluator = new Evaluator();
  const program = compile(text);
  const again = deserialiseProgram(serialiseProgram(program));
  expect(printIr(again)).toBe(printIr(program));
  const unit = new Unit(
    evaluator,
    Source.string(text),
    (evaluator as unknown as { globals: ReadonlyMap<string, never> }).globals,
  );
  const answer = printValue(compileClosures(again.root, unit)(), { strict: true });
  expect(answer).toBe(printValue(evaluator.evaluate(text), { strict: true }));
});

test("the text shows one instruction per line", () => {
  expect(printIr(compile("x: x.a"))).toBe(
    [
      "root #0 []",
      "  lambda",
      "    lambda #1 takes 1 [0:x]",
      "      select @5",
      "        force @3",
      "          local 0",
      "        .a",
    ].join("\n"),
  );
});

test.each([
  ["x: x", true],
  ["x: 1", true],
  ["x: y: throw x", true],
  ["x: { a = x; b = [ x 2 ]; c = toString x; }", true],
  ["x: x + 1", false],
  ["x: x.a", false],
  ["x: throw x", false],
  ["{ x }: x", false],
  ["x: [ (f x) (f x) (f x) ]", false],
  ["x: outer", false],
])("calling %s at once instead of later: %s", (text, immediate) => {
  const { body } = compile(`let outer = throw "no"; f = a: a; in ${text}`).root;
  const lambda = body.op === "let" ? body.body : body;
  expect(lambda.op === "lambda" && lambda.fn.immediate).toBe(immediate);
});
