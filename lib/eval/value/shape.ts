// Shapes: the sorted names of an attribute set, shared by all sets with those names, so that sets store only values.
//
// A shape lists symbols in the bytewise order of their names. That order is the same in every process, so compiled
// code can lay out values without knowing symbol numbers, and attrNames, printing and comparison need no sorting.
// Shapes are interned while they are small; two equal shapes may still be two objects, so identity of shapes proves
// equality and nothing else. How two shapes merge under `//` is remembered with the left one.

import { newList } from "./list.ts";
import { symbolName, type Sym } from "./symbol.ts";

/** Below this many names a linear scan beats a table. */
const SCAN_LIMIT = 8;
/** Larger shapes are not interned: they are rarely repeated and dear to hash. */
const INTERN_LIMIT = 64;
/** The intern table is emptied when it has this many entries; it only saves memory, nothing depends on it. */
const INTERN_ENTRIES = 1 << 16;
const MERGE_ENTRIES = 16;
/** A shape is merged in runs with one of less than this fraction of its names. */
const RUNS_FRACTION = 8;

/** How to build `left // right`: entry `i` takes `left.values[i]` when ≥ 0, else `right.values[~i]`. */
export interface Merge {
  readonly shape: Shape;
  readonly take: Int32Array;
}

/** A hash table of slots, at least half of it empty (-1): a Map takes four times the space, and a call for each name. */
interface SlotTable {
  readonly slots: readonly number[];
  /** The upper bits of a hash that are the place in the table. */
  readonly shift: number;
}

/** Odd, and nowhere near a simple fraction of 2^32: symbols are numbered in turn. */
const SPREAD = 0x9e3779b1;

function slotTable(keys: readonly Sym[]): SlotTable {
  const bits = 33 - Math.clz32(keys.length);
  const shift = 32 - bits;
  const size = 1 << bits;
  const slots = newList<number>(size).fill(-1);
  for (let i = 0; i < keys.length; i++) {
    let at = Math.imul(keys[i] as Sym, SPREAD) >>> shift;
    while ((slots[at] as number) >= 0) at = (at + 1) & (size - 1);
    slots[at] = i;
  }
  return { slots, shift };
}

/** The sorted names of attribute sets. */
export class Shape {
  readonly keys: readonly Sym[];
  private index: SlotTable | null = null;
  private merges: Map<Shape, Merge> | null = null;

  /** `keys` must be in bytewise order of their names, each once; use {@link internShape} outside this file. */
  constructor(keys: readonly Sym[]) {
    this.keys = keys;
  }

  get size(): number {
    return this.keys.length;
  }

  /** The slot of a name, or -1. */
  indexOf(key: Sym): number {
    const keys = this.keys;
    if (keys.length <= SCAN_LIMIT) {
      for (let i = 0; i < keys.length; i++) if (keys[i] === key) return i;
      return -1;
    }
    const { slots, shift } = (this.index ??= slotTable(keys));
    const last = slots.length - 1;
    for (let at = Math.imul(key, SPREAD) >>> shift; ; at = (at + 1) & last) {
      const slot = slots[at] as number;
      if (slot < 0 || keys[slot] === key) return slot;
    }
  }

  /** How sets of this shape merge with sets of `right`, whose values win. */
  mergeWith(right: Shape): Merge {
    const known = this.merges?.get(right);
    if (known !== undefined) return known;
    const merge = computeMerge(this, right);
    this.merges ??= new Map();
    if (this.merges.size >= MERGE_ENTRIES) this.merges.clear();
    this.merges.set(right, merge);
    return merge;
  }
}

function computeMerge(left: Shape, right: Shape): Merge {
  const a = left.keys;
  const b = right.keys;
  if (b.length * RUNS_FRACTION < a.length) return mergeFew(left, right);
  const keys: Sym[] = [];
  const take: number[] = [];
  let i = 0;
  let j = 0;
  while (i < a.length || j < b.length) {
    const x = a[i];
    const y = b[j];
    if (y === undefined || (x !== undefined && x !== y && symbolName(x) < symbolName(y))) {
      keys.push(x as Sym);
      take.push(i++);
    } else {
      keys.push(y);
      take.push(~j++);
      if (x === y) i++;
    }
  }
  const shape = keys.length === a.length ? left : keys.length === b.length ? right : internShape(keys);
  return { shape, take: Int32Array.from(take) };
}

/** The merge with a much smaller shape: its names are searched for, and what is between them is copied in runs. */
function mergeFew(left: Shape, right: Shape): Merge {
  const a = left.keys;
  const b = right.keys;
  const runs: (readonly Sym[])[] = [];
  const take = new Int32Array(a.length + b.length);
  let from = 0;
  let size = 0;
  const copyTo = (end: number): void => {
    if (end > from) runs.push(a.slice(from, end));
    while (from < end) take[size++] = from++;
  };
  for (let j = 0; j < b.length; j++) {
    const key = b[j] as Sym;
    copyTo(lowerBound(a, key, from));
    if (a[from] === key) from++;
    runs.push([key]);
    take[size++] = ~j;
  }
  copyTo(a.length);
  return { shape: size === a.length ? left : internShape(runs.flat()), take: take.subarray(0, size) };
}

/** The first place at or after `from` whose name is not before that of `key`. */
function lowerBound(keys: readonly Sym[], key: Sym, from: number): number {
  const name = symbolName(key);
  let low = from;
  let high = keys.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (symbolName(keys[middle] as Sym) < name) low = middle + 1;
    else high = middle;
  }
  return low;
}

const table = new Map<number, Shape[]>();
let entries = 0;

/** The shape of no names. */
export const EMPTY_SHAPE: Shape = new Shape([]);

/** The shape of `keys`, which must be in bytewise order of their names, each once. */
export function internShape(keys: readonly Sym[]): Shape {
  if (keys.length === 0) return EMPTY_SHAPE;
  if (keys.length > INTERN_LIMIT) return new Shape(keys);
  let hash = keys.length;
  for (let i = 0; i < keys.length; i++) hash = (Math.imul(hash, 0x01000193) ^ (keys[i] as Sym)) | 0;
  let bucket = table.get(hash);
  if (bucket === undefined) {
    if (entries >= INTERN_ENTRIES) {
      table.clear();
      entries = 0;
    }
    bucket = [];
    table.set(hash, bucket);
  }
  for (const shape of bucket) if (sameKeys(shape.keys, keys)) return shape;
  const shape = new Shape(keys);
  bucket.push(shape);
  entries++;
  return shape;
}

function sameKeys(a: readonly Sym[], b: readonly Sym[]): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

/** Orders symbols by the bytes of their names. */
export function compareSymbols(a: Sym, b: Sym): number {
  if (a === b) return 0;
  return symbolName(a) < symbolName(b) ? -1 : 1;
}
