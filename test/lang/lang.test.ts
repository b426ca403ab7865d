// Every language case against the recorded answer of C++ Nix 2.34 (see cases.ts for the form of the files).

import { describe, expect, test } from "vitest";

import { closureBackend } from "../../lib/eval/evaluator.ts";
import { nodeBackend } from "../../lib/eval/node.ts";
import { caseKey, readCases, readGolden, readPending, topics } from "./cases.ts";
import { compareTopic } from "./run.ts";

const pending = readPending();

const backends = {
  closures: closureBackend(0),
  JavaScript: nodeBackend({ javascriptLimit: Number.POSITIVE_INFINITY }),
};

for (const topic of topics()) {
  describe(topic, () => {
    test("has a recorded answer for each case and no other", () => {
      const keys = readCases(topic).map((entry) => caseKey(entry.mode, entry.text));
      expect([...readGolden(topic).keys()].sort()).toEqual(keys.sort());
    });

    test.each(Object.entries(backends))("agrees with Nix on %s, but for what is pending", (_, backend) => {
      expect(compareTopic(topic, backend).filter(({ key }) => !pending.has(key))).toEqual([]);
    });
  });
}

test("what is pending fails", () => {
  const failing = new Set(topics().flatMap((topic) => compareTopic(topic).map(({ key }) => key)));
  expect(
    [...pending].filter((key) => !failing.has(key)),
    "these pass or are gone: remove them from pending.txt",
  ).toEqual([]);
});
