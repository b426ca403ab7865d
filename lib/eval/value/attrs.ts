// Attribute sets: a shape and its values, optionally layered over a larger set so that `big // small` copies nothing.
//
// Invariants: `values[i]` belongs to `shape.keys[i]`; a layer's `base` is flat (its own base is null); names in the
// layer win. A set is never changed once others can see it, except that `flatten` replaces a layered form by the
// equal flat one.

import { compareSymbols, EMPTY_SHAPE, internShape, type Shape } from "./shape.ts";
import type { Sym } from "./symbol.ts";
import { newList } from "./list.ts";
import type { Value } from "./value.ts";

/** Sets this small are merged at once: a layer would cost more than the copy. */
const COPY_LIMIT = 24;
/** A layer may have this fraction of its base's names before both are merged. */
const LAYER_FRACTION = 4;
/** Up to this many names are replaced in a copy of a set that has them … */
const PATCH_LIMIT = 4;
/** … when that set is not larger than this. */
const PATCHED_LIMIT = 128;
/** How many merged position tables may hang on each other before they are made one. */
const POSITION_DEPTH = 64;

/** Where an attribute was defined: `file` is what `unsafeGetAttrPos` reports. */
export interface AttrPosition {
  readonly file: string;
  readonly line: number;
  readonly column: number;
}

/** Where the attributes of a set were defined, by slot of its (own) shape. */
export interface Positions {
  find(slot: number): AttrPosition | null;
}

/** An attribute set. */
export class Attrs {
  shape: Shape;
  values: readonly Value[];
  base: Attrs | null;
  positions: Positions | null;

  constructor(shape: Shape, values: readonly Value[], base: Attrs | null, positions: Positions | null) {
    this.shape = shape;
    this.values = values;
    this.base = base;
    this.positions = positions;
  }

  /** The value of an attribute as stored (maybe a thunk), or `undefined`. */
  get(key: Sym): Value | undefined {
    const slot = this.shape.indexOf(key);
    if (slot >= 0) return this.values[slot];
    const base = this.base;
    if (base === null) return undefined;
    const below = base.shape.indexOf(key);
    return below >= 0 ? base.values[below] : undefined;
  }

  has(key: Sym): boolean {
    return this.shape.indexOf(key) >= 0 || (this.base !== null && this.base.shape.indexOf(key) >= 0);
  }

  /** Where an attribute was defined, when that is known. */
  positionOf(key: Sym): AttrPosition | null {
    const slot = this.shape.indexOf(key);
    if (slot >= 0) return this.positions === null ? null : this.positions.find(slot);
    return this.base === null ? null : this.base.positionOf(key);
  }

  /** How many attributes there are. */
  get size(): number {
    return this.flatten().shape.keys.length;
  }

  /** This set with its layer merged in, so that `shape` and `values` are all of it. */
  flatten(): this {
    const base = this.base;
    if (base !== null) {
      const merge = base.shape.mergeWith(this.shape);
      this.values = take(merge.take, base.values, this.values);
      this.positions = mergePositions(merge.take, base.positions, this.positions);
      this.shape = merge.shape;
      this.base = null;
    }
    return this;
  }
}

/** The set without attributes. */
export const EMPTY_ATTRS: Attrs = new Attrs(EMPTY_SHAPE, [], null, null);

/** Which slots are taken of two sets: `i` of the left one, `~i` of the right one. */
type Recipe = Int32Array | readonly number[];

function take(recipe: Int32Array, left: readonly Value[], right: readonly Value[]): Value[] {
  const values = newList(recipe.length);
  for (let i = 0; i < recipe.length; i++) {
    const from = recipe[i] as number;
    values[i] = (from >= 0 ? left[from] : right[~from]) as Value;
  }
  return values;
}

/** `left // right`. */
export function updateAttrs(left: Attrs, right: Attrs): Attrs {
  if (right.shape.size === 0 && right.base === null) return left;
  // The same set twice is also one object, which flattening the right side below would change under the left.
  if (left === right) return new Attrs(left.shape, left.values, left.base, left.positions);
  if (left.base === null) {
    if (left.shape.size === 0) return right;
    const upper = right.flatten();
    if (upper.shape.size <= PATCH_LIMIT && left.shape.size <= PATCHED_LIMIT && left.shape.size > COPY_LIMIT) {
      const patched = patch(left, upper);
      if (patched !== null) return patched;
    }
    if (left.shape.size <= COPY_LIMIT || upper.shape.size * LAYER_FRACTION > left.shape.size) {
      return mergeFlat(left, upper);
    }
    return new Attrs(upper.shape, upper.values, left, upper.positions);
  }
  const upper = right.flatten();
  const base = left.base;
  // The new layer often has the names of the one below, which then cannot be seen any more.
  if (left.shape === upper.shape) return new Attrs(upper.shape, upper.values, base, upper.positions);
  const merge = left.shape.mergeWith(upper.shape);
  const layer = new Attrs(
    merge.shape,
    take(merge.take, left.values, upper.values),
    base,
    mergePositions(merge.take, left.positions, upper.positions),
  );
  return merge.shape.size * LAYER_FRACTION > base.shape.size ? layer.flatten() : layer;
}

/** `left // right` when `left` has all names of `right`: a copy of the values with a few of them replaced. */
function patch(left: Attrs, right: Attrs): Attrs | null {
  const keys = right.shape.keys;
  const slots: number[] = [];
  for (let i = 0; i < keys.length; i++) {
    const slot = left.shape.indexOf(keys[i] as Sym);
    if (slot < 0) return null;
    slots.push(slot);
  }
  const values = left.values.slice();
  for (let i = 0; i < slots.length; i++) values[slots[i] as number] = right.values[i] as Value;
  return new Attrs(left.shape, values, null, patchPositions(left, slots, right.positions));
}

function patchPositions(left: Attrs, slots: readonly number[], right: Positions | null): Positions | null {
  if (left.positions === null && right === null) return null;
  const patched = new PatchedPositions(slots, left.positions, right);
  if (patched.depth <= POSITION_DEPTH) return patched;
  return settle(patched, left.shape.size);
}

function mergeFlat(left: Attrs, right: Attrs): Attrs {
  const merge = left.shape.mergeWith(right.shape);
  return new Attrs(
    merge.shape,
    take(merge.take, left.values, right.values),
    null,
    mergePositions(merge.take, left.positions, right.positions),
  );
}

function mergePositions(recipe: Recipe, left: Positions | null, right: Positions | null): Positions | null {
  if (left === null && right === null) return null;
  const merged = new MergedPositions(recipe, left, right);
  return merged.depth > POSITION_DEPTH ? settle(merged, recipe.length) : merged;
}

/** Positions of a merged set, found by walking down the merges it came from. */
class MergedPositions implements Positions {
  readonly depth: number;
  readonly take: Recipe;
  readonly left: Positions | null;
  readonly right: Positions | null;

  constructor(take: Recipe, left: Positions | null, right: Positions | null) {
    this.take = take;
    this.left = left;
    this.right = right;
    this.depth = 1 + Math.max(depthOf(left), depthOf(right));
  }

  find(slot: number): AttrPosition | null {
    const [leaf, at] = findLeaf(this, slot);
    return leaf === null ? null : leaf.find(at);
  }
}

/** Positions of a set in which a few slots were replaced. */
class PatchedPositions implements Positions {
  readonly depth: number;
  readonly slots: readonly number[];
  readonly left: Positions | null;
  readonly right: Positions | null;

  constructor(slots: readonly number[], left: Positions | null, right: Positions | null) {
    this.slots = slots;
    this.left = left;
    this.right = right;
    this.depth = 1 + Math.max(depthOf(left), depthOf(right));
  }

  find(slot: number): AttrPosition | null {
    const [leaf, at] = findLeaf(this, slot);
    return leaf === null ? null : leaf.find(at);
  }
}

type Leaf = readonly [Positions | null, number];

/** Positions of a set of which each slot's table is known, and the slot there. */
class SettledPositions implements Positions {
  private readonly tables: (Positions | null)[] = [];
  private readonly slots: number[] = [];

  constructor(leaves: Iterable<Leaf>) {
    for (const [table, slot] of leaves) {
      this.tables.push(table);
      this.slots.push(slot);
    }
  }

  leaf(slot: number): Leaf {
    return [this.tables[slot] as Positions | null, this.slots[slot] as number];
  }

  find(slot: number): AttrPosition | null {
    const [table, at] = this.leaf(slot);
    return table === null ? null : table.find(at);
  }
}

/** The same answers without a chain of merges, so that long chains of `//` keep neither memory nor time. */
function settle(positions: Positions, size: number): Positions {
  const patches: PatchedPositions[] = [];
  let table: Positions | null = positions;
  while (table instanceof PatchedPositions) {
    patches.push(table);
    table = table.left;
  }
  const leaves: Leaf[] = [];
  for (let slot = 0; slot < size; slot++) leaves.push(findLeaf(table, slot));
  for (let i = patches.length - 1; i >= 0; i--) {
    const { slots, right } = patches[i] as PatchedPositions;
    for (let at = 0; at < slots.length; at++) leaves[slots[at] as number] = findLeaf(right, at);
  }
  return new SettledPositions(leaves);
}

/** The table without merges that knows a slot, and the slot in it. */
function findLeaf(positions: Positions | null, slot: number): Leaf {
  let table: Positions | null = positions;
  let at = slot;
  for (;;) {
    if (table instanceof MergedPositions) {
      const from: number = table.take[at] as number;
      table = from >= 0 ? table.left : table.right;
      at = from >= 0 ? from : ~from;
    } else if (table instanceof PatchedPositions) {
      const from: number = table.slots.indexOf(at);
      table = from < 0 ? table.left : table.right;
      at = from < 0 ? at : from;
    } else if (table instanceof SettledPositions) {
      [table, at] = table.leaf(at);
    } else return [table, at];
  }
}

function depthOf(positions: Positions | null): number {
  return positions instanceof MergedPositions || positions instanceof PatchedPositions ? positions.depth : 0;
}

/** Turns an offset of a source file into a position. */
export interface PositionSource {
  /** `null` in sources whose positions programs do not see. */
  position(offset: number): AttrPosition | null;
}

/** The positions of the attributes of one set in the source: `offsets[from + slot]`. */
export class SlotPositions implements Positions {
  private readonly offsets: readonly number[];
  private readonly from: number;
  private readonly source: PositionSource;

  constructor(offsets: readonly number[], from: number, source: PositionSource) {
    this.offsets = offsets;
    this.from = from;
    this.source = source;
  }

  find(slot: number): AttrPosition | null {
    const offset = this.offsets[this.from + slot];
    return offset === undefined ? null : this.source.position(offset);
  }
}

/** A set of the given attributes; `keys` in any order, each once. */
export function attrsFromPairs(keys: readonly Sym[], values: readonly Value[]): Attrs {
  if (keys.length === 0) return EMPTY_ATTRS;
  const sorted = isSorted(keys);
  if (sorted) return new Attrs(internShape(keys), values, null, null);
  const order = keys.map((_, i) => i).sort((a, b) => compareSymbols(keys[a] as Sym, keys[b] as Sym));
  return new Attrs(
    internShape(order.map((i) => keys[i] as Sym)),
    order.map((i) => values[i] as Value),
    null,
    null,
  );
}

/** A set from a Map: the convenient way to build one outside hot code. */
export function attrsFromMap(map: ReadonlyMap<Sym, Value>): Attrs {
  return attrsFromPairs([...map.keys()], [...map.values()]);
}

function isSorted(keys: readonly Sym[]): boolean {
  for (let i = 1; i < keys.length; i++) if (compareSymbols(keys[i - 1] as Sym, keys[i] as Sym) > 0) return false;
  return true;
}

/**
 * Positions of a set of which each attribute stands, by slot, where the attribute `key` of one of `sets` does. Such sets
 * mostly come from one literal and share their positions.
 */
export function borrowPositions(sets: readonly Attrs[], key: Sym): Positions | null {
  const leafOf = (set: Attrs): Leaf => findLeaf(set.flatten().positions, set.shape.indexOf(key));
  const [table, at] = leafOf(sets[0] as Attrs);
  const isShared = sets.every((set) => {
    const leaf = leafOf(set);
    return leaf[0] === table && leaf[1] === at;
  });
  if (!isShared) return new SettledPositions(sets.map(leafOf));
  return table === null ? null : { find: () => table.find(at) };
}

/** The attributes of the flattened `attrs` whose slots are listed, in ascending order. */
export function pickSlots(attrs: Attrs, slots: readonly number[]): Attrs {
  const { shape, values } = attrs.flatten();
  if (slots.length === shape.size) return attrs;
  if (slots.length === 0) return EMPTY_ATTRS;
  return new Attrs(
    internShape(slots.map((slot) => shape.keys[slot] as Sym)),
    slots.map((slot) => values[slot] as Value),
    null,
    mergePositions(slots, attrs.positions, null),
  );
}
