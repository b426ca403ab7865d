// What tryEval catches, how failures are kept, and what an error says; the answers are those of Nix 2.34.

import { describe, expect, test } from "vitest";
import { renderDiagnostic } from "../../lib/eval/diagnostic.ts";
import { EVAL_ERRORS, EvalError } from "../../lib/eval/error.ts";
import { CLOSURE_BACKEND, Evaluator } from "../../lib/eval/evaluator.ts";
import { nodeBackend } from "../../lib/eval/node.ts";
import { diagnose } from "../../lib/eval/report.ts";
import { printValue } from "../../lib/eval/vm/print.ts";
import { FAILURES } from "./failures.ts";

const BACKENDS = [
  ["closures", () => CLOSURE_BACKEND],
  ["javascript", () => nodeBackend()],
] as const;

describe.each(BACKENDS)("%s", (_name, backend) => {
  const run = (text: string): string => {
    try {
      const evaluator = new Evaluator({ backend: backend() });
      return evaluator.guard(() => printValue(evaluator.evaluate(text), { strict: true }));
    } catch (error) {
      return error instanceof EvalError ? error.code : String(error);
    }
  };

  test.each(FAILURES)("%s: %s", (code, text) => {
    expect(run(text)).toBe(code);
    // Inside tryEval: `success = false` when it is catchable, the same error when it is not.
    const caught = run(`(builtins.tryEval (${text})).success`);
    expect(caught).toBe(EVAL_ERRORS[code].catchable ? "false" : code);
  });

  test("a thunk that failed fails again the same way", () => {
    expect(run('let t = throw "x"; in [ (builtins.tryEval t) (builtins.tryEval t) ]')).toBe(
      "[ { success = false; value = false; } { success = false; value = false; } ]",
    );
    expect(run('let t = abort "x"; in (builtins.tryEval t).success || t')).toBe("ERR_EVAL_ABORT");
  });

  test("an error says where it is, how it got there, and what was meant", () => {
    const evaluator = new Evaluator({ backend: backend() });
    let shown = "";
    try {
      evaluator.evaluate("let f = set:\n  set.nmae + 1;\nin f { name = 2; }");
    } catch (error) {
      const diagnostic = diagnose(error);
      shown = diagnostic === undefined ? "" : renderDiagnostic(diagnostic);
    }
    expect(shown).toContain("attribute 'nmae' missing");
    expect(shown).toContain(":2:7");
    expect(shown).toContain("did you mean 'name'?");
    // The call is in the trace.
    expect(shown).toContain(":3:4");
  });

  test("a stack that is too deep is an error of the program", () => {
    expect(run("let f = n: 1 + f (n + 1); in f 0")).toBe("ERR_EVAL_STACK_OVERFLOW");
    expect(run("let f = n: { v = (f (n + 1)).v; }; in (f 0).v")).toBe("ERR_EVAL_STACK_OVERFLOW");
  });

  test("names from the source cannot reach JavaScript", () => {
    const names = ["__proto__", "constructor", "prototype", "this", "arguments", "eval", "toString", "hasOwnProperty"];
    for (const name of names) {
      expect(run(`let ${name} = 1; in { ${name} = ${name}; inherit ({ ${name} = 2; }) x; } ? ${name}`)).toBe("true");
      expect(run(`({ ${name} ? 3 }: ${name}) { }`)).toBe("3");
      expect(run(`{ }.${name} or 4`)).toBe("4");
    }
    expect(run('{ "`\\${x}`\\"); process.exit(1); (\\"" = 1; }.a or 5')).toBe("5");
    expect(run('builtins.stringLength "\\\\\\"); throw 1; //\u2028\n"')).not.toContain("SyntaxError");
  });

  test("text nested deeper than JavaScript allows is an answer or an error, quickly", () => {
    const deep = (open: string, middle: string, close: string): string =>
      open.repeat(3000) + middle + close.repeat(3000);
    for (const text of [
      deep("(1 + ", "1", ")"),
      deep("[", "", "]"),
      deep("{ a = ", "1", "; }"),
      deep("if true then ", "1", " else 2"),
      deep("let a = ", "1", "; in a"),
      deep('"${', '"a"', '}"'),
      deep("! ", "true", ""),
      deep("x: ", "x", ""),
      deep("{ } // ", "{ }", ""),
    ]) {
      expect(run(text)).toMatch(
        /^(?:3001|1|"a"|true|<LAMBDA>|\{.*\}|\[.*\]|ERR_EVAL_STACK_OVERFLOW|DiagnosticError.*)$/,
      );
    }
  });
});
