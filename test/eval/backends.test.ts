// Both back ends give the same answer to every case of the language suite; what only compiled JavaScript can get wrong.

import { setImmediate } from "node:timers/promises";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { expect, test } from "vitest";
import { diagnose } from "../../lib/eval/report.ts";
import { Evaluator, memoryIO } from "../../lib/eval/index.ts";
import { nodeBackend } from "../../lib/eval/node.ts";
import { caseKey, readCases, topics } from "../lang/cases.ts";
import { evaluatorsFor, runCase } from "../lang/run.ts";

test.each(topics())("%s", (topic) => {
  const closures = evaluatorsFor();
  const javascript = evaluatorsFor(nodeBackend());
  const different = readCases(topic)
    .filter(({ mode }) => mode !== "parse")
    .filter((entry) => {
      const [a, b] = [runCase(entry, javascript(entry)), runCase(entry, closures(entry))];
      return JSON.stringify(a) !== JSON.stringify(b);
    })
    .map(({ mode, text }) => caseKey(mode, text));
  expect(different).toEqual([]);
});

test("an error has its place after the code it came from was collected", async () => {
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void;
  const io = memoryIO({
    files: { "/failing.nix": "let\n  set = { };\nin { value = set.missing; other = 1; }.value\n" },
  });
  // Nothing of the evaluator is left when the error is shown.
  const error = ((): unknown => {
    try {
      return new Evaluator({ io, backend: nodeBackend() }).evaluate("import /failing.nix");
    } catch (failure) {
      // Whoever reads the stack, a logger for one, lets go of the functions in it.
      expect((failure as Error).stack).toMatch(/nix:[0-9a-f]+:/);
      return failure;
    }
  })();
  for (let i = 0; i < 5; i++) {
    await setImmediate();
    collect();
  }
  const [label] = diagnose(error)?.labels ?? [];
  expect(label?.source.name).toBe("/failing.nix");
});
