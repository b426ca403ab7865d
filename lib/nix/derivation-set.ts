// The derivations in a value, found as nix-instantiate finds them: in sets and lists, deeper where a set asks for it.
import { EvalError } from "../eval/error.ts";
import { autoCall } from "../eval/attr-path.ts";
import { Attrs } from "../eval/value/attrs.ts";
import { symbol, symbolName } from "../eval/value/symbol.ts";
import { force } from "../eval/value/thunk.ts";
import { isList, type Value } from "../eval/value/value.ts";
import { forceBool, forceText } from "../eval/vm/demand.ts";

const TYPE = symbol("type");
const DRV_PATH = symbol("drvPath");
const OUTPUT_NAME = symbol("outputName");
const RECURSE = symbol("recurseForDerivations");

/** Names that nix-instantiate looks into: others cannot be written in its attribute paths. */
const NAME = /^[A-Za-z_][A-Za-z0-9\-_+]*$/;

/** A derivation in a value. */
export interface FoundDerivation {
  /** Where it is, `a.b.0`; empty for the value itself. */
  readonly attrPath: string;
  readonly value: Attrs;
}

/** What stands at a place of a value: a derivation, members to look into, or nothing of interest. */
export type Place =
  | { readonly kind: "derivation"; readonly value: Attrs }
  | { readonly kind: "members"; readonly members: ReadonlyMap<string, Member> }
  | { readonly kind: "nothing" };

/** A value inside another one. */
export interface Member {
  readonly value: Value;
  /** Whether it must be looked into; members of sets are when they say so themselves. */
  readonly entered: boolean;
}

/** How a value is looked into. */
export interface WalkOptions {
  /** What functions on the way are called with. */
  readonly args: ReadonlyMap<string, Value>;
  /** Enter every set, whatever it says. Default false. */
  readonly everySet?: boolean;
  /** Look at members of any name, not only at those that nix-instantiate finds. Default false. */
  readonly everyName?: boolean;
}

/** Looks at one place, without going deeper. */
export function lookInto({ value, entered }: Member, options: WalkOptions): Place {
  if (!entered) {
    const v = force(value);
    if (!(v instanceof Attrs)) return { kind: "nothing" };
    if (isDerivation(v)) return { kind: "derivation", value: v };
    const recurse = v.get(RECURSE);
    const enter =
      recurse === undefined ? options.everySet : forceBool(recurse, "the attribute `recurseForDerivations`");
    return enter ? lookInto({ value: v, entered: true }, options) : { kind: "nothing" };
  }
  const v = autoCall(value, options.args);
  if (v instanceof Attrs) {
    return isDerivation(v)
      ? { kind: "derivation", value: v }
      : { kind: "members", members: membersOf(v, options.everyName === true) };
  }
  if (isList(v)) {
    const members = v.map((item, i): [string, Member] => [String(i), { value: item, entered: true }]);
    return { kind: "members", members: new Map(members) };
  }
  throw new EvalError("ERR_EVAL_TYPE", "expression does not evaluate to a derivation (or a set or list of those)");
}

function membersOf(set: Attrs, everyName: boolean): Map<string, Member> {
  const { shape, values } = set.flatten();
  const members = new Map<string, Member>();
  for (const [i, key] of shape.keys.entries()) {
    const name = symbolName(key);
    if (everyName || NAME.test(name)) members.set(name, { value: values[i] as Value, entered: false });
  }
  return members;
}

/** Yields the derivations in a value in order of their names; each once, however often it occurs. */
export function* findDerivations(value: Value, args: ReadonlyMap<string, Value>): Generator<FoundDerivation> {
  const done = new Set<Attrs>();
  function* walk(member: Member, attrPath: string): Generator<FoundDerivation> {
    const place = lookInto(member, { args });
    if (place.kind === "derivation") {
      if (done.has(place.value)) return;
      done.add(place.value);
      yield { attrPath, value: place.value };
    } else if (place.kind === "members") {
      for (const [name, below] of place.members) yield* walk(below, attrPath === "" ? name : `${attrPath}.${name}`);
    }
  }
  yield* walk({ value, entered: true }, "");
}

/** Whether a value is a derivation: a set whose `type` says so. */
export function isDerivation(value: Attrs): boolean {
  const type = value.get(TYPE);
  return type !== undefined && force(type) === "derivation";
}

/** The path of a derivation's file. */
export function drvPathOf(value: Attrs): string {
  const drvPath = value.get(DRV_PATH);
  if (drvPath === undefined)
    throw new EvalError("ERR_EVAL_DERIVATION", "derivation does not contain a 'drvPath' attribute");
  return forceText(drvPath, "the 'drvPath' attribute of a derivation");
}

/** The path of a derivation's file, and which of its outputs the value stands for. */
export function demandedOutput({ value }: FoundDerivation): { drvPath: string; output: string } {
  const drvPath = drvPathOf(value);
  const output = value.get(OUTPUT_NAME);
  if (output === undefined) {
    throw new EvalError("ERR_EVAL_DERIVATION", `derivation '${drvPath}' lacks an 'outputName' attribute`);
  }
  return { drvPath, output: forceText(output, "the 'outputName' attribute of a derivation") };
}
