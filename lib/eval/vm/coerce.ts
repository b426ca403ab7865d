// Turning values into strings: interpolation, `+`, toString, and the attributes of derivations.

import { EvalError } from "../error.ts";
import { Attrs } from "../value/attrs.ts";
import { addInts, NixFloat } from "../value/number.ts";
import { ContextBuilder, ContextString, makeString } from "../value/string.ts";
import { symbol } from "../value/symbol.ts";
import { force } from "../value/thunk.ts";
import { isInt, isList, NixPath, type Value, type Whnf } from "../value/value.ts";
import { call1 } from "./call.ts";
import { describeType } from "../value/value.ts";
import { describeValue } from "./describe.ts";
import { formatFixed } from "./float-text.ts";
import { canonicalPath } from "./path-text.ts";
import type { Runtime } from "./runtime.ts";

const TO_STRING = symbol("__toString");
const OUT_PATH = symbol("outPath");

/**
 * How far coercion goes. `strong`: also numbers, Booleans, null and lists (toString, derivations). `copy`: a path
 * means its copy in the store (interpolation, derivations), else its text.
 */
export interface Coercion {
  readonly strong: boolean;
  readonly copy: boolean;
}

/** Interpolation, concatStringsSep, throw. */
export const WEAK_COPY: Coercion = { strong: false, copy: true };
/** baseNameOf, pathExists, the right side of a path and `+`. */
export const WEAK_TEXT: Coercion = { strong: false, copy: false };
/** toString. */
export const STRONG_TEXT: Coercion = { strong: true, copy: false };
/** The attributes of derivations. */
export const STRONG_COPY: Coercion = { strong: true, copy: true };

/** The text of a value; what it refers to is added to `context`. */
export function coerceToString(rt: Runtime, value: Value, mode: Coercion, context: ContextBuilder): string {
  const v = force(value);
  if (typeof v === "string") return v;
  if (v instanceof ContextString) {
    context.add(v.context);
    return v.text;
  }
  if (v instanceof NixPath) {
    if (!mode.copy) return v.text;
    const copied = rt.copyPath(v.text);
    context.add(copied.context);
    return copied.text;
  }
  if (v instanceof Attrs) {
    const method = v.get(TO_STRING);
    if (method !== undefined) return coerceToString(rt, call1(method, v), mode, context);
    const outPath = v.get(OUT_PATH);
    if (outPath !== undefined) return coerceToString(rt, outPath, mode, context);
    throw cannotCoerce(v);
  }
  if (!mode.strong) throw cannotCoerce(v);
  if (isInt(v)) return String(v);
  if (v instanceof NixFloat) return formatFixed(v.value);
  if (typeof v === "boolean") return v ? "1" : "";
  if (v === null) return "";
  if (isList(v)) return coerceList(rt, v, mode, context);
  throw cannotCoerce(v);
}

function coerceList(rt: Runtime, list: readonly Value[], mode: Coercion, context: ContextBuilder): string {
  let out = "";
  for (let i = 0; i < list.length; i++) {
    const item = force(list[i] as Value);
    out += coerceToString(rt, item, mode, context);
    // No space after an empty list: an oddity that derivations depend on.
    if (i < list.length - 1 && !(isList(item) && item.length === 0)) out += " ";
  }
  return out;
}

function cannotCoerce(value: Whnf): EvalError {
  return new EvalError("ERR_EVAL_COERCE", `cannot coerce ${describeValue(value)} to a string`);
}

/** The string of a value: {@link coerceToString} when only one value is coerced. */
export function coerceValue(rt: Runtime, value: Value, mode: Coercion): string | ContextString {
  const v = force(value);
  if (typeof v === "string" || v instanceof ContextString) return v;
  if (mode.strong && typeof v === "number") return String(v);
  const context = new ContextBuilder();
  const text = coerceToString(rt, v, mode, context);
  return makeString(text, context.context);
}

/** The string of an interpolation; parts are values in order. */
export function interpolate(rt: Runtime, parts: readonly Value[]): string | ContextString {
  let text = "";
  let context: ContextBuilder | null = null;
  for (let i = 0; i < parts.length; i++) {
    const part = force(parts[i] as Value);
    if (typeof part === "string") text += part;
    else {
      context ??= new ContextBuilder();
      text += coerceToString(rt, part, WEAK_COPY, context);
    }
  }
  return context === null ? text : makeString(text, context.context);
}

/** `left + right` for anything but two small integers. */
export function addValues(rt: Runtime, left: Whnf, right: Whnf): Whnf {
  if (isInt(left)) {
    if (isInt(right)) return addInts(left, right);
    if (right instanceof NixFloat) return new NixFloat(Number(left) + right.value);
    throw new EvalError("ERR_EVAL_TYPE", `cannot add ${describeType(right)} to an integer`);
  }
  if (left instanceof NixFloat) {
    if (isInt(right)) return new NixFloat(left.value + Number(right));
    if (right instanceof NixFloat) return new NixFloat(left.value + right.value);
    throw new EvalError("ERR_EVAL_TYPE", `cannot add ${describeType(right)} to a float`);
  }
  if (typeof left === "string" && typeof right === "string") return left + right;
  if (left instanceof NixPath) return appendToPath(rt, left, [right]);
  const context = new ContextBuilder();
  // Only a string on the left makes paths on the right be copied; a set that stands for a string does not.
  const mode = typeof left === "string" || left instanceof ContextString ? WEAK_COPY : WEAK_TEXT;
  const head = coerceToString(rt, left, mode, context);
  return makeString(head + coerceToString(rt, right, mode, context), context.context);
}

/** A path with texts appended to it, made canonical. */
export function appendToPath(rt: Runtime, path: NixPath, parts: readonly Value[]): NixPath {
  const context = new ContextBuilder();
  let text = path.text;
  for (const part of parts) text += coerceToString(rt, part, WEAK_TEXT, context);
  if (context.context.size > 0) {
    throw new EvalError("ERR_EVAL_CONTEXT", "a string that refers to a store path cannot be appended to a path");
  }
  return new NixPath(canonicalPath(text));
}

/** The absolute path that a value means: a path, or a string or set that coerces to an absolute path. */
export function coerceToPath(rt: Runtime, value: Value, context: ContextBuilder): string {
  const v = force(value);
  if (v instanceof NixPath) return v.text;
  const text = coerceToString(rt, v, WEAK_TEXT, context);
  if (text === "" || !text.startsWith("/")) {
    throw new EvalError("ERR_EVAL_ARGUMENT", `string '${text}' doesn't represent an absolute path`);
  }
  return canonicalPath(text);
}
