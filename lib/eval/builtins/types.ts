// Built-in functions that ask for the type of a value, and order and conversion between types.

import { NixFloat } from "../value/number.ts";
import { force } from "../value/thunk.ts";
import { isFunction, isInt, isString, NixPath, typeName, type Whnf } from "../value/value.ts";
import { Attrs } from "../value/attrs.ts";
import { compareValues } from "../vm/equal.ts";
import { type Builtin, define } from "./define.ts";

function test(name: string, doc: string, answer: (value: Whnf) => boolean): Builtin {
  return define(name, "!", doc, (_rt, value) => answer(force(value)));
}

/** Types and order. */
export const TYPE_BUILTINS: readonly Builtin[] = [
  test("isAttrs", "Whether a value is a set.", (value) => value instanceof Attrs),
  test("isBool", "Whether a value is a Boolean.", (value) => typeof value === "boolean"),
  test("isFloat", "Whether a value is a float.", (value) => value instanceof NixFloat),
  test("isFunction", "Whether a value is a function (a set with __functor is not).", isFunction),
  test("isInt", "Whether a value is an integer.", isInt),
  test("isList", "Whether a value is a list.", (value) => Array.isArray(value)),
  test("isNull", "Whether a value is null; deprecated, compare with null instead.", (value) => value === null),
  test("isPath", "Whether a value is a path.", (value) => value instanceof NixPath),
  test("isString", "Whether a value is a string.", isString),
  define(
    "lessThan",
    "!!",
    "Whether the first argument goes before the second.",
    (_rt, a, b) => compareValues(a, b) < 0,
  ),
  define("typeOf", "!", "The name of the type of a value.", (_rt, value) => typeName(force(value))),
];
