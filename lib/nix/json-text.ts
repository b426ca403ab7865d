// JSON text of values, for derivations with structured attributes.

import { EvalError } from "../eval/error.ts";
import { Attrs } from "../eval/value/attrs.ts";
import { NixFloat } from "../eval/value/number.ts";
import { ContextBuilder } from "../eval/value/string.ts";
import { symbol, symbolName } from "../eval/value/symbol.ts";
import { force } from "../eval/value/thunk.ts";
import { isInt, isList, isString, NixPath, type Value } from "../eval/value/value.ts";
import { coerceToString, WEAK_COPY } from "../eval/vm/coerce.ts";
import { describeType } from "../eval/value/value.ts";
import type { Runtime } from "../eval/vm/runtime.ts";

const TO_STRING = symbol("__toString");
const OUT_PATH = symbol("outPath");

/** The JSON text of a value; what it refers to is added to `context`. A plain string needs no runtime. */
export function jsonText(value: string): string;
export function jsonText(value: Value, rt: Runtime, context: ContextBuilder): string;
export function jsonText(value: Value, rt?: Runtime, context: ContextBuilder = new ContextBuilder()): string {
  const v = force(value);
  if (typeof v === "string") return quote(v);
  if (v === null || typeof v === "boolean" || isInt(v)) return String(v);
  if (v instanceof NixFloat) return floatText(v.value);
  const runtime = rt as Runtime;
  if (isString(v) || v instanceof NixPath) return quote(coerceToString(runtime, v, WEAK_COPY, context));
  if (isList(v)) return `[${v.map((item) => jsonText(item, runtime, context)).join(",")}]`;
  if (v instanceof Attrs) {
    if (v.has(TO_STRING)) return quote(coerceToString(runtime, v, WEAK_COPY, context));
    const outPath = v.get(OUT_PATH);
    if (outPath !== undefined) return jsonText(outPath, runtime, context);
    const { shape, values } = v.flatten();
    const entries = values.map(
      (item, i) => `${quote(symbolName(shape.keys[i] as number))}:${jsonText(item, runtime, context)}`,
    );
    return `{${entries.join(",")}}`;
  }
  throw new EvalError("ERR_EVAL_JSON", `cannot convert ${describeType(v)} to JSON`);
}

const ESCAPES: Readonly<Record<string, string>> = {
  '"': '\\"',
  "\\": "\\\\",
  "\b": "\\b",
  "\f": "\\f",
  "\n": "\\n",
  "\r": "\\r",
  "\t": "\\t",
};

function quote(text: string): string {
  const escaped = text.replace(
    /["\\\u0000-\u001f]/g,
    (char) => ESCAPES[char] ?? `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
  return `"${escaped}"`;
}

function floatText(value: number): string {
  if (!Number.isFinite(value)) return "null";
  if (Object.is(value, -0)) return "-0.0";
  const text = String(value);
  if (/^-?\d+$/.test(text)) return Math.abs(value) < 1e15 ? `${text}.0` : exponent(value);
  return text.includes("e") ? exponent(value) : text;
}

function exponent(value: number): string {
  const [mantissa, power] = value.toExponential().split("e") as [string, string];
  return `${mantissa}e${power.replace(/^([+-])(\d)$/, "$10$2")}`;
}
