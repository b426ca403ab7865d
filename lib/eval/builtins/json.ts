// toJSON and fromJSON.
import { type JsonBuilder, parseJson } from "../engine/json-parse.ts";
import { jsonFloat, jsonString } from "../engine/json-write.ts";
import { EvalError } from "../error.ts";
import { Attrs, attrsFromPairs } from "../value/attrs.ts";
import { INT_MAX, makeInt, NixFloat } from "../value/number.ts";
import { ContextBuilder, ContextString, makeString } from "../value/string.ts";
import { symbol, symbolName, type Sym } from "../value/symbol.ts";
import { force } from "../value/thunk.ts";
import { isInt, isList, NixPath, type Value, type Whnf } from "../value/value.ts";
import { call1 } from "../vm/call.ts";
import { coerceToString, WEAK_COPY } from "../vm/coerce.ts";
import { forcePlainString } from "../vm/demand.ts";
import { describeType } from "../value/value.ts";
import type { Runtime } from "../vm/runtime.ts";
import { type BuiltinTable, define } from "./define.ts";

const TO_STRING = symbol("__toString");
const OUT_PATH = symbol("outPath");

/** Makes evaluator values of parsed texts. */
export const JSON_BUILDER: JsonBuilder<Value> = {
  null: null,
  true: true,
  false: false,
  integer: (value) => value,
  bigInteger(value) {
    if (value <= INT_MAX) return makeInt(value);
    throw new EvalError("ERR_EVAL_JSON", `unsigned json number ${value} outside of Nix integer range`);
  },
  float: (value) => new NixFloat(value),
  string: refuseNul,
  list: (items) => items,
  object(names, values) {
    const keys: Sym[] = [];
    for (const name of names) keys.push(symbol(refuseNul(name)));
    if (new Set(keys).size === keys.length) return attrsFromPairs(keys, values);
    const last = new Map<Sym, Value>();
    keys.forEach((key, i) => last.set(key, values[i] as Value));
    return attrsFromPairs([...last.keys()], [...last.values()]);
  },
};

function refuseNul(text: string): string {
  if (!text.includes("\0")) return text;
  // Nix shows the NUL as U+2400, here in UTF-8.
  throw new EvalError(
    "ERR_EVAL_JSON",
    `input string '${text.replaceAll("\0", "\xe2\x90\x80")}' cannot be represented as Nix string because it contains null bytes`,
  );
}

/** The value of a JSON text. */
export function fromJson(text: string): Whnf {
  return force(parseJson(text, JSON_BUILDER));
}

/** Appends the JSON of a value to `out`; what its strings refer to is added to `context`. Computes everything in it. */
export function writeJson(rt: Runtime, value: Value, context: ContextBuilder, out: string[]): void {
  const v = force(value);
  if (typeof v === "string") out.push(jsonString(v));
  else if (v === null || typeof v === "boolean" || isInt(v)) out.push(String(v));
  else if (v instanceof ContextString) {
    context.add(v.context);
    out.push(jsonString(v.text));
  } else if (v instanceof NixFloat) out.push(jsonFloat(v.value));
  else if (isList(v)) writeList(rt, v, context, out);
  else if (v instanceof Attrs) writeAttrs(rt, v, context, out);
  else if (v instanceof NixPath) out.push(jsonString(coerceToString(rt, v, WEAK_COPY, context)));
  else throw new EvalError("ERR_EVAL_TYPE", `cannot convert ${describeType(v)} to JSON`);
}

function writeList(rt: Runtime, list: readonly Value[], context: ContextBuilder, out: string[]): void {
  let before = "[";
  for (const item of list) {
    out.push(before);
    writeJson(rt, item, context, out);
    before = ",";
  }
  out.push(list.length === 0 ? "[]" : "]");
}

function writeAttrs(rt: Runtime, attrs: Attrs, context: ContextBuilder, out: string[]): void {
  const method = attrs.get(TO_STRING);
  if (method !== undefined) {
    out.push(jsonString(coerceToString(rt, call1(method, attrs), WEAK_COPY, context)));
    return;
  }
  const outPath = attrs.get(OUT_PATH);
  if (outPath !== undefined) {
    writeJson(rt, outPath, context, out);
    return;
  }
  const { shape, values } = attrs.flatten();
  let before = "{";
  for (let i = 0; i < values.length; i++) {
    out.push(before, jsonString(symbolName(shape.keys[i] as Sym)), ":");
    writeJson(rt, values[i] as Value, context, out);
    before = ",";
  }
  out.push(values.length === 0 ? "{}" : "}");
}

/** JSON. */
export const JSON_BUILTINS: BuiltinTable = [
  define("fromJSON", "!", "The value of a JSON text.", (_rt, text) =>
    fromJson(forcePlainString(text, "the first argument passed to builtins.fromJSON")),
  ),
  define("toJSON", "!", "A value as JSON text; paths are copied to the store.", (rt, value) => {
    const context = new ContextBuilder();
    const out: string[] = [];
    writeJson(rt, value, context, out);
    return makeString(out.join(""), context.context);
  }),
];
