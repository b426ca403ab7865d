// Hostile programs, run: whatever the text, there is a value or an error of a known kind, on each back end.

import { describe, expect, test } from "vitest";
import { DiagnosticError } from "../../lib/eval/diagnostic.ts";
import { EvalError } from "../../lib/eval/error.ts";
import { CLOSURE_BACKEND, Evaluator } from "../../lib/eval/evaluator.ts";
import { nodeBackend } from "../../lib/eval/node.ts";
import { Source } from "../../lib/eval/source.ts";
import { forceDeep, printValue } from "../../lib/eval/vm/print.ts";
import { DEPTH, NESTED, RUNS } from "./hostile-texts.ts";

/** Each with the length of string to try: JavaScript text is made of small sources only. */
const BACKENDS = [
  ["closures", () => CLOSURE_BACKEND, 100_000_000],
  ["JavaScript", () => nodeBackend({ javascriptLimit: Number.POSITIVE_INFINITY }), 10_000_000],
] as const;

/** Words that mean something in JavaScript, of which none may mean anything here. */
const WORDS =
  "__proto__ constructor prototype arguments eval this super new delete typeof void yield await async function class var const return throw try catch finally switch case default break continue do while for debugger export extends static public enum null undefined NaN Infinity globalThis process require module exports hasOwnProperty valueOf toString __defineGetter__ Thunk Lambda force rt C I P K L R v0 e g0 h0 y0".split(
    " ",
  );

describe.each(BACKENDS)("%s", (_, backend, long) => {
  /** How a program ends. */
  const run = (text: string | Source): string => {
    const evaluator = new Evaluator({ backend: backend(), settings: { features: new Set(["pipe-operators"]) } });
    try {
      return evaluator.guard(() => {
        const value = evaluator.evaluate(text);
        forceDeep(value);
        return printValue(value, { strict: true });
      });
    } catch (error) {
      if (error instanceof EvalError || error instanceof DiagnosticError) return error.code;
      throw error;
    }
  };
  const ANSWERS: Readonly<Record<string, RegExp>> = {
    "left operators": /^100001$/,
    "operators that are calls": /^-99999$/,
    functions: /^<LAMBDA>$/,
    parentheses: /^1$/,
    lets: /^1$/,
  };

  test.each([...Object.keys(RUNS), ...Object.keys(NESTED)])("100 000 of %s", (name) => {
    const outcome = run((RUNS[name] ?? NESTED[name]) as string);
    if (!outcome.startsWith("ERR_")) expect(outcome).toMatch(ANSWERS[name] ?? /./);
    else expect(outcome).toMatch(/^ERR_(EVAL_|PARSE_TOO_DEEP)/);
  });

  test("words of JavaScript are names like others", () => {
    const free = WORDS.filter((word) => word !== "null" && word !== "toString" && word !== "throw" && word !== "break");
    for (const word of free) {
      expect([word, run(`let ${word} = 1; in ${word} + 1`)]).toEqual([word, "2"]);
      expect([word, run(`(${word}: y: ${word} + y) 1 2`)]).toEqual([word, "3"]);
      expect([word, run(`with { ${word} = 4; }; ${word}`)]).toEqual([word, "4"]);
      expect([word, run(word)]).toEqual([word, "ERR_EVAL_UNDEFINED_VARIABLE"]);
    }
    for (const word of WORDS) {
      expect([word, run(`{ "${word}" = 5; }."${word}"`)]).toEqual([word, "5"]);
      expect([word, run(`{ } ? "${word}"`)]).toEqual([word, "false"]);
      expect([word, run(`rec { "${word}" = 6; x = 1; }."${word}"`)]).toEqual([word, "6"]);
      expect([word, run(`builtins.attrNames (builtins.fromJSON ''{"${word}":1}'')`)]).toEqual([word, `[ "${word}" ]`]);
    }
  });

  test("text that would be JavaScript stays text", () => {
    for (const text of [
      "`${1}`",
      '\\"); process.exit(9); (\\"',
      "*/ process.exit(9) /*",
      "\u2028process.exit(9)",
      "</script>",
    ]) {
      const [quoted, shown] = [`"${text.replaceAll("${", "\\${")}"`, expect.stringContaining("exit")];
      expect(run(`{ a = ${quoted}; b = { ${quoted} = 1; }.${quoted}; }`)).toEqual(
        text.includes("exit") ? shown : expect.stringContaining("b = 1"),
      );
    }
  });

  test("bytes that are no UTF-8 go through", () => {
    const bytes = Uint8Array.from([34, 255, 192, 128, 34]);
    expect(run(Source.stdin(bytes))).toBe('"\xff\xc0\x80"');
    const name = Source.stdin('{ "\xff\xfe" = 1; }');
    expect(run(name)).toBe('{ "\xff\xfe" = 1; }');
    expect(run(Source.stdin('"a\0b"'))).toBe("ERR_PARSE_NUL");
  });

  test(`a string of ${long} bytes`, () => {
    expect(run(Source.stdin(`builtins.stringLength "${"x".repeat(long)}"`))).toBe(String(long));
  });

  test("what never ends is found out", () => {
    expect(run("let x = x; in x")).toBe("ERR_EVAL_INFINITE_RECURSION");
    expect(run("let s = { a = s.b; b = s.a; }; in s.a")).toBe("ERR_EVAL_INFINITE_RECURSION");
    expect(run("let f = x: f x; in f 1")).toBe("ERR_EVAL_STACK_OVERFLOW");
    expect(run(`builtins.foldl' (f: i: x: f (x + i)) (x: x) (builtins.genList (i: i) ${DEPTH}) 0`)).toMatch(
      /^(4999950000|ERR_EVAL_STACK_OVERFLOW)$/,
    );
  });
});
