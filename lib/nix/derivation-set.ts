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

/** Names that are looked into; others cannot be written in an attribute path. */
const NAME = /^[A-Za-z_][A-Za-z0-9\-_+]*$/;

/** A derivation in a value. */
export interface FoundDerivation {
  /** Where it is, `a.b.0`; empty for the value itself. */
  readonly attrPath: string;
  readonly value: Attrs;
}

/** Yields the derivations in a value in order of their names; each once, however often it occurs. */
export function findDerivations(value: Value, args: ReadonlyMap<string, Value>): Generator<FoundDerivation> {
  return walk(value, "", args, new Set());
}

function* walk(
  value: Value,
  path: string,
  args: ReadonlyMap<string, Value>,
  done: Set<Attrs>,
): Generator<FoundDerivation> {
  const v = autoCall(value, args);
  const below = (part: string): string => (path === "" ? part : `${path}.${part}`);
  if (v instanceof Attrs) {
    if (isDerivation(v)) yield* once(v, path, done);
    else yield* walkSet(v, below, args, done);
  } else if (isList(v)) {
    for (const [i, item] of v.entries()) yield* walk(item, below(String(i)), args, done);
  } else {
    throw new EvalError("ERR_EVAL_TYPE", "expression does not evaluate to a derivation (or a set or list of those)");
  }
}

function* walkSet(
  set: Attrs,
  below: (part: string) => string,
  args: ReadonlyMap<string, Value>,
  done: Set<Attrs>,
): Generator<FoundDerivation> {
  const { shape, values } = set.flatten();
  for (const [i, key] of shape.keys.entries()) {
    const name = symbolName(key);
    if (!NAME.test(name)) continue;
    const item = force(values[i] as Value);
    if (!(item instanceof Attrs)) continue;
    if (isDerivation(item)) yield* once(item, below(name), done);
    else {
      const recurse = item.get(RECURSE);
      const enter = recurse !== undefined && forceBool(recurse, "the attribute `recurseForDerivations`");
      if (enter) yield* walk(item, below(name), args, done);
    }
  }
}

function* once(value: Attrs, attrPath: string, done: Set<Attrs>): Generator<FoundDerivation> {
  if (done.has(value)) return;
  done.add(value);
  yield { attrPath, value };
}

/** Whether a value is a derivation: a set whose `type` says so. */
export function isDerivation(value: Attrs): boolean {
  const type = value.get(TYPE);
  return type !== undefined && force(type) === "derivation";
}

/** The path of a derivation's file, and which of its outputs the value stands for. */
export function demandedOutput({ value }: FoundDerivation): { drvPath: string; output: string } {
  const drvPath = value.get(DRV_PATH);
  if (drvPath === undefined)
    throw new EvalError("ERR_EVAL_DERIVATION", "derivation does not contain a 'drvPath' attribute");
  const path = forceText(drvPath, "the 'drvPath' attribute of a derivation");
  const output = value.get(OUTPUT_NAME);
  if (output === undefined) {
    throw new EvalError("ERR_EVAL_DERIVATION", `derivation '${path}' lacks an 'outputName' attribute`);
  }
  return { drvPath: path, output: forceText(output, "the 'outputName' attribute of a derivation") };
}
