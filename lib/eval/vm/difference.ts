// Where two values differ, in words: for assertions that demand equality.

import { EvalError } from "../error.ts";
import { Attrs } from "../value/attrs.ts";
import { symbolName, type Sym } from "../value/symbol.ts";
import { force } from "../value/thunk.ts";
import { isList, type Value } from "../value/value.ts";
import { quoteName } from "../text/quote.ts";
import { describeValue } from "./describe.ts";
import { equalElements, isDerivation } from "./equal.ts";

/** Deeper than this it is only said which parts differ. */
const DEPTH = 100;

/** How two values differ that `==` finds different; undefined when looking fails, or all of their parts are equal. */
export function difference(left: Value, right: Value): string | undefined {
  try {
    return differ(left, right, "", DEPTH);
  } catch (error) {
    if (error instanceof EvalError) return undefined;
    throw error;
  }
}

function differ(left: Value, right: Value, path: string, depth: number): string | undefined {
  const a = force(left);
  const b = force(right);
  if (depth > 0 && isList(a) && isList(b)) {
    if (a.length !== b.length) return at(path, `one list has ${a.length} elements, the other ${b.length}`);
    const i = a.findIndex((item, k) => !equalElements(item, b[k] as Value));
    return i < 0 ? undefined : differ(a[i] as Value, b[i] as Value, `${path}[${i}]`, depth - 1);
  }
  if (depth > 0 && a instanceof Attrs && b instanceof Attrs && !(isDerivation(a) && isDerivation(b))) {
    return differentAttribute(a, b, path, depth);
  }
  return at(path, `${describeValue(a)} is not equal to ${describeValue(b)}`);
}

function differentAttribute(a: Attrs, b: Attrs, path: string, depth: number): string | undefined {
  const name = (key: Sym): string => quoteName(symbolName(key));
  const { shape } = a.flatten();
  const lost = shape.keys.find((key) => !b.has(key));
  if (lost !== undefined) return at(path, `the attribute ${name(lost)} is only in the left set`);
  const extra = b.flatten().shape.keys.find((key) => !a.has(key));
  if (extra !== undefined) return at(path, `the attribute ${name(extra)} is only in the right set`);
  const key = shape.keys.find((key) => !equalElements(a.get(key) as Value, b.get(key) as Value));
  if (key === undefined) return undefined;
  return differ(a.get(key) as Value, b.get(key) as Value, path === "" ? name(key) : `${path}.${name(key)}`, depth - 1);
}

function at(path: string, what: string): string {
  return path === "" ? what : `at ${path}: ${what}`;
}
