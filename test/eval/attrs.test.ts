// Sets: layers, patched copies and merged positions against a model that copies everything.

import { fc } from "../property.ts";
import { expect, test } from "vitest";
import { type Attrs, attrsFromMap, updateAttrs } from "../../lib/eval/value/attrs.ts";
import { symbol, symbolName } from "../../lib/eval/value/symbol.ts";
import type { Value } from "../../lib/eval/value/value.ts";

type Model = Map<string, number>;

function fromModel(model: Model): Attrs {
  return attrsFromMap(new Map([...model].map(([name, value]) => [symbol(name), value as Value])));
}

function toModel(attrs: Attrs): [string, Value][] {
  const { shape, values } = attrs.flatten();
  return shape.keys.map((key, i) => [symbolName(key), values[i] as Value]);
}

const names = fc.integer({ min: 0, max: 120 }).map((n) => `n${n}`);
const small = fc.array(fc.tuple(names, fc.integer()), { maxLength: 6 });
const large = fc.array(fc.tuple(names, fc.integer()), { minLength: 0, maxLength: 150 });

test("any sequence of updates reads as the model does, whenever it is looked at", () => {
  fc.assert(
    fc.property(
      large,
      fc.array(fc.oneof(small, large), { maxLength: 12 }),
      fc.array(fc.nat(11)),
      (start, updates, looks) => {
        let model: Model = new Map(start);
        let attrs = fromModel(model);
        updates.forEach((update, i) => {
          const right: Model = new Map(update);
          const before = attrs;
          attrs = updateAttrs(attrs, fromModel(right));
          if (i % 3 === 2) attrs = updateAttrs(attrs, before.size > 60 ? fromModel(right) : attrs);
          model = new Map([...model, ...right]);
          for (const name of ["n0", "n7", "n119"]) expect(attrs.get(symbol(name))).toBe(model.get(name));
          if (looks.includes(i)) expect(attrs.size).toBe(model.size);
        });
        expect(toModel(attrs)).toEqual([...model].sort(([a], [b]) => (a < b ? -1 : 1)));
      },
    ),
  );
});

test("a layered set updated with itself is itself", () => {
  const base = fromModel(new Map(Array.from({ length: 100 }, (_, i) => [`k${i}`, i])));
  const layered = updateAttrs(base, fromModel(new Map([["x", 1]])));
  expect(toModel(updateAttrs(layered, layered))).toEqual(toModel(layered));
});
