// Calls of built-in functions as data: written as Nix for the oracle, and made directly for us.
import { EvalError } from "../../../lib/eval/error.ts";
import type { Builtin, BuiltinTable } from "../../../lib/eval/builtins/define.ts";
import { type AttrPosition, type Attrs, attrsFromMap } from "../../../lib/eval/value/attrs.ts";
import { Lambda, type LambdaInfo } from "../../../lib/eval/value/function.ts";
import { makeInt, NixFloat } from "../../../lib/eval/value/number.ts";
import { ContextString, makeString, parseContextElement } from "../../../lib/eval/value/string.ts";
import { type Sym, symbol } from "../../../lib/eval/value/symbol.ts";
import { isString, NixPath, type Value } from "../../../lib/eval/value/value.ts";
import { delay } from "../../../lib/eval/vm/call.ts";
import { printValue } from "../../../lib/eval/vm/print.ts";
import type { Runtime } from "../../../lib/eval/vm/runtime.ts";
import { nixString } from "../engine/oracle.ts";

/** An argument: JSON with integers only, or one of the special forms below. Strings are one char per byte. */
export type Argument =
  | null
  | boolean
  | number
  | string
  | readonly Argument[]
  | { readonly [name: string]: Argument }
  | Special;

/** Values that JSON cannot say. */
export class Special {
  readonly nix: string;
  readonly make: () => Value;

  constructor(nix: string, make: () => Value) {
    this.nix = nix;
    this.make = make;
  }
}

/** An integer beyond the safe ones. */
export const int = (digits: string): Special =>
  new Special(digits.startsWith("-") ? `(${digits} - 1)` : digits, () =>
    makeInt(digits.startsWith("-") ? BigInt(digits) - 1n : BigInt(digits)),
  );
/** A float, given as its shortest text. */
export const float = (value: number): Special =>
  new Special(
    `(builtins.fromJSON "${Number.isInteger(value) ? value.toExponential() : value}")`,
    () => new NixFloat(value),
  );
export const path = (text: string): Special => new Special(text, () => new NixPath(text));
/** A value that must not be needed, or the error is `throw`'s. */
export const thrown: Special = new Special('(throw "needed")', () =>
  delay(() => {
    throw new EvalError("ERR_EVAL_THROW", "needed");
  }),
);

/** A function, for what can be seen of it without calling it. */
export function lambda(nix: string, info: Pick<LambdaInfo, "param" | "formals" | "ellipsis">): Special {
  const position = (offset: number): AttrPosition => ({ file: "\u00abstring\u00bb", line: 1, column: offset });
  const body = (): never => {
    throw new Error("not to be called");
  };
  return new Special(
    `(${nix})`,
    () => new Lambda(body, null, { ...info, name: "", offset: 0, immediate: false, position }, null),
  );
}

/** A string that refers to store paths; elements as in value/string.ts. */
export function contextual(text: string, ...elements: string[]): Special {
  const entries = elements.map((element) => {
    const parsed = parseContextElement(element);
    if (parsed.kind === "path") return `"${parsed.path}" = { path = true; };`;
    if (parsed.kind === "deep") return `"${parsed.drv}" = { allOutputs = true; };`;
    return `"${parsed.drv}" = { outputs = [ "${parsed.output}" ]; };`;
  });
  return new Special(`(builtins.appendContext ${nixString(text)} { ${entries.join(" ")} })`, () =>
    makeString(text, new Set(elements)),
  );
}

function toNix(argument: Argument): string {
  if (argument instanceof Special) return argument.nix;
  if (typeof argument === "string") return nixString(argument);
  if (Array.isArray(argument)) return `[ ${argument.map(toNix).join(" ")} ]`;
  if (typeof argument === "object" && argument !== null) {
    return `{ ${Object.entries(argument)
      .map(([name, value]) => `${nixString(name)} = ${toNix(value)};`)
      .join(" ")} }`;
  }
  return typeof argument === "number" && argument < 0 ? `(${argument})` : String(argument);
}

function toValue(argument: Argument): Value {
  if (argument instanceof Special) return argument.make();
  if (Array.isArray(argument)) return argument.map(toValue);
  if (typeof argument === "object" && argument !== null) {
    return attrsFromMap(new Map(Object.entries(argument).map(([name, value]) => [symbol(name), toValue(value)])));
  }
  return argument;
}

/** A call: the function's name and its arguments. */
export type Call = readonly [name: string, ...args: Argument[]];

/** The call as Nix; of a string the context is shown, too. */
export function callToNix([name, ...args]: Call): string {
  const call = `builtins.${name} ${args.map(toNix).join(" ")}`;
  return `let r = ${call}; in if builtins.isString r then [ r (builtins.getContext r) ] else r`;
}

/** What the calls of these families need of a runtime: the features, none. */
const RUNTIME = { settings: { features: new Set() } } as unknown as Runtime;

/** Makes the call and prints the result as the oracle would, or answers the message of the error. */
export function makeCall(
  tables: readonly BuiltinTable[],
  [name, ...args]: Call,
): { printed: string } | { error: string } {
  const builtin = tables.flat().find((entry): entry is Builtin => entry.name === name);
  if (builtin === undefined) throw new Error(`no builtin ${name}`);
  const [a = null, b = null, c = null] = args.map(toValue);
  try {
    const result = builtin.run(RUNTIME, a, b, c);
    return { printed: printValue(isString(result) ? [result, contextSet(result)] : result, { strict: true }) };
  } catch (error) {
    if (error instanceof EvalError) return { error: error.text };
    throw error;
  }
}

/** What is known of one store path while a context is shown as a set. */
interface Entry {
  path: boolean;
  deep: boolean;
  readonly outputs: string[];
}

/** The context of a string as a set: per store path, what of it is referred to. */
function contextSet(string: string | ContextString): Attrs {
  const entries = new Map<Sym, Entry>();
  for (const element of string instanceof ContextString ? string.context : []) {
    const parsed = parseContextElement(element);
    const key = symbol(parsed.kind === "path" ? parsed.path : parsed.drv);
    const entry = entries.get(key) ?? { path: false, deep: false, outputs: [] };
    entries.set(key, entry);
    if (parsed.kind === "path") entry.path = true;
    else if (parsed.kind === "deep") entry.deep = true;
    else entry.outputs.push(parsed.output);
  }
  const sets = new Map<Sym, Value>();
  for (const [key, entry] of entries) {
    const info = new Map<Sym, Value>();
    if (entry.path) info.set(symbol("path"), true);
    if (entry.deep) info.set(symbol("allOutputs"), true);
    if (entry.outputs.length > 0) info.set(symbol("outputs"), entry.outputs.sort());
    sets.set(key, attrsFromMap(info));
  }
  return attrsFromMap(sets);
}
