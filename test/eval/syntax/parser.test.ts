// What the parser makes of a text: node shapes and spans. (What it means is compared with Nix in test/lang.)

import { fc } from "../../property.ts";
import { describe, expect, test } from "vitest";

import { bytesToLatin1, encodeUtf8, latin1ToBytes } from "../../../lib/base/text.ts";
import { DiagnosticError } from "../../../lib/eval/diagnostic.ts";
import { Source } from "../../../lib/eval/source.ts";
import { BindingKind, type Expr, Kind, PathBase } from "../../../lib/eval/syntax/ast.ts";
import { parse, type ParseOptions } from "../../../lib/eval/syntax/parser.ts";
import { printExpr } from "../../../lib/eval/syntax/printer.ts";

function expr(text: string, options?: ParseOptions): Expr {
  return parse(Source.string(text), options).expr;
}

function failure(text: string, options?: ParseOptions): DiagnosticError {
  try {
    parse(Source.string(text), options);
  } catch (error) {
    if (error instanceof DiagnosticError) return error;
    throw error;
  }
  throw new Error(`${text} parses`);
}

function spanOf(text: string, node: { start: number; end: number }): string {
  return text.slice(node.start, node.end);
}

describe("literals", () => {
  test("keep integers exact", () => {
    expect(expr("9007199254740991")).toMatchObject({ kind: Kind.Int, value: 9007199254740991 });
    expect(expr("9007199254740993")).toMatchObject({ kind: Kind.Int, value: 9007199254740993n });
    expect(expr("9223372036854775807")).toMatchObject({ value: 9223372036854775807n });
    expect(expr("00000000000000000000000000012")).toMatchObject({ value: 12 });
    expect(failure("9223372036854775808").code).toBe("ERR_PARSE_INT");
    expect(failure("1".repeat(100_000)).code).toBe("ERR_PARSE_INT");
  });

  test("know where paths start", () => {
    expect(expr("./a/b")).toMatchObject({ kind: Kind.Path, base: PathBase.Relative, text: "./a/b", parts: [] });
    expect(expr("/a")).toMatchObject({ base: PathBase.Absolute, text: "/a" });
    expect(expr("~/a")).toMatchObject({ base: PathBase.Home, text: "a" });
    expect(expr("<a/b>")).toMatchObject({ kind: Kind.SearchPath, name: "a/b" });
  });

  test("are bytes", () => {
    expect(expr('"é"')).toMatchObject({ kind: Kind.String, value: "\xc3\xa9" });
    expect(parse(Source.string(new Uint8Array([34, 255, 1, 34]))).expr).toMatchObject({ value: "\xff\x01" });
  });
});

describe("spans", () => {
  const cases: readonly (readonly [string, (root: never) => { start: number; end: number }, string])[] = [
    ["  1 + 2 ", (root: Expr) => root, "1 + 2"],
    ["(a b)", (root: Expr) => root, "a b"],
    ["f (x) y", (root: Expr) => root, "f (x) y"],
    ["a.b or c", (root: Expr) => root, "a.b or c"],
    ["{ a = 1; }", (root: Expr) => root, "{ a = 1; }"],
    ["rec { }", (root: Expr) => root, "rec { }"],
    ["let a = 1; in a", (root: Expr) => root, "let a = 1; in a"],
    ["if a then b else c ", (root: Expr) => root, "if a then b else c"],
    ["x: y: z", (root: Expr) => root, "x: y: z"],
    ["{ a, b ? 1 } @ c : d", (root: Expr) => root, "{ a, b ? 1 } @ c : d"],
    ["[ 1 2 ] # c", (root: Expr) => root, "[ 1 2 ]"],
    ["''a''  ", (root: Expr) => root, "''a''"],
    ['"a${b}"  ', (root: Expr) => root, '"a${b}"'],
    ["./a${b}/c ", (root: Expr) => root, "./a${b}/c"],
    ["a ? b.c ", (root: Expr) => root, "a ? b.c"],
    ["-a + b", (root: Expr & { left: Expr }) => root.left, "-a"],
    ["{ a.b = 1; }", (root: Expr & { bindings: Expr[] }) => root.bindings[0] as Expr, "a.b"],
    ["{ inherit (s) a; }", (root: Expr & { bindings: Expr[] }) => root.bindings[0] as Expr, "a"],
    ["{ inherit (s) a; }", (root: Expr & { sources: Expr[] }) => root.sources[0] as Expr, "s"],
    ["{ ${x} = 1; }", (root: Expr & { dynamics: Expr[] }) => root.dynamics[0] as Expr, "${x}"],
    ["x.y.${z}", (root: Expr & { path: Expr[] }) => root.path[1] as Expr, "${z}"],
  ];
  test.each(cases)("of %s", (text, pick, expected) => {
    expect(spanOf(text, pick(expr(text) as never))).toBe(expected);
  });

  test("of operators are where they stand", () => {
    expect(expr("1 ++ 2")).toMatchObject({ kind: Kind.Binary, at: 2 });
    expect(expr("a\n== b")).toMatchObject({ at: 2 });
  });
});

describe("sets", () => {
  test("merge, and number the sources they inherit from", () => {
    const set = expr("{ a = { inherit (x) p; }; a = { inherit (y) q; inherit z; }; }");
    expect(set).toMatchObject({
      bindings: [
        {
          name: "a",
          value: {
            bindings: [
              { name: "p", kind: BindingKind.InheritedFrom, value: { subject: { index: 0 } } },
              { name: "q", kind: BindingKind.InheritedFrom, value: { subject: { index: 1 } } },
              { name: "z", kind: BindingKind.Inherited },
            ],
            sources: [{ name: "x" }, { name: "y" }],
          },
        },
      ],
    });
  });

  test("of any size refuse a name twice, and say where it was first", () => {
    const many = Array.from({ length: 2000 }, (_, i) => `a${i} = ${i};`).join(" ");
    expect(expr(`{ ${many} }`)).toMatchObject({ kind: Kind.AttrSet });
    const error = failure(`{ ${many} a7 = 1; }`);
    expect(error.code).toBe("ERR_PARSE_DUPLICATE_ATTRIBUTE");
    expect(error.message).toBe("attribute 'a7' already defined at «string»:1:59");
    expect(error.diagnostic.labels).toHaveLength(2);
  });

  test("may use names that JavaScript objects have", () => {
    const names = ["__proto__", "constructor", "hasOwnProperty", "toString", "valueOf", "length"];
    const set = expr(`{ ${names.map((name) => `${name} = 1;`).join(" ")} }`);
    expect(set).toMatchObject({ bindings: names.map((name) => ({ name })) });
    expect(failure("{ __proto__ = 1; __proto__ = 2; }").code).toBe("ERR_PARSE_DUPLICATE_ATTRIBUTE");
    expect(expr("{ __proto__, constructor ? 1 }: __proto__")).toMatchObject({ kind: Kind.Lambda });
  });
});

describe("errors", () => {
  test("name what stands there, and point at it", () => {
    const { diagnostic, code } = failure("{ a = 1 }");
    expect(code).toBe("ERR_PARSE_UNEXPECTED");
    expect(diagnostic.message).toBe("syntax error, unexpected '}', expecting ';'");
    expect(diagnostic.labels[0]).toMatchObject({ start: 8, end: 9 });
  });

  test("of unterminated strings point at both ends", () => {
    const { diagnostic, code } = failure('  "abc');
    expect(code).toBe("ERR_PARSE_UNTERMINATED");
    expect(diagnostic.labels).toMatchObject([{ start: 6 }, { start: 2, text: "the string starts here" }]);
  });

  test("of what is not closed point at where it was opened", () => {
    const opened = (text: string): string | undefined => {
      const label = failure(text).diagnostic.labels[1];
      return label && `${text.slice(label.start, label.end)} ${label.start}`;
    };
    expect(opened("a (b")).toBe("( 2");
    expect(opened("a [ b")).toBe("[ 2");
    expect(opened("a { b = 1;")).toBe("{ 2");
    expect(opened("a rec { b = 1;")).toBe("rec 2");
    expect(opened("let a = 1;")).toBe("let 0");
    expect(opened('"a${b')).toBe("${ 2");
    expect(opened("(a ; b)")).toBe("( 0");
  });

  test("help with common slips", () => {
    expect(failure("{ a = 1 b = 2; }").diagnostic.help).toBe("is a ';' missing before 'b'?");
    expect(failure("a & b").diagnostic.help).toContain("&&");
    expect(failure("'a'").diagnostic.help).toContain("double quotes");
    expect(failure("or").diagnostic.help).toContain("keyword");
  });

  test("of pipes without the feature", () => {
    expect(failure("1 |> f").code).toBe("ERR_PARSE_PIPE_OPERATORS");
    expect(expr("1 |> f", { pipeOperators: true })).toMatchObject({ kind: Kind.Apply, args: [{ value: 1 }] });
  });
});

describe("warnings", () => {
  test.each([
    ["http://example.org", "WARN_URL_LITERAL"],
    ["{ inherit; }", "WARN_EMPTY_INHERIT"],
    ["let in 1", "WARN_EMPTY_LET"],
    ["let { body = 1; }", "WARN_LEGACY_LET"],
    ["[ f or ]", "WARN_OR_IDENTIFIER"],
    ["g f or", "WARN_OR_IDENTIFIER"],
  ])("%s", (text, code) => {
    expect(parse(Source.string(text)).warnings.map((warning) => warning.code)).toEqual([code]);
  });

  test.each(["f or", "f or x", "a.b or c", '"http://x"', "let a = 1; in a"])("none for %s", (text) => {
    expect(parse(Source.string(text)).warnings).toEqual([]);
  });
});

describe("any text", () => {
  const fragment = fc.constantFrom(
    ..."{ } ( ) [ ] ; : , @ . ... = ? ! - + * / ++ // == != < > <= >= && || -> |> <| \" '' ${ $ ' \\ # /* */".split(
      " ",
    ),
    ..." \n a b or if then else let in rec with assert inherit 1 2.5 .5 a/b ./c ~/d <e> x:y __curPos é \0".split(" "),
  );

  test("gives a tree or an error with a place inside of it", () => {
    fc.assert(
      fc.property(fc.array(fragment, { maxLength: 30 }), fc.boolean(), (pieces, spaced) => {
        const source = Source.string(pieces.join(spaced ? " " : ""));
        try {
          const root = parse(source, { pipeOperators: true }).expr;
          expect(root.end).toBeLessThanOrEqual(source.text.length);
        } catch (error) {
          if (!(error instanceof DiagnosticError)) throw error;
          const label = error.diagnostic.labels[0];
          expect(label?.end).toBeLessThanOrEqual(source.text.length);
        }
      }),
      { numRuns: 2000 },
    );
  });

  test("that parses prints as a text that parses, and soon to itself", () => {
    const options = { directory: "/", home: "/home" };
    // What is printed has one char per byte.
    const reprint = (text: string): string =>
      printExpr(parse(Source.string(latin1ToBytes(text)), { pipeOperators: true }).expr, options);
    fc.assert(
      fc.property(fc.array(fragment, { maxLength: 12 }), (pieces) => {
        let printed: string;
        try {
          printed = reprint(bytesToLatin1(encodeUtf8(pieces.join(" "))));
        } catch (error) {
          if (error instanceof DiagnosticError) return;
          throw error;
        }
        const again = reprint(printed);
        expect(reprint(again)).toBe(again);
      }),
      { numRuns: 3000 },
    );
  });
});
