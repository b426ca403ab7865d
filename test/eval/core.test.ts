// Small programs through the whole evaluator: the language without its libraries.

import { describe, expect, test } from "vitest";
import { Evaluator } from "../../lib/eval/evaluator.ts";
import { EvalError } from "../../lib/eval/error.ts";
import { printValue } from "../../lib/eval/vm/print.ts";

function run(text: string): string {
  try {
    return printValue(new Evaluator().evaluate(text), { strict: true });
  } catch (error) {
    if (error instanceof EvalError) return error.code;
    throw error;
  }
}

describe("programs", () => {
  const cases: readonly (readonly [string, string])[] = [
    ["1 + 1", "2"],
    ["rec { a = 1; b = a + 1; c = { inherit a; }; }", "{ a = 1; b = 2; c = { a = 1; }; }"],
    ["with { x = 1; }; x", "1"],
    ["with { a = 1; }; let a = 2; in a", "2"],
    ["let f = { a, b ? a + 1, ... }@args: [ a b args ]; in f { a = 1; c = 2; }", "[ 1 2 { a = 1; c = 2; } ]"],
    ["{ a.b.c = 1; }.a.b.c or 2", "1"],
    ["{ }.a.b or 5", "5"],
    ["let inherit ({ x = 3; }) x; in x", "3"],
    ["let a = b; b = c; c = 1; in a", "1"],
    [
      "rec { __overrides = { a = 5; d = 6; }; a = 1; b = a; }",
      "{ __overrides = { a = 5; d = 6; }; a = 5; b = 5; d = 6; }",
    ],
    ['{ ${"a" + "b"} = 1; ${null} = 2; }', "{ ab = 1; }"],
    ["(a: b: c: [ a b c ]) 1 2 3", "[ 1 2 3 ]"],
    ['builtins.tryEval (throw "a")', "{ success = false; value = false; }"],
    ["builtins.tryEval (assert false; 1)", "{ success = false; value = false; }"],
    ["let f = x: x; in [ ([ f ] == [ f ]) (f == f) ]", "[ true false ]"],
    ["let { a = 1; body = a; }", "1"],
    ["{ __functor = self: x: x + 1; } 1", "2"],
    ["let x = x; in x", "ERR_EVAL_INFINITE_RECURSION"],
    ["{ }.x", "ERR_EVAL_MISSING_ATTRIBUTE"],
    ["x", "ERR_EVAL_UNDEFINED_VARIABLE"],
    ["9223372036854775807 + 1", "ERR_EVAL_OVERFLOW"],
    ["({ a }: a) { }", "ERR_EVAL_CALL"],
    ["({ a }: a) { a = 1; b = 2; }", "ERR_EVAL_CALL"],
    ['builtins.tryEval (abort "a")', "ERR_EVAL_ABORT"],
    ['1 + "a"', "ERR_EVAL_TYPE"],
    ['"${1}"', "ERR_EVAL_COERCE"],
  ];
  test.each(cases)("%s", (text, answer) => {
    expect(run(text)).toBe(answer);
  });
});
