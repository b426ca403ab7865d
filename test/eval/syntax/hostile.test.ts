// Source text made to break a parser: depth, size, and everything that has no end.

import { describe, expect, test } from "vitest";

import { DiagnosticError } from "../../../lib/eval/diagnostic.ts";
import { Source } from "../../../lib/eval/source.ts";
import { parse } from "../../../lib/eval/syntax/parser.ts";
import { printExpr } from "../../../lib/eval/syntax/printer.ts";
import { DEPTH, NESTED, RUNS } from "../hostile-texts.ts";

function outcome(text: string): string {
  try {
    const { expr } = parse(Source.string(text), { pipeOperators: true });
    return printExpr(expr, { directory: "/", home: "/" }).length > 0 ? "parses" : "prints nothing";
  } catch (error) {
    if (error instanceof DiagnosticError) return error.code;
    throw error;
  }
}

/** Runs that make a tree that is deep as well. */
const DEEP = new Set(["path of a binding", "dynamic path of a binding", "fallbacks", "pipes", "pipes to the left"]);

describe("long runs cost no stack", () => {
  test.each(Object.keys(RUNS))("%s", (name) => {
    expect(outcome(RUNS[name] as string)).toBe(DEEP.has(name) ? "ERR_PARSE_TOO_DEEP" : "parses");
  });
});

describe("deep nesting on a small stack is an error or a result", () => {
  test.each(Object.keys(NESTED))("%s", (name) => {
    expect(["parses", "ERR_PARSE_TOO_DEEP"]).toContain(outcome(NESTED[name] as string));
  });

  test("and so is what never closes", () => {
    for (const open of ["(", "[", "{ a = ", '"${', "''${", "if ", "x.${", "{ inherit ("]) {
      expect(outcome(open.repeat(DEPTH))).toMatch(/^ERR_PARSE_/);
    }
  });
});

test("unterminated everything is an error", () => {
  const openings = [
    '"',
    "''",
    '"${',
    '"${"',
    "/*",
    "/* *",
    "{",
    "{ a",
    "{ a =",
    "{ a = 1",
    "{ a,",
    "{ a ?",
    "(",
    "[",
    "let",
  ];
  openings.push(
    "let a = 1;",
    "if 1",
    "if 1 then 1",
    "with 1",
    "assert 1;",
    "x:",
    "x@",
    "a.",
    "a ?",
    "1 +",
    "./",
    "<a",
    "~",
    "rec",
  );
  openings.push("inherit", "{ inherit", "{ inherit (", "''''$", "''\\", '"\\', "''''\\", '"$', "''$", "''a'");
  for (const text of openings) expect([text, outcome(text)]).toEqual([text, expect.stringMatching(/^ERR_PARSE_/)]);
});

test("strange bytes are invalid outside of strings and bytes inside", () => {
  for (const byte of [0, 1, 7, 11, 12, 27, 127, 128, 160, 194, 255]) {
    const char = String.fromCharCode(byte);
    const raw = (text: string): Source => Source.stdin(text);
    expect(() => parse(raw(`1 ${char}`))).toThrow(DiagnosticError);
    if (byte === 0) {
      for (const text of [`"a${char}"`, `''a${char}''`, `"\\${char}"`]) expect(outcome(text)).toBe("ERR_PARSE_NUL");
    } else {
      expect(parse(raw(`"${char}"`)).expr).toMatchObject({ value: char });
      expect(parse(raw(`''${char}''`)).expr).toMatchObject({ value: char });
    }
    expect(parse(raw(`1 # ${char}`)).expr).toMatchObject({ value: 1 });
    expect(parse(raw(`/* ${char} */ 1`)).expr).toMatchObject({ value: 1 });
  }
  expect(() => parse(Source.string("\ufeff1"))).toThrow(DiagnosticError);
});

test("a long repetition of anything is read in one pass", () => {
  const units = [
    "a.",
    "a+",
    "a-",
    "1.",
    "a'",
    "/*",
    "'' ",
    '"',
    "$",
    "a:",
    "<a",
    "-",
    "/a ",
    "../",
    "a/b ",
    "[]",
    "x/",
  ];
  for (const unit of units) expect([unit, outcome(unit.repeat(100_000))]).toEqual([unit, expect.any(String)]);
});

test("a string of 100 MB", () => {
  const body = "x".repeat(100_000_000);
  expect(parse(Source.stdin(`"${body}"`)).expr).toMatchObject({ end: body.length + 2 });
});
