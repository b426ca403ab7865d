// Sets of the language as names and values, for code that is not in a hurry.
import { type Attrs, attrsFromPairs } from "../eval/value/attrs.ts";
import { symbol, symbolName } from "../eval/value/symbol.ts";
import type { Value } from "../eval/value/value.ts";

/** The attributes of a set in bytewise order of their names. */
export function attrEntries(attrs: Attrs): [name: string, value: Value][] {
  const { shape, values } = attrs.flatten();
  return shape.keys.map((key, i) => [symbolName(key), values[i] as Value]);
}

/** The set of these attributes; those that are `undefined` are left out. */
export function attrSet(attributes: Readonly<Record<string, Value | undefined>>): Attrs {
  const present = Object.entries(attributes).filter((entry): entry is [string, Value] => entry[1] !== undefined);
  return attrsFromPairs(
    present.map(([name]) => symbol(name)),
    present.map(([, value]) => value),
  );
}
