// Equality and order of values.

import { EvalError } from "../error.ts";
import { Attrs } from "../value/attrs.ts";
import { compareInts, NixFloat } from "../value/number.ts";
import { ContextString } from "../value/string.ts";
import { symbol } from "../value/symbol.ts";
import { force } from "../value/thunk.ts";
import { showShort } from "./describe.ts";
import { describeType, isInt, isList, NixPath, type Value, type Whnf } from "../value/value.ts";

const TYPE = symbol("type");
const OUT_PATH = symbol("outPath");

/** `a == b`. */
export function equalValues(left: Value, right: Value): boolean {
  const a = force(left);
  const b = force(right);
  if (typeof a !== "object" || a === null) {
    if (typeof b !== "object" || b === null) return a === b;
    if (isInt(a)) return b instanceof NixFloat && Number(a) === b.value;
    return typeof a === "string" && b instanceof ContextString && b.text === a;
  }
  if (a instanceof ContextString)
    return typeof b === "string" ? a.text === b : b instanceof ContextString && a.text === b.text;
  if (isList(a)) return isList(b) && equalLists(a, b);
  if (a instanceof Attrs) return b instanceof Attrs && equalAttrs(a, b);
  if (a instanceof NixFloat) return b instanceof NixFloat ? a.value === b.value : isInt(b) && a.value === Number(b);
  return a instanceof NixPath && b instanceof NixPath && a.text === b.text;
}

/**
 * Equality of two elements: the same cell, once forced, is equal to itself without being looked into. That is how Nix
 * finds sets holding functions or errors equal to themselves, and nixpkgs depends on it.
 */
export function equalElements(a: Value, b: Value): boolean {
  if (a === b) {
    force(a);
    return true;
  }
  return equalValues(a, b);
}

function equalLists(a: readonly Value[], b: readonly Value[]): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (!equalElements(a[i] as Value, b[i] as Value)) return false;
  return true;
}

function equalAttrs(a: Attrs, b: Attrs): boolean {
  if (isDerivation(a) && isDerivation(b)) {
    const x = a.get(OUT_PATH);
    const y = b.get(OUT_PATH);
    if (x !== undefined && y !== undefined) return equalElements(x, y);
  }
  const left = a.flatten();
  const right = b.flatten();
  const keys = left.shape.keys;
  if (keys.length !== right.shape.keys.length) return false;
  if (left.shape !== right.shape) {
    for (let i = 0; i < keys.length; i++) {
      if (keys[i] !== right.shape.keys[i]) return false;
      // C++ Nix compares values as it walks, so a difference before differing names is found first.
      if (!equalElements(left.values[i] as Value, right.values[i] as Value)) return false;
    }
    return true;
  }
  for (let i = 0; i < keys.length; i++) {
    if (!equalElements(left.values[i] as Value, right.values[i] as Value)) return false;
  }
  return true;
}

/** Whether a set has `type = "derivation"`. */
export function isDerivation(attrs: Attrs): boolean {
  const type = attrs.get(TYPE);
  return type !== undefined && force(type) === "derivation";
}

/** Orders two values as `<` does: negative, 0 or positive; throws for values that have no order. */
export function compareValues(left: Value, right: Value): number {
  const a = force(left);
  const b = force(right);
  if (typeof a === "number" && typeof b === "number") return a - b;
  if (isInt(a)) {
    if (isInt(b)) return compareInts(a, b);
    if (b instanceof NixFloat) return compareNumbers(Number(a), b.value);
  } else if (a instanceof NixFloat) {
    if (isInt(b)) return compareNumbers(a.value, Number(b));
    if (b instanceof NixFloat) return compareNumbers(a.value, b.value);
  } else if (typeof a === "string" || a instanceof ContextString) {
    if (typeof b === "string" || b instanceof ContextString) return compareTexts(textOf(a), textOf(b));
  } else if (a instanceof NixPath) {
    if (b instanceof NixPath) return compareTexts(a.text, b.text);
  } else if (isList(a) && isList(b)) return compareLists(a, b);
  throw cannotCompare(a, b);
}

function textOf(value: string | ContextString): string {
  return typeof value === "string" ? value : value.text;
}

/** NaN is neither less nor greater: callers only ask for the sign of `<`. */
function compareNumbers(a: number, b: number): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function compareTexts(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function compareLists(a: readonly Value[], b: readonly Value[]): number {
  for (let i = 0; ; i++) {
    if (i === b.length) return i === a.length ? 0 : 1;
    if (i === a.length) return -1;
    const x = a[i] as Value;
    const y = b[i] as Value;
    if (!equalElements(x, y)) return compareValues(x, y);
  }
}

function cannotCompare(a: Whnf, b: Whnf): EvalError {
  const x = describeType(a);
  const y = describeType(b);
  const values = `${showShort(a, 2)} and ${showShort(b, 2)}`;
  const why = x === y ? `values of that type are incomparable (values are ${values})` : `values are ${values}`;
  return new EvalError("ERR_EVAL_COMPARE", `cannot compare ${x} with ${y}; ${why}`);
}
