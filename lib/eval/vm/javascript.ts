// The JavaScript back end, second half: binds emitted text to an evaluator and runs it.

import type { Counts } from "../observer.ts";
import { type AttrPosition, Attrs, EMPTY_ATTRS, type Positions, SlotPositions } from "../value/attrs.ts";
import { type FormalInfo, Lambda, type LambdaInfo } from "../value/function.ts";
import { NixFloat } from "../value/number.ts";
import { internShape, type Shape } from "../value/shape.ts";
import { type Sym, symbol } from "../value/symbol.ts";
import { force, peek, Thunk } from "../value/thunk.ts";
import { NixPath, type Value, type Whnf } from "../value/value.ts";
import { call1, call2, callMany } from "./call.ts";
import { addend, addValues, appended, appendToPath, interpolate, interpolated } from "./coerce.ts";
import { type Emitted, type EmittedTables, type InfoEntry } from "./emit.ts";
import { equalValues } from "./equal.ts";
import * as operate from "./operate.ts";
import { registerScript } from "./script-trace.ts";
import type { Unit } from "./unit.ts";

type DynamicPositions = (taken: readonly number[]) => Positions;

/** What `L` is in emitted text. */
interface Linked {
  readonly rt: Unit["rt"];
  readonly c: Counts | undefined;
  readonly ambient: Attrs;
  readonly y: readonly Sym[];
  readonly h: readonly Shape[];
  readonly p: readonly (Positions | DynamicPositions)[];
  readonly i: readonly LambdaInfo[];
  readonly g: readonly Value[];
  readonly k: readonly Whnf[];
  position(offset: number): Attrs | null;
}

/** What `R` is in emitted text. */
const RUNTIME = {
  Thunk,
  Lambda,
  Attrs,
  EMPTY_ATTRS,
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

/** A lambda's info; its formals are made when first asked for, because most lambdas are never asked. */
class LinkedInfo implements LambdaInfo {
  readonly name: string;
  readonly param: string;
  readonly ellipsis: boolean;
  readonly offset: number;
  readonly immediate: boolean;
  private readonly entry: InfoEntry;
  private readonly names: readonly string[];
  private readonly unit: Unit;
  private made: readonly FormalInfo[] | null = null;

  constructor(entry: InfoEntry, names: readonly string[], unit: Unit) {
    this.name = entry.name;
    this.param = entry.param;
    this.ellipsis = entry.ellipsis;
    this.offset = entry.at;
    this.immediate = entry.immediate;
    this.entry = entry;
    this.names = names;
    this.unit = unit;
  }

  get formals(): readonly FormalInfo[] | null {
    if (this.made === null && this.entry.formals !== null) {
      this.made = this.entry.formals.map(([index, hasDefault, offset]) => {
        const name = this.names[index] as string;
        return { key: symbol(name), name, hasDefault: hasDefault === 1, offset };
      });
    }
    return this.made;
  }

  position(offset: number): AttrPosition | null {
    return this.unit.position(offset);
  }
}

/** Binds the tables of a program to a unit. */
function link(tables: EmittedTables, unit: Unit): Linked {
  const y = tables.names.map(symbol);
  const h = tables.shapes.map((shape) => internShape(shape.map((name) => y[name] as Sym)));
  return {
    rt: unit.rt,
    c: unit.rt.observer?.counts,
    ambient: unit.ambient,
    y,
    h,
    p: tables.positions.map((entry) => {
      if (entry[0] >= 0) return new SlotPositions(entry, 1, unit);
      return (taken: readonly number[]) =>
        new SlotPositions(
          taken.map((i) => entry[i + 1] as number),
          0,
          unit,
        );
    }),
    i: tables.infos.map((info) => new LinkedInfo(info, tables.names, unit)),
    g: tables.globals.map((name) => unit.globals.get(name) as Value),
    k: tables.constants.map((constant) =>
      typeof constant === "number"
        ? new NixFloat(constant)
        : new NixPath(unit.absolute(constant.path, constant.base, constant.open)),
    ),
    position: (offset) => unit.positionSet(offset),
  };
}

/** Binds emitted code to a unit; the result evaluates the root, each time anew. */
export function linkEmitted(emitted: Emitted, wrapper: unknown, file: string, unit: Unit): () => Whnf {
  registerScript(file, unit, emitted.tables.lines);
  const root = (wrapper as Wrapper)(RUNTIME, link(emitted.tables, unit));
  return () => root(undefined);
}

let scripts = 0;

/** A name for a script that no other script of the process has. */
export function scriptName(unit: Unit): string {
  return `nix:${++scripts}:${unit.source.name}`;
}
