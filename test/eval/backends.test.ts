// Both back ends give the same answer to every case of the language suite.

import { expect, test } from "vitest";
import { nodeBackend } from "../../lib/eval/node.ts";
import { caseKey, readCases, topics } from "../lang/cases.ts";
import { langEvaluator, runCase } from "../lang/run.ts";

test.each(topics())("%s", (topic) => {
  const closures = langEvaluator();
  const javascript = langEvaluator(nodeBackend());
  const different = readCases(topic)
    .filter(({ mode }) => mode !== "parse")
    .filter((entry) => {
      const [a, b] = [runCase(entry, javascript), runCase(entry, closures)];
      return JSON.stringify(a) !== JSON.stringify(b);
    })
    .map(({ mode, text }) => caseKey(mode, text));
  expect(different).toEqual([]);
});
