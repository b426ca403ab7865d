// A set of keys as genericClosure tells them apart: by the order of `<`, so 1 and 1.0 are one key.

import { NixFloat } from "../value/number.ts";
import { ContextString } from "../value/string.ts";
import { isInt, isList, NixPath, type Whnf } from "../value/value.ts";
import { compareValues } from "../vm/equal.ts";

/** Keys seen so far. Keys that have no order with those before them are an error. */
export class KeySet {
  private readonly simple = new Set<string | number | bigint>();
  /** Lists have no simple form and are kept sorted. */
  private readonly sorted: Whnf[] = [];
  private first: Whnf | undefined;

  /** Adds a key; false when it was there. */
  add(key: Whnf): boolean {
    if (this.first === undefined) this.first = key;
    // Two safe integers or two plain strings always have an order.
    else if (typeof key !== typeof this.first || (typeof key !== "number" && typeof key !== "string")) {
      checkOrder(key, this.first);
    }
    if (isList(key)) return this.addSorted(key);
    const simple = simpleKey(key);
    if (simple === undefined) return true;
    const before = this.simple.size;
    return this.simple.add(simple).size > before;
  }

  private addSorted(key: Whnf): boolean {
    let low = 0;
    let high = this.sorted.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const order = compareValues(key, this.sorted[middle] as Whnf);
      if (order === 0) return false;
      if (order < 0) high = middle;
      else low = middle + 1;
    }
    this.sorted.splice(low, 0, key);
    return true;
  }
}

function checkOrder(key: Whnf, first: Whnf): void {
  const kind = kindOf(key);
  if (kind === undefined || kind !== kindOf(first)) compareValues(key, first);
}

function kindOf(key: Whnf): string | undefined {
  if (isInt(key) || key instanceof NixFloat) return "number";
  if (typeof key === "string" || key instanceof ContextString) return "string";
  if (key instanceof NixPath) return "path";
  return isList(key) ? "list" : undefined;
}

function simpleKey(key: Whnf): string | number | bigint | undefined {
  if (typeof key === "string" || isInt(key)) return key;
  if (key instanceof NixFloat) return key.value;
  if (key instanceof ContextString || key instanceof NixPath) return key.text;
  return undefined;
}
