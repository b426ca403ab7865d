// The operations of instructions, shared by both back ends: what the code does when the quick case does not apply.

import { suggestNames } from "../diagnostic.ts";
import { EvalError } from "../error.ts";
import { Attrs, attrsFromPairs, EMPTY_ATTRS, type Positions, updateAttrs } from "../value/attrs.ts";
import type { FormalInfo, LambdaInfo } from "../value/function.ts";
import { divideInts, multiplyInts, NixFloat, type NixInt, subtractInts } from "../value/number.ts";
import { type Sym, symbol, symbolName } from "../value/symbol.ts";
import { force, Thunk } from "../value/thunk.ts";
import { isInt, type List, type Value, type Whnf } from "../value/value.ts";
import { forceFloat, forcePlainString, typeError } from "./demand.ts";
import { compareValues } from "./equal.ts";

/** `set.name`. */
export function select(subject: Whnf, key: Sym): Whnf {
  if (subject instanceof Attrs) {
    const value = subject.get(key);
    if (value !== undefined) return value instanceof Thunk ? value.force() : value;
  }
  throw noAttribute(subject, key);
}

/** The attribute as it is stored, or `undefined` when there is none or `subject` is no set. */
export function lookup(subject: Whnf, key: Sym): Value | undefined {
  return subject instanceof Attrs ? subject.get(key) : undefined;
}

/** `subject ? name`. */
export function hasAttr(subject: Whnf, key: Sym): boolean {
  return subject instanceof Attrs && subject.has(key);
}

/** The error for an attribute that is not there, or for a subject that is no set. */
export function noAttribute(subject: Whnf, key: Sym): EvalError {
  if (!(subject instanceof Attrs)) return typeError("a set", subject, "");
  return new MissingAttribute(symbolName(key), subject);
}

/** An attribute that is not there; keeps the set for suggestions. */
export class MissingAttribute extends EvalError {
  readonly attribute: string;
  readonly set: Attrs;

  constructor(attribute: string, set: Attrs, message = `attribute '${attribute}' missing`) {
    super("ERR_EVAL_MISSING_ATTRIBUTE", message);
    this.attribute = attribute;
    this.set = set;
  }
}

/** The symbol of a computed attribute name. */
export function attrName(value: Whnf): Sym {
  return symbol(forcePlainString(value, "an attribute name"));
}

/** A name looked up in the sets of `with`, innermost first. */
export function lookupWith(sets: readonly Value[], key: Sym): Whnf {
  for (const set of sets) {
    const found = findWith(set, key);
    if (found !== undefined) return force(found);
  }
  throw new MissingVariable(symbolName(key), sets);
}

/** What the set of one `with` has under a name, if anything. */
export function findWith(set: Value, key: Sym): Value | undefined {
  const value = force(set);
  if (value instanceof Attrs) return value.get(key);
  throw typeError("a set", value, "the first subexpression of a with expression");
}

/** A name that no `with` around it has; keeps their sets for suggestions. */
export class MissingVariable extends EvalError {
  readonly variable: string;
  readonly sets: readonly Attrs[];

  constructor(variable: string, sets: readonly Value[]) {
    super("ERR_EVAL_UNDEFINED_VARIABLE", `undefined variable '${variable}'`);
    this.variable = variable;
    this.sets = sets.map((set) => force(set) as Attrs);
  }
}

/** A Boolean, for conditions and logic. */
export function bool(value: Whnf): boolean {
  if (typeof value === "boolean") return value;
  throw typeError("a Boolean", value, "");
}

/** The right side of `//`: it is computed, and must be a set, before the left one. */
export function override(right: Whnf): Attrs {
  if (right instanceof Attrs) return right;
  throw typeError("a set", right, "");
}

/** `left // right`, in the order in which they are computed. */
export function update(right: Attrs, left: Whnf): Attrs {
  if (left instanceof Attrs) return updateAttrs(left, right);
  throw typeError("a set", left, "");
}

/** `left ++ right`. */
export function concat(left: Whnf, right: Whnf): List {
  if (!Array.isArray(left)) throw typeError("a list", left, "");
  if (!Array.isArray(right)) throw typeError("a list", right, "");
  if (left.length === 0) return right as List;
  if (right.length === 0) return left as List;
  return (left as Value[]).concat(right as Value[]);
}

/** `left < right`. */
export function less(left: Whnf, right: Whnf): boolean {
  return compareValues(left, right) < 0;
}

function arithmetic(
  left: Whnf,
  right: Whnf,
  ints: (a: NixInt, b: NixInt) => NixInt,
  floats: (a: number, b: number) => number,
): Whnf {
  if (isInt(left) && isInt(right)) return ints(left, right);
  if (left instanceof NixFloat || right instanceof NixFloat) {
    return new NixFloat(floats(forceFloat(left, ""), forceFloat(right, "")));
  }
  throw typeError("an integer", isInt(left) ? right : left, "");
}

/** `left - right`. */
export function sub(left: Whnf, right: Whnf): Whnf {
  return arithmetic(left, right, subtractInts, (a, b) => a - b);
}

/** `left * right`. */
export function mul(left: Whnf, right: Whnf): Whnf {
  return arithmetic(left, right, multiplyInts, (a, b) => a * b);
}

/** `left / right`. The divisor is looked at first. */
export function div(left: Whnf, right: Whnf): Whnf {
  if (forceFloat(right, "") === 0) throw new EvalError("ERR_EVAL_DIVISION_BY_ZERO", "division by zero");
  return arithmetic(left, right, divideInts, (a, b) => a / b);
}

/** A failed `assert`; `notes` say more of why. */
export function assertionFailed(text: string, notes: readonly string[] = []): never {
  throw new EvalError("ERR_EVAL_ASSERTION", `assertion '${text}' failed`, { notes });
}

/** A dynamic attribute's name, null for none; it must be one before the next name is computed. */
export function dynamicName(name: Whnf): string | null {
  return name === null ? null : forcePlainString(name, "an attribute name");
}

/** Where the dynamic attributes of a set are in the source. */
export interface DynamicPositions {
  /** The positions of those that came about, in the order of `taken`. */
  pick(taken: readonly number[]): Positions;
}

/** Adds dynamic attributes to a set; `names` are values in weak head normal form, null drops the attribute. */
export function addDynamic(
  set: Attrs,
  names: readonly Whnf[],
  values: readonly Value[],
  positions: DynamicPositions,
): Attrs {
  const keys: Sym[] = [];
  const kept: Value[] = [];
  const taken: number[] = [];
  for (let i = 0; i < names.length; i++) {
    const name = names[i] as Whnf;
    if (name === null) continue;
    const key = attrName(name);
    if (set.has(key) || keys.includes(key)) {
      throw new EvalError("ERR_EVAL_DUPLICATE_ATTRIBUTE", `dynamic attribute '${symbolName(key)}' already defined`);
    }
    keys.push(key);
    kept.push(values[i] as Value);
    taken.push(i);
  }
  if (keys.length === 0) return set;
  const added = attrsFromPairs(keys, kept);
  const order = added.shape.keys.map((key) => taken[keys.indexOf(key)] as number);
  const positioned = new Attrs(added.shape, added.values, null, positions.pick(order));
  return set === EMPTY_ATTRS ? positioned : updateAttrs(set, positioned);
}

/** The set that a function with a set pattern was called with. */
export function demandPattern(argument: Value, info: LambdaInfo): Attrs {
  const set = force(argument);
  if (set instanceof Attrs) return set;
  throw typeError("a set", set, `the argument of ${functionName(info)}`);
}

/** Checks that a call passed no attributes but those of the pattern; `matched` is how many of those it passed. */
export function checkUnexpected(set: Attrs, matched: number, info: LambdaInfo): void {
  if (set.size === matched) return;
  const formals = info.formals as readonly FormalInfo[];
  const known = new Set(formals.map((formal) => formal.key));
  const unexpected = set.flatten().shape.keys.find((key) => !known.has(key)) as Sym;
  throw new EvalError(
    "ERR_EVAL_CALL",
    `${functionName(info)} called with unexpected argument '${symbolName(unexpected)}'`,
    {
      notes: suggestions(
        symbolName(unexpected),
        formals.map((formal) => formal.name),
      ),
    },
  );
}

/** The error for a call that lacks an attribute of the pattern. */
export function missingArgument(info: LambdaInfo, name: string): never {
  throw new EvalError("ERR_EVAL_CALL", `${functionName(info)} called without required argument '${name}'`);
}

function functionName(info: LambdaInfo): string {
  return info.name === "" ? "function 'anonymous lambda'" : `function '${info.name}'`;
}

function suggestions(name: string, candidates: Iterable<string>): string[] {
  const found = suggestNames(name, candidates);
  return found.length === 0 ? [] : [`did you mean ${found.map((candidate) => `'${candidate}'`).join(" or ")}?`];
}

/** The value of `__overrides`. */
export function overrideSet(value: Value): Attrs {
  const set = force(value);
  if (set instanceof Attrs) return set;
  throw typeError("a set", set, "the `__overrides` attribute");
}
