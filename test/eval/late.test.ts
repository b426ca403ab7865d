// Late programs: delayed values that are parsed and lowered when they are asked for mean what they mean otherwise.

import { expect, test } from "vitest";
import { Evaluator, memoryIO } from "../../lib/eval/index.ts";
import { nodeBackend } from "../../lib/eval/node.ts";
import { diagnose } from "../../lib/eval/report.ts";
import { printValue } from "../../lib/eval/vm/print.ts";

const FILLER = Array.from({ length: 80 }, (_, i) => `    f${i} = toString (base + ${i});`).join("\n");
/** A package set: its values stand in a `with`, are many, and use every kind of scope around them. */
const SET = `{ base, extra ? { } }@args:
let twice = x: x * 2; inherit (extra) given; in
with { inWith = 7; base = throw "the with wins"; } // extra; rec {
${FILLER}
    app = twice (base + inWith);
    paren = (x: y: x + y) base (twice 1);
    cond = if base > 0 then given + inWith else throw "no";
    inner = let z = f3; in with { z2 = z; }; [ z z2 (args.base) ];
    sel = nested.deep.value;
    nested = { deep.value = twice inWith; };
    set = { inherit base inWith; list = map (v: v + base) [ 1 2 ]; };
    bad = (twice { }).missing;
    unknown = twice notThere;
}`;
const io = memoryIO({ files: { "/set.nix": SET, "/wrong.nix": SET.replace("twice (base", "twice ((base") } });
const BACKENDS = [
  ["closures", () => new Evaluator({ io })],
  ["JavaScript", () => new Evaluator({ io, backend: nodeBackend() })],
] as const;
const CALL = "(import /set.nix { base = 5; extra = { given = 100; }; })";

test.each(["app", "paren", "cond", "inner", "sel", "set", "f79", "builtins.attrNames"])("%s is the same", (name) => {
  const text = name.startsWith("builtins") ? `${name} ${CALL}` : `${CALL}.${name}`;
  const [late, whole] = BACKENDS.map(([, make]) => printValue(make().evaluate(text), { strict: true }));
  expect(late).toBe(whole);
});

test.each(["bad", "unknown"])("%s fails at the same place", (name) => {
  const [late, whole] = BACKENDS.map(([, make]) => {
    try {
      return printValue(make().evaluate(`builtins.deepSeq ${CALL}.${name} null`), { strict: true });
    } catch (error) {
      return { message: (error as Error).message, label: diagnose(error)?.labels[0]?.start };
    }
  });
  expect(late).toMatchObject({ message: expect.any(String) as string });
  expect(late).toEqual(whole);
});

test("a syntax error in a value that nobody asks for is one", () => {
  for (const [, make] of BACKENDS) expect(() => make().evaluate("import /wrong.nix")).toThrow("syntax error");
});
