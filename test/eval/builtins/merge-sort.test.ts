// The sort behind builtins.sort against JavaScript's own.

import { fc } from "../../property.ts";
import { expect, test } from "vitest";
import { mergeSort } from "../../../lib/eval/builtins/merge-sort.ts";

test("sorts as Array.prototype.sort does, equal items in their order", () => {
  const items = fc.array(fc.tuple(fc.nat(20), fc.nat()), { maxLength: 200 });
  fc.assert(
    fc.property(items, (list) => {
      expect(mergeSort([...list], ([a], [b]) => a < b)).toEqual(list.toSorted(([a], [b]) => a - b));
    }),
    { numRuns: 300 },
  );
});

test("asks little of what is sorted already", () => {
  let asked = 0;
  mergeSort(
    Array.from({ length: 10_000 }, (_, i) => i),
    (a, b) => {
      asked++;
      return a < b;
    },
  );
  expect(asked).toBeLessThan(10_000);
});

test("ends whatever the answers are", () => {
  const list = Array.from({ length: 1000 }, (_, i) => i);
  for (const answer of [() => true, () => false, (a: number, b: number) => (a * 7 + b * 3) % 5 < 2]) {
    expect(mergeSort([...list], answer).toSorted((a, b) => a - b)).toEqual(list);
  }
});
