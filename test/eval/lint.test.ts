// What the compiler says of programs that mean something else than they seem to.

import { describe, expect, test } from "vitest";
import { Evaluator } from "../../lib/eval/evaluator.ts";
import { renderDiagnostic } from "../../lib/eval/diagnostic.ts";
import { Source } from "../../lib/eval/source.ts";

/** The codes of the warnings about an expression, in order. */
function warnings(text: string): string[] {
  return new Evaluator().warnings(Source.string(text)).map(({ code }) => code);
}

describe("inherit", () => {
  test("in a let it has no effect on a name that is bound already", () => {
    expect(warnings("x: let inherit x; in x")).toEqual(["WARN_USELESS_INHERIT"]);
    expect(warnings("let inherit map; in map")).toEqual(["WARN_USELESS_INHERIT"]);
  });

  test.each([
    "x: { inherit x; }",
    "x: rec { inherit x; }",
    "x: let inherit (x) y; in y",
    "s: with s; let inherit x; in x",
  ])("%s has an effect", (text) => expect(warnings(text)).toEqual([]));
});

describe("with", () => {
  test.each(["s: with s; 1", "s: x: with s; x", "s: with s; map", "s: x: with s; x: x"])(
    "%s looks nothing up",
    (text) => expect(warnings(text)).toEqual(["WARN_UNUSED_WITH"]),
  );

  test.each(["s: with s; x", "s: t: with s; with t; x", "s: with s; { inherit x; }", "s: with s; let y = x; in y"])(
    "%s looks something up",
    (text) => expect(warnings(text)).toEqual([]),
  );

  test("does not win over what is bound around it", () => {
    expect(warnings("x: with { x = 1; y = 2; }; x + y")).toEqual(["WARN_SHADOWED_WITH"]);
    expect(warnings("with { map = 1; y = 2; }; [ map y ]")).toEqual(["WARN_SHADOWED_WITH"]);
    expect(warnings("with { x = 1; y = 2; }; let x = 3; in x + y")).toEqual([]);
    const [warning] = new Evaluator().warnings(Source.string("x:\nwith { x = 1; y = 2; };\nx + y"));
    expect(renderDiagnostic(warning as never)).toBe(
      [
        "warning: 'x' does not come from the 'with': a binding around the 'with' comes first",
        " --> «string»:3:1",
        "  |",
        "1 | x:",
        "  | ^ but this one",
        "2 | with { x = 1; y = 2; };",
        "  |        ^ not this one",
        "3 | x + y",
        "  | ^",
        "  = help: bind 'x' with 'let', or write out the set it is in",
      ].join("\n"),
    );
  });
});

test("what the parser notices is among the warnings", () => {
  expect(warnings("http://example.org/x")).toEqual(["WARN_URL_LITERAL"]);
  expect(warnings("let in 1")).toEqual(["WARN_EMPTY_LET"]);
});

test("text nested too deeply to look at is no error", () => {
  expect(warnings(`${"(x: ".repeat(900)}let inherit x; in x${")".repeat(900)}`)).toEqual(["WARN_USELESS_INHERIT"]);
  const deep = `${"x: ".repeat(200_000)}x`;
  expect(warnings(deep)).toEqual([]);
});
