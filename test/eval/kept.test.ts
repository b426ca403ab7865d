// Closures that are not kept when they first run: what is compiled again, and from what.

import { expect, test } from "vitest";
import { closureBackend, type Diagnostic, Evaluator, memoryIO } from "../../lib/eval/index.ts";
import { toJs } from "../../lib/eval/convert.ts";
import type { Backend } from "../../lib/eval/evaluator.ts";

const FILE = `{ a, b ? a + 1, ... }@args:
with { unused = 1; };
let
  twice = x: x * 2;
  fact = n: if n < 2 then 1 else n * fact (n - 1);
in
rec {
  sum = twice a + b;
  late = map (n: fact (n + given)) [ 1 2 3 ];
  given = args.given or 0;
  fails = throw "sum is \${toString sum}";
}`;

/** A back end, and how often it was given the file's program. */
function counting(backend: Backend): { backend: Backend; made: () => number } {
  let made = 0;
  return {
    made: () => made,
    backend: {
      load: (unit, program, purpose) => {
        const count = (late: boolean): ReturnType<typeof program> => {
          if (purpose === "file") made++;
          return program(late);
        };
        return backend.load(unit, count, purpose);
      },
    },
  };
}

const CALLS = Array.from({ length: 5 }, (_, i) => `(f { a = ${i}; given = ${i}; })`);
const PROGRAM = `let f = import /f.nix; in map (r: [ r.sum r.late (builtins.tryEval r.fails) ]) [ ${CALLS.join(" ")} ]`;

test.each([
  [0, 2],
  [10, 1],
  [20_000, 1],
])("with %i kept at once, the file is read %i times", (kept, times) => {
  const { backend, made } = counting(closureBackend(kept));
  const told: Diagnostic[] = [];
  const io = memoryIO({ files: { "/f.nix": FILE } });
  const evaluator = new Evaluator({ io, backend, onDiagnostic: (diagnostic) => told.push(diagnostic) });
  const value = toJs(evaluator.evaluate(PROGRAM));
  expect(value).toEqual(toJs(new Evaluator({ io }).evaluate(PROGRAM)));
  expect(value).toContainEqual([10, [24, 120, 720], { success: false, value: false }]);
  expect(made()).toBe(times);
  expect(told.map(({ code }) => code)).toEqual(["WARN_UNUSED_WITH"]);
});
