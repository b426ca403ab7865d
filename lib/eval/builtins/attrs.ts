// Built-in functions on attribute sets.

import { type Attrs, attrsFromPairs, borrowPositions, EMPTY_ATTRS, pickSlots } from "../value/attrs.ts";
import { Attrs as AttrsClass, type Positions } from "../value/attrs.ts";
import { type FormalInfo, Lambda, PrimOp, PrimOpApp } from "../value/function.ts";
import { internShape } from "../value/shape.ts";
import { knownSymbol, type Sym, symbol, symbolName } from "../value/symbol.ts";
import { force } from "../value/thunk.ts";
import type { Value, Whnf } from "../value/value.ts";
import { delayCall2 } from "../vm/call.ts";
import { demandAttr, forceAttrs, forceFunction, forceList, forcePlainString, typeError } from "../vm/demand.ts";
import { noAttribute } from "../vm/operate.ts";
import { positionAttrs } from "../vm/unit.ts";
import { type Builtin, define } from "./define.ts";

const NAME = symbol("name");
const VALUE = symbol("value");

function removeAttrs(argument: Value, names: Value): Whnf {
  const set = forceAttrs(argument, "the first argument passed to builtins.removeAttrs");
  const list = forceList(names, "the second argument passed to builtins.removeAttrs");
  const removed = new Set<Sym>();
  for (const name of list) {
    const key = knownSymbol(forcePlainString(name, "the values of the second argument passed to builtins.removeAttrs"));
    if (key !== undefined && set.has(key)) removed.add(key);
  }
  if (removed.size === 0) return set;
  const keys = set.flatten().shape.keys;
  const slots: number[] = [];
  for (let i = 0; i < keys.length; i++) if (!removed.has(keys[i] as Sym)) slots.push(i);
  return pickSlots(set, slots);
}

function intersectAttrs(first: Value, second: Value): Whnf {
  const left = forceAttrs(first, "the first argument passed to builtins.intersectAttrs");
  const right = forceAttrs(second, "the second argument passed to builtins.intersectAttrs");
  const keys: Sym[] = [];
  const values: Value[] = [];
  const [small, large] = left.flatten().shape.size <= approximateSize(right) ? [left, right] : [right, left];
  for (const key of small.flatten().shape.keys) {
    if (!large.has(key)) continue;
    keys.push(key);
    values.push(right.get(key) as Value);
  }
  if (keys.length === 0) return EMPTY_ATTRS;
  return new AttrsClass(internShape(keys), values, null, { find: (slot) => right.positionOf(keys[slot] as Sym) });
}

function approximateSize(set: Attrs): number {
  return set.shape.size + (set.base === null ? 0 : set.base.shape.size);
}

function listToAttrs(argument: Value): Whnf {
  const list = forceList(argument, "the argument passed to builtins.listToAttrs");
  const found = new Map<Sym, Attrs>();
  const values: Value[] = [];
  const where = "an element of the list passed to builtins.listToAttrs";
  for (const item of list) {
    const pair = forceAttrs(item, where);
    const name = demandAttr(pair, NAME, "name", where);
    const key = symbol(
      forcePlainString(name, "the `name` attribute of an element of the list passed to builtins.listToAttrs"),
    );
    if (found.has(key)) continue;
    values.push(demandAttr(pair, VALUE, "value", where));
    found.set(key, pair);
  }
  if (values.length === 0) return EMPTY_ATTRS;
  const set = attrsFromPairs([...found.keys()], values);
  const pairs = set.shape.keys.map((key) => found.get(key) as Attrs);
  return new AttrsClass(set.shape, set.values, null, borrowPositions(pairs, VALUE));
}

function mapAttrs(f: Value, argument: Value): Whnf {
  const set = forceAttrs(argument, "the second argument passed to builtins.mapAttrs");
  const { shape, values } = set.flatten();
  const results = values.map((value, i) => delayCall2(f, symbolName(shape.keys[i] as Sym), value));
  // The results have no positions: they were not written where the set's values were.
  return new AttrsClass(shape, results, null, null);
}

function zipAttrsWith(f: Value, argument: Value): Whnf {
  const callee = forceFunction(f, "the first argument passed to builtins.zipAttrsWith");
  const list = forceList(argument, "the second argument passed to builtins.zipAttrsWith");
  const found = new Map<Sym, Value[]>();
  for (const item of list) {
    const { shape, values } = forceAttrs(
      item,
      "a value of the list passed as second argument to builtins.zipAttrsWith",
    ).flatten();
    for (let i = 0; i < values.length; i++) {
      const key = shape.keys[i] as Sym;
      const group = found.get(key);
      if (group === undefined) found.set(key, [values[i] as Value]);
      else group.push(values[i] as Value);
    }
  }
  return attrsFromPairs(
    [...found.keys()],
    [...found].map(([key, group]) => delayCall2(callee, symbolName(key), group)),
  );
}

function catAttrs(name: Value, list: Value): Whnf {
  const key = symbol(forcePlainString(name, "the first argument passed to builtins.catAttrs"));
  const out: Value[] = [];
  for (const item of forceList(list, "the second argument passed to builtins.catAttrs")) {
    const set = forceAttrs(item, "an element in the list passed as second argument to builtins.catAttrs");
    const value = set.get(key);
    if (value !== undefined) out.push(value);
  }
  return out;
}

function functionArgs(f: Value): Whnf {
  const callee = force(f);
  if (callee instanceof PrimOp || callee instanceof PrimOpApp) return EMPTY_ATTRS;
  if (!(callee instanceof Lambda))
    throw typeError("a function", callee, "the argument passed to builtins.functionArgs");
  const { info } = callee;
  const { formals } = info;
  if (formals === null || formals.length === 0) return EMPTY_ATTRS;
  const set = attrsFromPairs(
    formals.map((formal) => formal.key),
    formals.map((formal) => formal.hasDefault),
  );
  const positions: Positions = {
    find: (slot) => {
      const formal = formals.find((candidate) => candidate.key === set.shape.keys[slot]) as FormalInfo;
      return info.position(formal.offset);
    },
  };
  return new AttrsClass(set.shape, set.values, null, positions);
}

/** Attribute sets. */
export const ATTRS_BUILTINS: readonly Builtin[] = [
  define("attrNames", "!", "The names of a set, sorted.", (_rt, set) =>
    forceAttrs(set, "the argument passed to builtins.attrNames").flatten().shape.keys.map(symbolName),
  ),
  define(
    "attrValues",
    "!",
    "The values of a set in the order of their names.",
    (_rt, set) => forceAttrs(set, "the argument passed to builtins.attrValues").flatten().values,
  ),
  define("catAttrs", "!!", "The values of an attribute in those sets of a list that have it.", (_rt, name, list) =>
    catAttrs(name, list),
  ),
  define(
    "functionArgs",
    "!",
    "The names a function takes from its argument, each with whether it has a default.",
    (_rt, f) => functionArgs(f),
  ),
  define("getAttr", "!!", "The attribute of that name.", (_rt, name, set) => {
    const key = symbol(forcePlainString(name, "the first argument passed to builtins.getAttr"));
    const attrs = forceAttrs(set, "the second argument passed to builtins.getAttr");
    const value = attrs.get(key);
    if (value === undefined) throw noAttribute(attrs, key);
    return force(value);
  }),
  define("hasAttr", "!!", "Whether a set has an attribute of that name.", (_rt, name, set) => {
    const key = symbol(forcePlainString(name, "the first argument passed to builtins.hasAttr"));
    return forceAttrs(set, "the second argument passed to builtins.hasAttr").has(key);
  }),
  define("intersectAttrs", "!!", "The attributes of the second set whose names are in the first.", (_rt, a, b) =>
    intersectAttrs(a, b),
  ),
  define("listToAttrs", "!", "A set from a list of `{ name; value; }`; the first of equal names wins.", (_rt, list) =>
    listToAttrs(list),
  ),
  define("mapAttrs", "~!", "Calls a function with each name and value of a set.", (_rt, f, set) => mapAttrs(f, set)),
  define("removeAttrs", "!!", "A set without the names in a list.", (_rt, set, names) => removeAttrs(set, names)),
  define("unsafeGetAttrPos", "!!", "Where an attribute was defined, or null.", (_rt, name, set) => {
    const key = symbol(forcePlainString(name, "the first argument passed to builtins.unsafeGetAttrPos"));
    const attrs = forceAttrs(set, "the second argument passed to builtins.unsafeGetAttrPos");
    return positionAttrs(attrs.positionOf(key));
  }),
  define(
    "zipAttrsWith",
    "!!",
    "Joins sets: calls a function with each name and the list of its values.",
    (_rt, f, list) => zipAttrsWith(f, list),
  ),
];
