// What people read when an evaluation fails: the whole text, which is the same whatever back end met the error.

import { describe, expect, test } from "vitest";
import { renderDiagnostic } from "../../lib/eval/diagnostic.ts";
import { CLOSURE_BACKEND, Evaluator } from "../../lib/eval/evaluator.ts";
import { memoryIO } from "../../lib/eval/io/memory.ts";
import { nodeBackend } from "../../lib/eval/node.ts";
import { diagnose } from "../../lib/eval/report.ts";
import { Source } from "../../lib/eval/source.ts";
import { forceDeep } from "../../lib/eval/vm/print.ts";

const PROGRAM = `{ name, count ? 1 }:
let
  helper = x: x + count;
  config = { greeting = "hello"; };
in {
  coerced = helper name;
  misspelt = config.greting;
  condition = if name then 1 else 2;
  endless = let x = x + 1; in x;
  mapped = map (item: item.foo) [ { foo = 1; } { fo = 2; } ];
  builtin = builtins.substring 0 "x" "abc";
  nested = builtins.foldl' (sum: n: if n == 3 then throw "three" else sum + n) 0 [ 1 2 3 ];
  pattern = ({ a, b ? a }: a.c) { a = { }; };
  unknown = with config; greetin;
  derived = (derivation { name = "n"; system = 1; builder = "b"; }).outPath;
}
`;

/** The text for the error of one attribute. */
function explain(backend: Evaluator, attr: string): string {
  const work = (evaluator: Evaluator): void =>
    forceDeep(evaluator.evaluate(Source.string(`(import /f.nix { name = "x"; }).${attr}`)));
  try {
    work(backend);
    return "no error";
  } catch (error) {
    const diagnostic = diagnose(backend.explain(error, work));
    return diagnostic === undefined ? String(error) : renderDiagnostic(diagnostic);
  }
}

const io = memoryIO({ files: { "/f.nix": PROGRAM } });

describe.each([
  ["closures", () => CLOSURE_BACKEND],
  ["JavaScript", () => nodeBackend()],
])("errors of %s", (_, backend) => {
  test.each([
    "coerced",
    "misspelt",
    "condition",
    "endless",
    "mapped",
    "builtin",
    "nested",
    "pattern",
    "unknown",
    "derived",
  ])("%s", async (attr) => {
    const text = explain(new Evaluator({ io, backend: backend() }), attr);
    await expect(`${text}\n`).toMatchFileSnapshot(`../data/eval/errors/${attr}.txt`);
  });
});

test("an error is the first one when the second attempt ends otherwise", () => {
  let attempts = 0;
  const evaluator = new Evaluator();
  const work = (again: Evaluator): void => {
    again.evaluate(`throw "attempt ${++attempts}"`);
  };
  let first: unknown;
  try {
    work(evaluator);
  } catch (error) {
    first = error;
  }
  expect(evaluator.explain(first, work)).toBe(first);
  expect(attempts).toBe(2);
});

test("messages of the second attempt are not shown", () => {
  const said: string[] = [];
  const evaluator = new Evaluator({ onMessage: (_, text) => said.push(text) });
  const work = (again: Evaluator): void => {
    again.evaluate('builtins.trace "once" (throw "x")');
  };
  try {
    work(evaluator);
  } catch (error) {
    evaluator.explain(error, work);
  }
  expect(said).toEqual(["once"]);
});

test("of very many frames the innermost and the outermost are kept", () => {
  const evaluator = new Evaluator();
  const work = (again: Evaluator): void => {
    again.evaluate('let f = n: if n == 0 then throw "deep" else 1 + f (n - 1); in f 500');
  };
  try {
    work(evaluator);
  } catch (error) {
    const text = renderDiagnostic(diagnose(evaluator.explain(error, work)) as never);
    expect(text).toContain("while calling 'f' with n = 0 ");
    expect(text).toContain("frames are left out here");
    expect(text).toContain("while calling 'f' with n = 500 ");
  }
});

test.each([
  ["1 == 2", "1 == 2", "an integer: 1 is not equal to an integer: 2"],
  ["(1 == 2)", "(1 == 2)", "an integer: 1 is not equal to an integer: 2"],
  ["  [ 1 ]\n    == [ 1 2 ] ", "[ 1 ] == [ 1 2 ]", "one list has 1 elements, the other 2"],
  ["{ a = 1; } == { }", "{ a = 1; } == { }", "the attribute a is only in the left set"],
  ["{ } == { a = 1; }", "{ } == { a = 1; }", "the attribute a is only in the right set"],
  [
    '{ a.b = [ 1 { "c d" = "x"; } ]; } == { a.b = [ 1 { "c d" = null; } ]; }',
    undefined,
    'at a.b[1]."c d": a string: "x" is not equal to null',
  ],
  ["(x: x) == (x: x)", "(x: x) == (x: x)", "a function: «lambda"],
  ["true && (1 != 1)", "true && (1 != 1)", undefined],
])("a failed assertion shows its condition and what differs: %s", (condition, shown, difference) => {
  const work = (evaluator: Evaluator): void => {
    evaluator.evaluate(Source.string(`assert ${condition}; 1`));
  };
  const evaluator = new Evaluator({ backend: nodeBackend() });
  let error: unknown;
  try {
    work(evaluator);
  } catch (failure) {
    error = evaluator.explain(failure, work);
  }
  const diagnostic = diagnose(error);
  expect(diagnostic?.message).toBe(`assertion '${shown ?? condition}' failed`);
  const notes = diagnostic?.notes?.join("\n") ?? "";
  if (difference === undefined) expect(notes).toBe("");
  else expect(notes).toContain(difference);
});

test.each([
  ["1 < null", "cannot compare an integer with null; values are 1 and null"],
  [
    "{ a = 1; } < { }",
    "cannot compare a set with a set; values of that type are incomparable (values are { a = 1; } and { })",
  ],
  ['"${let f = x: x; in f}"', "cannot coerce a function to a string: «lambda f @ «string»:1:12»"],
  [
    '"${builtins.add 1}"',
    "cannot coerce the partially applied built-in function 'add' to a string: «partially applied primop add»",
  ],
])("the values are in the message: %s", (expression, message) => {
  const evaluator = new Evaluator({ backend: nodeBackend() });
  let error: unknown;
  try {
    evaluator.evaluate(expression);
  } catch (failure) {
    error = failure;
  }
  expect(diagnose(error)?.message).toBe(message);
});
