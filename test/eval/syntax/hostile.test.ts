// Source text made to break a parser: depth, size, and everything that has no end.

import { describe, expect, test } from "vitest";

import { DiagnosticError } from "../../../lib/eval/diagnostic.ts";
import { Source } from "../../../lib/eval/source.ts";
import { parse } from "../../../lib/eval/syntax/parser.ts";
import { printExpr } from "../../../lib/eval/syntax/printer.ts";

const DEPTH = 100_000;

function outcome(text: string): string {
  try {
    const { expr } = parse(Source.string(text), { pipeOperators: true });
    return printExpr(expr, { directory: "/", home: "/" }).length > 0 ? "parses" : "prints nothing";
  } catch (error) {
    if (error instanceof DiagnosticError) return error.code;
    throw error;
  }
}

describe("long runs cost no stack", () => {
  const runs: Record<string, string> = {
    "left operators": `1${" + 1".repeat(DEPTH)}`,
    "operators that are calls": `1${" - 1".repeat(DEPTH)}`,
    "right operators": `1${" ++ 1".repeat(DEPTH)}`,
    implications: `${"1 -> ".repeat(DEPTH)}1`,
    "prefix operators": `${"!".repeat(DEPTH)}1`,
    "minus signs": `${"- ".repeat(DEPTH)}1`,
    functions: `${"x: ".repeat(DEPTH)}1`,
    "functions of sets": `${"{ a, ... }: ".repeat(DEPTH)}1`,
    "else if": `${"if 1 then 2 else ".repeat(DEPTH)}3`,
    lets: `${"let a = 1; in ".repeat(DEPTH)}a`,
    withs: `${"with a; ".repeat(DEPTH)}a`,
    asserts: `${"assert a; ".repeat(DEPTH)}a`,
    arguments: `f${" a".repeat(DEPTH)}`,
    "path of a select": `a${".b".repeat(DEPTH)}`,
    "path of a binding": `{ ${"b.".repeat(500)}c = 1; }`,
    "interpolations in a row": `"${"${a}".repeat(DEPTH)}"`,
    items: `[${" 1".repeat(DEPTH)} ]`,
    bindings: `{ ${Array.from({ length: DEPTH }, (_, i) => `a${i} = 1;`).join(" ")} }`,
    dots: "a.".repeat(DEPTH) + "a",
    pipes: `1${" |> f".repeat(500)}`,
  };
  test.each(Object.keys(runs))("%s", (name) => {
    expect(outcome(runs[name] as string)).toBe("parses");
  });
});

const NESTED: Record<string, string> = {
  parentheses: "(".repeat(DEPTH) + "1" + ")".repeat(DEPTH),
  lists: "[".repeat(DEPTH) + "1" + "]".repeat(DEPTH),
  sets: "{a=".repeat(DEPTH) + "1" + ";}".repeat(DEPTH),
  interpolations: '"${'.repeat(DEPTH) + "1" + '}"'.repeat(DEPTH),
  "indented interpolations": "''${".repeat(DEPTH) + "1" + "}''".repeat(DEPTH),
  conditions: `${"if ".repeat(DEPTH)}1${" then 2 else 3".repeat(DEPTH)}`,
  defaults: `${"{ a ? ".repeat(DEPTH)}1${"}: 1".repeat(DEPTH)}`,
  "inherited sources": `${"{ inherit (".repeat(DEPTH)}1${"); }".repeat(DEPTH)}`,
  "dynamic names": `${"{ ${".repeat(DEPTH)}1${"} = 1; }".repeat(DEPTH)}`,
  "old lets": `${"let { body = ".repeat(DEPTH)}1${"; }".repeat(DEPTH)}`,
};

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
