// Turning values into strings: interpolation, `+`, toString, and the attributes of derivations.

import { EvalError } from "../error.ts";
import { Attrs } from "../value/attrs.ts";
import { addInts, NixFloat, type NixInt } from "../value/number.ts";
import { ContextBuilder, ContextString, makeString, type StringContext } from "../value/string.ts";
import { symbol } from "../value/symbol.ts";
import { force } from "../value/thunk.ts";
import { isInt, isList, NixPath, type Value, type Whnf } from "../value/value.ts";
import { call1 } from "./call.ts";
import { describeType } from "../value/value.ts";
import { showShort } from "./describe.ts";
import { formatFixed } from "../text/float.ts";
import { canonicalPath } from "../text/path.ts";
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
  return new EvalError("ERR_EVAL_COERCE", `cannot coerce ${describeType(value)} to a string: ${showShort(value, 2)}`);
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

/** One part of an interpolation as a string; each is made one before the next is computed. */
export function interpolated(rt: Runtime, part: Whnf): string | ContextString {
  return coerceValue(rt, part, WEAK_COPY);
}

/** The string of an interpolation; all parts but the last one computed are strings already. */
export function interpolate(rt: Runtime, parts: readonly Whnf[]): string | ContextString {
  let text = "";
  let context: ContextBuilder | null = null;
  for (let i = 0; i < parts.length; i++) {
    const part = parts[i] as Whnf;
    if (typeof part === "string") text += part;
    else {
      context ??= new ContextBuilder();
      text += coerceToString(rt, part, WEAK_COPY, context);
    }
  }
  return context === null ? text : makeString(text, context.context);
}

/** What a set stands for on the left of a `+`. Unlike after a string, paths on the right are not copied to the store. */
export class StringLike {
  readonly text: string;
  readonly context: StringContext;

  constructor(text: string, context: StringContext) {
    this.text = text;
    this.context = context;
  }
}

/** What `+` can begin with. */
export type Addend = NixInt | NixFloat | string | ContextString | NixPath | StringLike;

/** The left side of a `+`, made ready before the right one is computed. Throws for what nothing can be added to. */
export function addend(rt: Runtime, left: Whnf | StringLike): Addend {
  if (typeof left === "string" || typeof left === "number" || typeof left === "bigint") return left;
  if (left instanceof NixFloat || left instanceof ContextString || left instanceof NixPath) return left;
  if (left instanceof StringLike) return left;
  const context = new ContextBuilder();
  return new StringLike(coerceToString(rt, left, WEAK_TEXT, context), context.context);
}

/** `left + right` for anything but two small integers. */
export function addValues(rt: Runtime, left: Whnf | StringLike, right: Whnf): Whnf {
  const head = addend(rt, left);
  if (typeof head === "number" || typeof head === "bigint") {
    if (isInt(right)) return addInts(head, right);
    if (right instanceof NixFloat) return new NixFloat(Number(head) + right.value);
    throw new EvalError("ERR_EVAL_TYPE", `cannot add ${describeType(right)} to an integer`);
  }
  if (head instanceof NixFloat) {
    if (isInt(right)) return new NixFloat(head.value + Number(right));
    if (right instanceof NixFloat) return new NixFloat(head.value + right.value);
    throw new EvalError("ERR_EVAL_TYPE", `cannot add ${describeType(right)} to a float`);
  }
  if (typeof head === "string" && typeof right === "string") return head + right;
  if (head instanceof NixPath) return appendToPath(rt, head, [right]);
  const context = new ContextBuilder();
  if (typeof head !== "string") context.add(head.context);
  const tail = coerceToString(rt, right, head instanceof StringLike ? WEAK_TEXT : WEAK_COPY, context);
  return makeString((typeof head === "string" ? head : head.text) + tail, context.context);
}

/** One part of an interpolated path as a string; each is made one before the next is computed. */
export function appended(rt: Runtime, part: Whnf): string | ContextString {
  return coerceValue(rt, part, WEAK_TEXT);
}

/** A path with texts appended to it, made canonical. */
export function appendToPath(rt: Runtime, path: NixPath, parts: readonly Whnf[]): NixPath {
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
