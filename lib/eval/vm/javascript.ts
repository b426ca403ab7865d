// The JavaScript back end, second half: binds emitted text to an evaluator and runs it.

import type { Counts } from "../observer.ts";
import { type AttrPosition, Attrs, EMPTY_ATTRS, type Positions, SlotPositions } from "../value/attrs.ts";
import { type FormalInfo, Lambda, type LambdaInfo } from "../value/function.ts";
import { NixFloat } from "../value/number.ts";
import type { PathBase } from "../syntax/ast.ts";
import { internShape, type Shape } from "../value/shape.ts";
import { type Sym, symbol } from "../value/symbol.ts";
import { force, peek, Thunk } from "../value/thunk.ts";
import { NixPath, type Value, type Whnf } from "../value/value.ts";
import { call1, call2, callMany, delayAll } from "./call.ts";
import { addend, addValues, appended, appendToPath, interpolate, interpolated } from "./coerce.ts";
import type { Emitted, InfoEntry } from "./emitted.ts";
import { equalValues } from "./equal.ts";
import * as operate from "./operate.ts";
import type { DynamicPositions } from "./operate.ts";
import { registerScript } from "./script-trace.ts";
import type { Unit } from "./unit.ts";

/** What `L` is in emitted text. */
interface Linked {
  readonly rt: Unit["rt"];
  readonly c: Counts | undefined;
  readonly ambient: Attrs;
  readonly y: readonly Sym[];
  readonly g: readonly Value[];
  /** A set of known names: the number of the literal, that of its shape, the values. */
  attrs(index: number, shape: number, values: Value[]): Attrs;
  places(index: number): DynamicPositions;
  info(index: number, immediate: boolean): LambdaInfo;
  path(text: string, base: PathBase, open: boolean): NixPath;
  float(text: string): NixFloat;
  position(offset: number): Attrs | null;
}

/** What `R` is in emitted text. */
const RUNTIME = {
  Thunk,
  Lambda,
  EMPTY_ATTRS,
  delayAll,
  force,
  peek,
  call1,
  call2,
  callMany,
  select: operate.select,
  lookup: operate.lookup,
  hasAttr: operate.hasAttr,
  attrName: operate.attrName,
  lookupWith: operate.lookupWith,
  bool: operate.bool,
  equal: equalValues,
  less: operate.less,
  add: addValues,
  sub: operate.sub,
  mul: operate.mul,
  div: operate.div,
  override: operate.override,
  update: operate.update,
  concat: operate.concat,
  addend,
  interpolated,
  interpolate,
  appended,
  append: appendToPath,
  dynamicName: operate.dynamicName,
  addDynamic: operate.addDynamic,
  overrideSet: operate.overrideSet,
  demandPattern: operate.demandPattern,
  missingArgument: operate.missingArgument,
  checkUnexpected: operate.checkUnexpected,
  assertionFailed: operate.assertionFailed,
};

type Wrapper = (runtime: typeof RUNTIME, linked: Linked) => (frame: undefined) => Whnf;

/** The unchanging part of a lambda's closures, looked up when asked for: most lambdas are never asked. */
class LinkedInfo implements LambdaInfo {
  readonly immediate: boolean;
  private readonly emitted: Emitted;
  private readonly index: number;
  private readonly unit: Unit;
  private made: readonly FormalInfo[] | null = null;

  constructor(emitted: Emitted, index: number, immediate: boolean, unit: Unit) {
    this.emitted = emitted;
    this.index = index;
    this.immediate = immediate;
    this.unit = unit;
  }

  private get entry(): InfoEntry {
    return this.emitted.details().infos[this.index] as InfoEntry;
  }

  get name(): string {
    return this.entry.name;
  }

  get param(): string {
    return this.entry.param;
  }

  get ellipsis(): boolean {
    return this.entry.ellipsis;
  }

  get offset(): number {
    return this.entry.at;
  }

  get formals(): readonly FormalInfo[] | null {
    const { formals } = this.entry;
    if (this.made === null && formals !== null) {
      this.made = formals.map(([index, hasDefault, offset]) => {
        const name = this.emitted.tables.names[index] as string;
        return { key: symbol(name), name, hasDefault: hasDefault === 1, offset };
      });
    }
    return this.made;
  }

  position(offset: number): AttrPosition | null {
    return this.unit.position(offset);
  }
}

/** The positions of the attributes of a set literal. */
class LinkedPositions implements Positions, DynamicPositions {
  private readonly emitted: Emitted;
  private readonly index: number;
  private readonly unit: Unit;

  constructor(emitted: Emitted, index: number, unit: Unit) {
    this.emitted = emitted;
    this.index = index;
    this.unit = unit;
  }

  find(slot: number): AttrPosition | null {
    const offset = this.emitted.details().positions[this.index]?.[slot];
    return offset === undefined ? null : this.unit.position(offset);
  }

  pick(taken: readonly number[]): Positions {
    const entry = this.emitted.details().positions[this.index] as readonly number[];
    return new SlotPositions(
      taken.map((i) => entry[i] as number),
      0,
      this.unit,
    );
  }
}

/** Binds the tables of a program to a unit. */
function link(emitted: Emitted, unit: Unit): Linked {
  const { tables } = emitted;
  const y = tables.names.map(symbol);
  const shapes: (Shape | undefined)[] = [];
  const positions: (Positions | undefined)[] = [];
  // Room for all at once: arrays that are filled here and there would become hash tables.
  shapes.length = tables.shapes.length;
  positions.length = tables.sets;
  const shapeOf = (index: number): Shape => {
    const names = tables.shapes[index] as readonly number[];
    return (shapes[index] = internShape(names.map((name) => y[name] as Sym)));
  };
  const positionsOf = (index: number): Positions => (positions[index] = new LinkedPositions(emitted, index, unit));
  return {
    rt: unit.rt,
    c: unit.rt.observer?.counts,
    ambient: unit.ambient,
    y,
    g: tables.globals.map((name) => unit.globals.get(name) as Value),
    attrs: (index, shape, values) =>
      new Attrs(shapes[shape] ?? shapeOf(shape), values, null, positions[index] ?? positionsOf(index)),
    places: (index) => new LinkedPositions(emitted, index, unit),
    info: (index, immediate) => new LinkedInfo(emitted, index, immediate, unit),
    path: (text, base, open) => new NixPath(unit.absolute(text, base, open)),
    float: (text) => new NixFloat(Number(text)),
    position: (offset) => unit.positionSet(offset),
  };
}

/** Binds emitted code to a unit; the result evaluates the root, each time anew. */
export function linkEmitted(emitted: Emitted, wrapper: unknown, name: string, unit: Unit): () => Whnf {
  unit.lines = () => emitted.details().lines;
  registerScript(name, unit);
  const root = (wrapper as Wrapper)(RUNTIME, link(emitted, unit));
  return () => root(undefined);
}
