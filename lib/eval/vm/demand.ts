// Demanding a value of one type: forces it and throws Nix's type error when it is another.

import { EvalError } from "../error.ts";
import type { Attrs } from "../value/attrs.ts";
import { Attrs as AttrsClass } from "../value/attrs.ts";
import { NixFloat, type NixInt } from "../value/number.ts";
import { ContextString, parseContextElement } from "../value/string.ts";
import { symbol } from "../value/symbol.ts";
import { force } from "../value/thunk.ts";
import { isFunction, type List, type NixFunction, type Value, type Whnf } from "../value/value.ts";
import { describeValue } from "./describe.ts";

const FUNCTOR = symbol("__functor");

/** The error for a value of the wrong type; `where` reads like "the first argument passed to builtins.length". */
export function typeError(expected: string, value: Value, where: string): EvalError {
  const error = new EvalError("ERR_EVAL_TYPE", `expected ${expected} but found ${describeValue(value)}`);
  return where === "" ? error : error.addFrame(`while evaluating ${where}`, null);
}

export function forceInt(value: Value, where: string): NixInt {
  const v = force(value);
  if (typeof v === "number" || typeof v === "bigint") return v;
  throw typeError("an integer", v, where);
}

/** An integer that must be usable as a JavaScript number, else the nearest safe one. */
export function forceSmallInt(value: Value, where: string): number {
  const v = forceInt(value, where);
  if (typeof v === "number") return v;
  return v < 0n ? Number.MIN_SAFE_INTEGER : Number.MAX_SAFE_INTEGER;
}

/** An integer or a float, as it is. */
export function forceNumber(value: Value, where: string): NixInt | NixFloat {
  const v = force(value);
  if (typeof v === "number" || typeof v === "bigint" || v instanceof NixFloat) return v;
  throw typeError("a float", v, where);
}

/** An integer or a float, as a JavaScript number. */
export function forceFloat(value: Value, where: string): number {
  const v = forceNumber(value, where);
  return v instanceof NixFloat ? v.value : Number(v);
}

export function forceBool(value: Value, where: string): boolean {
  const v = force(value);
  if (typeof v === "boolean") return v;
  throw typeError("a Boolean", v, where);
}

export function forceList(value: Value, where: string): List {
  const v = force(value);
  if (Array.isArray(v)) return v as List;
  throw typeError("a list", v, where);
}

export function forceAttrs(value: Value, where: string): Attrs {
  const v = force(value);
  if (v instanceof AttrsClass) return v;
  throw typeError("a set", v, where);
}

/** A function: not a set with `__functor` (calling accepts those anyway). */
export function forceFunction(value: Value, where: string): NixFunction | Attrs {
  const v = force(value);
  if (isFunction(v)) return v;
  if (v instanceof AttrsClass && v.has(FUNCTOR)) return v;
  throw typeError("a function", v, where);
}

/** A string with its context. */
export function forceString(value: Value, where: string): string | ContextString {
  const v = force(value);
  if (typeof v === "string" || v instanceof ContextString) return v;
  throw typeError("a string", v, where);
}

/** The text of a string whose context does not matter. */
export function forceText(value: Value, where: string): string {
  const v = force(value);
  if (typeof v === "string") return v;
  if (v instanceof ContextString) return v.text;
  throw typeError("a string", v, where);
}

/** The text of a string that may not have a context. */
export function forcePlainString(value: Value, where: string): string {
  const v = force(value);
  if (typeof v === "string") return v;
  if (v instanceof ContextString) {
    const first = parseContextElement([...v.context][0] as string);
    const path = first.kind === "path" ? first.path : first.drv;
    const error = new EvalError(
      "ERR_EVAL_CONTEXT",
      `the string '${v.text}' is not allowed to refer to a store path (such as '${path}')`,
    );
    throw where === "" ? error : error.addFrame(`while evaluating ${where}`, null);
  }
  throw typeError("a string", v, where);
}

/** An attribute that must be there. */
export function demandAttr(attrs: Attrs, key: number, name: string, where: string): Value {
  const value = attrs.get(key);
  if (value !== undefined) return value;
  throw new EvalError("ERR_EVAL_MISSING_ATTRIBUTE", `attribute '${name}' missing`).addFrame(
    `while evaluating ${where}`,
    null,
  );
}

/** A string's text and context apart, for a value that is already known to be one. */
export function textOf(value: Whnf): string {
  return value instanceof ContextString ? value.text : (value as string);
}
