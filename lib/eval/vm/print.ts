// Printing values as `nix-instantiate --eval` does.

import { Attrs } from "../value/attrs.ts";
import { Lambda, PrimOp } from "../value/function.ts";
import { NixFloat } from "../value/number.ts";
import { ContextString } from "../value/string.ts";
import { symbolName } from "../value/symbol.ts";
import { force, peek, Thunk } from "../value/thunk.ts";
import { isInt, isList, NixPath, type Value } from "../value/value.ts";
import { formatFloat } from "../text/float.ts";
import { quoteName, quoteString } from "../text/quote.ts";

// Texts here are byte strings like all others, so the quotation marks are their UTF-8 bytes.
const REPEATED = "\xc2\xabrepeated\xc2\xbb";
const INFINITE = "\xc2\xabpotential infinite recursion\xc2\xbb";

/** The text of a value. `strict` computes everything in it; otherwise what is not computed prints as `<CODE>`. */
export function printValue(value: Value, options: { readonly strict: boolean }): string {
  const out: string[] = [];
  const seen = new Set<object>();
  const v = options.strict ? force(value) : peek(value);
  // Nix tells lists apart by the cell they are in. The outermost cell is a copy: its list is met again as another one.
  if (isList(v)) printItems(v, options.strict, seen, out);
  else print(v, options.strict, seen, out);
  return out.join("");
}

function print(value: Value, strict: boolean, seen: Set<object>, out: string[]): void {
  const v = strict ? force(value) : peek(value);
  if (v instanceof Thunk) out.push(v.isBlackHole ? INFINITE : "<CODE>");
  else if (v === null) out.push("null");
  else if (typeof v === "boolean" || isInt(v)) out.push(String(v));
  else if (typeof v === "string") out.push(quoteString(v));
  else if (v instanceof ContextString) out.push(quoteString(v.text));
  else if (v instanceof NixPath) out.push(v.text);
  else if (v instanceof NixFloat) out.push(formatFloat(v.value));
  else if (isList(v)) printList(v, value as object, strict, seen, out);
  else if (v instanceof Attrs) printAttrs(v, strict, seen, out);
  else if (v instanceof Lambda) out.push("<LAMBDA>");
  else out.push(v instanceof PrimOp ? "<PRIMOP>" : "<PRIMOP-APP>");
}

function printList(list: readonly Value[], cell: object, strict: boolean, seen: Set<object>, out: string[]): void {
  if (list.length > 0 && seen.has(cell)) {
    out.push(REPEATED);
    return;
  }
  seen.add(cell);
  printItems(list, strict, seen, out);
}

function printItems(list: readonly Value[], strict: boolean, seen: Set<object>, out: string[]): void {
  out.push("[ ");
  for (const item of list) {
    print(item, strict, seen, out);
    out.push(" ");
  }
  out.push("]");
}

function printAttrs(attrs: Attrs, strict: boolean, seen: Set<object>, out: string[]): void {
  const { shape, values } = attrs.flatten();
  if (values.length > 0 && seen.has(attrs)) {
    out.push(REPEATED);
    return;
  }
  seen.add(attrs);
  out.push("{ ");
  for (let i = 0; i < values.length; i++) {
    out.push(quoteName(symbolName(shape.keys[i] as number)), " = ");
    print(values[i] as Value, strict, seen, out);
    out.push("; ");
  }
  out.push("}");
}

/** Computes everything in a value; cycles are fine. */
export function forceDeep(value: Value): void {
  const seen = new Set<object>();
  const pending: Value[] = [value];
  // A stack of our own, in the order of the elements: lists may be nested deeper than JavaScript's stack.
  while (pending.length > 0) {
    const v = force(pending.pop() as Value);
    if (typeof v !== "object" || v === null || seen.has(v)) continue;
    if (!isList(v) && !(v instanceof Attrs)) continue;
    seen.add(v);
    const items = isList(v) ? v : v.flatten().values;
    for (let i = items.length - 1; i >= 0; i--) pending.push(items[i] as Value);
  }
}
