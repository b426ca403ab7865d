// Attribute sets: a shape and its values, optionally layered over a larger set so that `big // small` copies nothing.
//
// Invariants: `values[i]` belongs to `shape.keys[i]`; a layer's `base` is flat (its own base is null); names in the
// layer win. A set is never changed once others can see it, except that `flatten` replaces a layered form by the
// equal flat one.

import { compareSymbols, EMPTY_SHAPE, internShape, type Shape } from "./shape.ts";
import type { Sym } from "./symbol.ts";
import type { Value } from "./value.ts";

/** Sets this small are merged at once: a layer would cost more than the copy. */
const COPY_LIMIT = 24;
/** A layer may have this fraction of its base's names before both are merged. */
const LAYER_FRACTION = 4;
/** How many merged position tables may hang on each other before they are made one. */
const POSITION_DEPTH = 12;

/** Where an attribute was defined: `file` is what `unsafeGetAttrPos` reports. */
export interface AttrPosition {
  readonly file: string;
  readonly line: number;
  readonly column: number;
}

/** Finds where the attributes of a set were defined. */
export interface Positions {
  readonly depth: number;
  find(key: Sym): AttrPosition | null;
}

/** An attribute set. */
export class Attrs {
  shape: Shape;
  values: readonly Value[];
  base: Attrs | null;
  readonly positions: Positions | null;

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
      this.shape = merge.shape;
      this.base = null;
    }
    return this;
  }
}

/** The set without attributes. */
export const EMPTY_ATTRS: Attrs = new Attrs(EMPTY_SHAPE, [], null, null);

function take(recipe: Int32Array, left: readonly Value[], right: readonly Value[]): Value[] {
  const values: Value[] = [];
  for (let i = 0; i < recipe.length; i++) {
    const from = recipe[i] as number;
    values.push((from >= 0 ? left[from] : right[~from]) as Value);
  }
  return values;
}

/** `left // right`. */
export function updateAttrs(left: Attrs, right: Attrs): Attrs {
  if (right.shape.size === 0 && right.base === null) return left;
  if (left.base === null) {
    if (left.shape.size === 0) return right;
    const upper = right.flatten();
    if (left.shape.size <= COPY_LIMIT || upper.shape.size * LAYER_FRACTION > left.shape.size) {
      return mergeFlat(left, upper);
    }
    return new Attrs(upper.shape, upper.values, left, mergePositions(left.positions, upper));
  }
  const upper = right.flatten();
  const base = left.base;
  const merge = left.shape.mergeWith(upper.shape);
  const layer = new Attrs(
    merge.shape,
    take(merge.take, left.values, upper.values),
    base,
    mergePositions(left.positions, upper),
  );
  return merge.shape.size * LAYER_FRACTION > base.shape.size ? layer.flatten() : layer;
}

function mergeFlat(left: Attrs, right: Attrs): Attrs {
  const merge = left.shape.mergeWith(right.shape);
  return new Attrs(
    merge.shape,
    take(merge.take, left.values, right.values),
    null,
    mergePositions(left.positions, right),
  );
}

function mergePositions(left: Positions | null, right: Attrs): Positions | null {
  if (left === null && right.positions === null) return null;
  const merged = new MergedPositions(left, right.positions, right.shape);
  return merged;
}

class MergedPositions implements Positions {
  readonly depth: number;
  private left: Positions | null;
  private right: Positions | null;
  private readonly upper: Shape;

  constructor(left: Positions | null, right: Positions | null, upper: Shape) {
    this.left = left;
    this.right = right;
    this.upper = upper;
    const depth = 1 + Math.max(left === null ? 0 : left.depth, right === null ? 0 : right.depth);
    if (depth > POSITION_DEPTH) {
      this.left = left instanceof MergedPositions ? left.collapse() : left;
      this.right = right instanceof MergedPositions ? right.collapse() : right;
      this.depth = 2;
    } else {
      this.depth = depth;
    }
  }

  find(key: Sym): AttrPosition | null {
    if (this.upper.indexOf(key) >= 0) return this.right === null ? null : this.right.find(key);
    return this.left === null ? null : this.left.find(key);
  }

  /** The same answers from one table, so that long chains of `//` keep neither memory nor stack. */
  private collapse(): Positions {
    const known = new Map<Sym, AttrPosition | null>();
    this.collect(known);
    return new KnownPositions(known);
  }

  private collect(into: Map<Sym, AttrPosition | null>): void {
    if (this.left instanceof MergedPositions) this.left.collect(into);
    else if (this.left instanceof KnownPositions) for (const [key, at] of this.left.known) into.set(key, at);
    else if (this.left !== null) addAll(this.left, into);
    for (const key of this.upper.keys) into.set(key, this.right === null ? null : this.right.find(key));
  }
}

class KnownPositions implements Positions {
  readonly depth: number = 1;
  readonly known: ReadonlyMap<Sym, AttrPosition | null>;

  constructor(known: ReadonlyMap<Sym, AttrPosition | null>) {
    this.known = known;
  }

  find(key: Sym): AttrPosition | null {
    return this.known.get(key) ?? null;
  }
}

function addAll(positions: Positions, into: Map<Sym, AttrPosition | null>): void {
  if (!(positions instanceof SlotPositions)) return;
  for (const key of positions.shape.keys) into.set(key, positions.find(key));
}

/** Turns an offset of a source file into a position. */
export interface PositionSource {
  position(offset: number): AttrPosition;
}

/** The positions of the attributes of one set in the source: offsets beside the slots of its shape, -1 for none. */
export class SlotPositions implements Positions {
  readonly depth: number = 1;
  readonly shape: Shape;
  private readonly offsets: readonly number[];
  private readonly source: PositionSource;

  constructor(shape: Shape, offsets: readonly number[], source: PositionSource) {
    this.shape = shape;
    this.offsets = offsets;
    this.source = source;
  }

  find(key: Sym): AttrPosition | null {
    const slot = this.shape.indexOf(key);
    const offset = slot < 0 ? -1 : (this.offsets[slot] as number);
    return offset < 0 ? null : this.source.position(offset);
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

/** The same names and positions with other values (`values` beside the slots of the flattened set). */
export function withValues(attrs: Attrs, values: readonly Value[]): Attrs {
  return new Attrs(attrs.flatten().shape, values, null, attrs.positions);
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
    attrs.positions,
  );
}
