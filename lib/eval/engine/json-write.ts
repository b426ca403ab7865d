// The pieces of JSON output: strings and floats exactly as Nix's JSON library (nlohmann) writes them.
import { EvalError } from "../error.ts";
import { utf8Fault } from "./utf8.ts";

const NEEDS_CARE = /["\\\x00-\x1f\x80-\xff]/;
const SHORT: Readonly<Record<string, string>> = {
  '"': '\\"',
  "\\": "\\\\",
  "\b": "\\b",
  "\f": "\\f",
  "\n": "\\n",
  "\r": "\\r",
  "\t": "\\t",
};

/** A string with its quotes; `text` is one char per byte and must be UTF-8, else `ERR_EVAL_JSON`. */
export function jsonString(text: string): string {
  if (!NEEDS_CARE.test(text)) return `"${text}"`;
  const fault = utf8Fault(text);
  if (fault !== -1) throw invalidUtf8(text, fault);
  return `"${text.replace(/["\\\x00-\x1f]/g, escapeChar)}"`;
}

function escapeChar(char: string): string {
  return SHORT[char] ?? `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`;
}

function invalidUtf8(text: string, fault: number): EvalError {
  const hex = (at: number): string => text.charCodeAt(at).toString(16).toUpperCase().padStart(2, "0");
  const what =
    fault >= text.length
      ? `[json.exception.type_error.316] incomplete UTF-8 string; last byte: 0x${hex(text.length - 1)}`
      : `[json.exception.type_error.316] invalid UTF-8 byte at index ${fault}: 0x${hex(fault)}`;
  return new EvalError("ERR_EVAL_JSON", what);
}

/** A float: all its digits, always with a dot or an exponent; `null` for what JSON cannot say. */
export function jsonFloat(value: number): string {
  if (!Number.isFinite(value)) return "null";
  if (value === 0) return Object.is(value, -0) ? "-0.0" : "0.0";
  const sign = value < 0 ? "-" : "";
  const [mantissa, power] = Math.abs(value).toExponential().split("e") as [string, string];
  const digits = mantissa.replace(".", "");
  const point = Number(power) + 1;
  if (point > 15 || point <= -4) return sign + scientific(digits, point - 1);
  if (point <= 0) return `${sign}0.${"0".repeat(-point)}${digits}`;
  if (digits.length <= point) return `${sign}${digits.padEnd(point, "0")}.0`;
  return `${sign}${digits.slice(0, point)}.${digits.slice(point)}`;
}

function scientific(digits: string, exponent: number): string {
  const mantissa = digits.length === 1 ? digits : `${digits[0]}.${digits.slice(1)}`;
  return `${mantissa}e${exponent < 0 ? "-" : "+"}${String(Math.abs(exponent)).padStart(2, "0")}`;
}
