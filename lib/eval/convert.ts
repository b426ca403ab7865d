// Values to JavaScript and back, for users of the library.

import { type BuiltinBody, define } from "./builtins/define.ts";
import { EvalError } from "./error.ts";
import { byteStringToText, textToByteString } from "./source.ts";
import { Attrs, attrsFromPairs } from "./value/attrs.ts";
import { PrimOp } from "./value/function.ts";
import { checkInt, NixFloat } from "./value/number.ts";
import { ContextString } from "./value/string.ts";
import { symbol, symbolName } from "./value/symbol.ts";
import { force } from "./value/thunk.ts";
import { isFunction, isList, NixPath, type Value } from "./value/value.ts";
import { callMany } from "./vm/call.ts";
import type { Runtime } from "./vm/runtime.ts";

/**
 * What {@link toJs} yields: integers as `number` when safe and `bigint` beyond, floats as `number`, strings as text
 * (bytes that are not UTF-8 as `\xNN`), paths as their text, sets as objects without a prototype, functions as
 * functions that convert their arguments and result. Contexts of strings are dropped.
 */
export type JsValue =
  | null
  | boolean
  | number
  | bigint
  | string
  | JsValue[]
  | { [name: string]: JsValue }
  | ((...args: JsInput[]) => JsValue);

/**
 * What {@link fromJs} takes. A `number` that is not an integer becomes a float; objects are plain ones. A function is called
 * with the {@link JsValue}s of its arguments, one to three as its `length` says; what it throws ends the evaluation.
 */
export type JsInput =
  | null
  | boolean
  | number
  | bigint
  | string
  | readonly JsInput[]
  | ReadonlyMap<string, JsInput>
  | { readonly [name: string]: JsInput }
  | ((...args: never[]) => JsInput)
  | NixFloat
  | NixPath
  | Attrs;

/** Computes everything in a value and converts it. A value that contains itself is an error. */
export function toJs(value: Value): JsValue {
  return convert(value, new Set());
}

function convert(value: Value, open: Set<object>): JsValue {
  const v = force(value);
  if (v === null || typeof v === "boolean" || typeof v === "number" || typeof v === "bigint") return v;
  if (typeof v === "string") return byteStringToText(v);
  if (v instanceof ContextString) return byteStringToText(v.text);
  if (v instanceof NixFloat) return v.value;
  if (v instanceof NixPath) return byteStringToText(v.text);
  if (isFunction(v)) return (...args) => toJs(callMany(v, args.map(fromJs)));
  if (open.has(v)) throw new EvalError("ERR_EVAL_TYPE", "a value that contains itself has no JavaScript form");
  open.add(v);
  const result = isList(v) ? v.map((item) => convert(item, open)) : convertAttrs(v, open);
  open.delete(v);
  return result;
}

function convertAttrs(attrs: Attrs, open: Set<object>): { [name: string]: JsValue } {
  const { shape, values } = attrs.flatten();
  // Without a prototype, so that names like `__proto__` are names like any other.
  const out = Object.create(null) as { [name: string]: JsValue };
  shape.keys.forEach((key, i) => {
    out[byteStringToText(symbolName(key))] = convert(values[i] as Value, open);
  });
  return out;
}

/** A JavaScript value as a Nix value. */
export function fromJs(input: JsInput): Value {
  switch (typeof input) {
    case "boolean":
      return input;
    case "string":
      return textToByteString(input);
    case "number":
      return Number.isSafeInteger(input) ? input + 0 : new NixFloat(input);
    case "bigint": {
      const int = checkInt(input);
      if (int === undefined) throw new EvalError("ERR_EVAL_OVERFLOW", `${input} does not fit 64 bits`);
      return int;
    }
    case "function":
      return fromFunction(input as (...args: JsValue[]) => JsInput);
    case "undefined":
    case "symbol":
      throw noValue(typeof input);
    default:
  }
  if (input === null) return null;
  if (input instanceof NixFloat || input instanceof NixPath || input instanceof Attrs) return input;
  if (Array.isArray(input)) return (input as readonly JsInput[]).map(fromJs);
  if (!(input instanceof Map) && !isPlain(input))
    throw noValue(`an instance of ${input.constructor?.name ?? "a class"}`);
  const entries = input instanceof Map ? [...input] : Object.entries(input);
  return attrsFromPairs(
    entries.map(([name]) => symbol(textToByteString(name as string))),
    entries.map(([, value]) => fromJs(value as JsInput)),
  );
}

/** Whether an object is one of no class: a literal, or one without a prototype. */
function isPlain(input: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(input);
  // Also those of another realm, such as a page's frame.
  return prototype === null || Object.getPrototypeOf(prototype) === null;
}

function noValue(what: string): EvalError {
  return new EvalError("ERR_EVAL_ARGUMENT", `${what} of JavaScript has no form in the Nix language`);
}

function fromFunction(f: (...args: JsValue[]) => JsInput): Value {
  const arity = Math.max(1, f.length);
  if (arity > 3) throw noValue(`a function of ${arity} arguments`);
  const run: BuiltinBody = (_rt, ...args) => force(fromJs(f(...args.slice(0, arity).map(toJs))));
  const builtin = define(textToByteString(f.name || "function"), "!".repeat(arity), "A function of JavaScript.", run);
  return new PrimOp(builtin, NO_RUNTIME);
}

/** Functions of JavaScript ask nothing of an evaluator. */
const NO_RUNTIME = null as unknown as Runtime;
