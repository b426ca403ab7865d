// Built-in functions on lists.

import { EvalError } from "../error.ts";
import { attrsFromPairs } from "../value/attrs.ts";
import { newList } from "../value/list.ts";
import { type Sym, symbol } from "../value/symbol.ts";
import { force } from "../value/thunk.ts";
import type { List, Value, Whnf } from "../value/value.ts";
import { call1, call2, delayCall } from "../vm/call.ts";
import {
  forceAttrs,
  forceBool,
  forceFunction,
  forceList,
  forcePlainString,
  forceSmallInt,
  demandAttr,
} from "../vm/demand.ts";
import { equalElements, compareValues } from "../vm/equal.ts";
import { type Builtin, define } from "./define.ts";
import { KeySet } from "./key-set.ts";
import { mergeSort } from "./merge-sort.ts";
import { PrimOp } from "../value/function.ts";

const RIGHT = symbol("right");
const WRONG = symbol("wrong");
const START_SET = symbol("startSet");
const OPERATOR = symbol("operator");
const KEY = symbol("key");

function element(list: List, index: number): Whnf {
  const value = list[index];
  if (value === undefined) {
    throw new EvalError(
      "ERR_EVAL_INDEX",
      `'builtins.elemAt' called with index ${index} on a list of size ${list.length}`,
    );
  }
  return force(value);
}

function map(f: Value, list: Value): Whnf {
  const items = forceList(list, "the second argument passed to builtins.map");
  if (items.length === 0) return items;
  const callee = forceFunction(f, "the first argument passed to builtins.map");
  const out = newList(items.length);
  for (let i = 0; i < items.length; i++) out[i] = delayCall(callee, items[i] as Value);
  return out;
}

function filter(p: Value, list: Value): Whnf {
  const items = forceList(list, "the second argument passed to builtins.filter");
  if (items.length === 0) return items;
  const test = forceFunction(p, "the first argument passed to builtins.filter");
  const out: Value[] = [];
  for (const item of items) {
    if (forceBool(call1(test, item), "the return value of the filtering function passed to builtins.filter")) {
      out.push(item);
    }
  }
  return out.length === items.length ? items : out;
}

function quantify(p: Value, list: Value, name: "all" | "any"): boolean {
  const test = forceFunction(p, `the first argument passed to builtins.${name}`);
  const items = forceList(list, `the second argument passed to builtins.${name}`);
  const stop = name === "any";
  for (const item of items) {
    const answer = forceBool(call1(test, item), `the return value of the function passed to builtins.${name}`);
    if (answer === stop) return stop;
  }
  return !stop;
}

function concatLists(lists: List, where: string): Whnf {
  const out: Value[] = [];
  let only: List | undefined;
  for (const value of lists) {
    const list = forceList(value, where);
    if (list.length === 0) continue;
    only = out.length === 0 ? list : undefined;
    for (const item of list) out.push(item);
  }
  return only ?? out;
}

function fold(f: Value, start: Value, list: Value): Whnf {
  const step = forceFunction(f, "the first argument passed to builtins.foldl'");
  const items = forceList(list, "the third argument passed to builtins.foldl'");
  if (items.length === 0) return force(start);
  let result = start;
  for (let i = 0; i < items.length; i++) result = call2(step, result, items[i] as Value);
  return force(result);
}

function generate(f: Value, count: Value): Whnf {
  const length = forceSmallInt(count, "the second argument passed to builtins.genList");
  const out = newList(length);
  const callee = forceFunction(f, "the first argument passed to builtins.genList");
  for (let i = 0; i < length; i++) out[i] = delayCall(callee, i);
  return out;
}

function sort(f: Value, list: Value): Whnf {
  const items = forceList(list, "the second argument passed to builtins.sort");
  if (items.length === 0) return items;
  const callee = forceFunction(f, "the first argument passed to builtins.sort");
  const values = items.map(force);
  if (callee instanceof PrimOp && callee.builtin.name === "lessThan") {
    return mergeSort(values, (a, b) => compareValues(a, b) < 0);
  }
  return mergeSort(values, (a, b) => {
    const answer = call2(callee, a, b);
    return typeof answer === "boolean" ? answer : forceBool(answer, SORT_RESULT);
  });
}

const SORT_RESULT = "the return value of the sorting function passed to builtins.sort";

function partition(p: Value, list: Value): Whnf {
  const test = forceFunction(p, "the first argument passed to builtins.partition");
  const items = forceList(list, "the second argument passed to builtins.partition");
  const right: Value[] = [];
  const wrong: Value[] = [];
  for (const item of items) {
    force(item);
    const answer = forceBool(call1(test, item), "the return value of the function passed to builtins.partition");
    (answer ? right : wrong).push(item);
  }
  return attrsFromPairs([RIGHT, WRONG], [right, wrong]);
}

function groupBy(f: Value, list: Value): Whnf {
  const name = forceFunction(f, "the first argument passed to builtins.groupBy");
  const items = forceList(list, "the second argument passed to builtins.groupBy");
  const groups = new Map<Sym, Value[]>();
  for (const item of items) {
    const key = symbol(
      forcePlainString(call1(name, item), "the return value of the grouping function passed to builtins.groupBy"),
    );
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [item]);
    else group.push(item);
  }
  return attrsFromPairs([...groups.keys()], [...groups.values()]);
}

function genericClosure(argument: Value): Whnf {
  const set = forceAttrs(argument, "the first argument passed to builtins.genericClosure");
  const where = "the attribute 'startSet' of the argument passed to builtins.genericClosure";
  const start = forceList(demandAttr(set, START_SET, "startSet", where), where);
  if (start.length === 0) return [];
  const operatorAt = "the attribute 'operator' of the argument passed to builtins.genericClosure";
  const operator = forceFunction(demandAttr(set, OPERATOR, "operator", operatorAt), operatorAt);
  const seen = new KeySet();
  const queue: Value[] = [...start];
  const out: Value[] = [];
  for (let at = 0; at < queue.length; at++) {
    const item = forceAttrs(queue[at] as Value, "one of the elements of the closure of builtins.genericClosure");
    const key = force(demandAttr(item, KEY, "key", "one of the attribute sets of builtins.genericClosure"));
    if (!seen.add(key)) continue;
    out.push(item);
    const next = forceList(
      call1(operator, item),
      "the return value of the `operator` passed to builtins.genericClosure",
    );
    for (const value of next) {
      force(value);
      queue.push(value);
    }
  }
  return out;
}

/** Lists. */
export const LIST_BUILTINS: readonly Builtin[] = [
  define("all", "!!", "Whether a function yields true for all elements of a list.", (_rt, p, list) =>
    quantify(p, list, "all"),
  ),
  define("any", "!!", "Whether a function yields true for at least one element of a list.", (_rt, p, list) =>
    quantify(p, list, "any"),
  ),
  define("concatLists", "!", "Joins a list of lists.", (_rt, lists) =>
    concatLists(
      forceList(lists, "the first argument passed to builtins.concatLists"),
      "a value of the list passed to builtins.concatLists",
    ),
  ),
  define("concatMap", "!!", "Calls a function on each element and joins the lists it yields.", (_rt, f, list) => {
    const callee = forceFunction(f, "the first argument passed to builtins.concatMap");
    const items = forceList(list, "the second argument passed to builtins.concatMap");
    const where = "the return value of the function passed to builtins.concatMap";
    return concatLists(
      items.map((item) => forceList(call1(callee, item), where)),
      where,
    );
  }),
  define("elem", "~!", "Whether a value equals an element of a list.", (_rt, value, list) =>
    forceList(list, "the second argument passed to builtins.elem").some((item) => equalElements(value, item)),
  ),
  define("elemAt", "!!", "The element at an index, counted from 0.", (_rt, list, index) => {
    // The index comes first.
    const at = forceSmallInt(index, "the second argument passed to builtins.elemAt");
    return element(forceList(list, "the first argument passed to builtins.elemAt"), at);
  }),
  define("filter", "!!", "The elements for which a function yields true.", (_rt, p, list) => filter(p, list)),
  define(
    "foldl'",
    "!~!",
    "Combines the elements from the left, computing each result at once.",
    (_rt, f, start, list) => fold(f, start, list),
  ),
  define("genList", "!!", "A list of a length, whose elements a function yields for their index.", (_rt, f, count) =>
    generate(f, count),
  ),
  define("genericClosure", "!", "All sets reachable from a start set by an operator, told apart by `key`.", (_rt, a) =>
    genericClosure(a),
  ),
  define("groupBy", "!!", "The elements of a list in groups by the name a function yields.", (_rt, f, list) =>
    groupBy(f, list),
  ),
  define("head", "!", "The first element of a list.", (_rt, list) => {
    const items = forceList(list, "the first argument passed to builtins.head");
    if (items.length === 0) throw new EvalError("ERR_EVAL_INDEX", "'builtins.head' called on an empty list");
    return force(items[0] as Value);
  }),
  define(
    "length",
    "!",
    "How many elements a list has.",
    (_rt, list) => forceList(list, "the first argument passed to builtins.length").length,
  ),
  define("map", "!!", "Calls a function on each element.", (_rt, f, list) => map(f, list)),
  define(
    "partition",
    "!!",
    "The elements for which a function yields true as `right`, the others as `wrong`.",
    (_rt, p, l) => partition(p, l),
  ),
  define("sort", "!!", "Sorts a list by a function that says whether its first argument goes first.", (_rt, f, list) =>
    sort(f, list),
  ),
  define("tail", "!", "A list without its first element.", (_rt, list) => {
    const items = forceList(list, "the first argument passed to builtins.tail");
    if (items.length === 0) throw new EvalError("ERR_EVAL_INDEX", "'builtins.tail' called on an empty list");
    return items.slice(1);
  }),
];
