// The pieces of JSON output: strings and floats exactly as Nix's JSON library (nlohmann) writes them.
import { ByteWriter } from "../../base/byte-writer.ts";
import { EvalError } from "../error.ts";
import { grisu2 } from "./grisu2.ts";
import { utf8Fault } from "./utf8.ts";

const SHORT: Readonly<Record<number, string>> = {
  0x08: "\\b",
  0x09: "\\t",
  0x0a: "\\n",
  0x0c: "\\f",
  0x0d: "\\r",
  0x22: '\\"',
  0x5c: "\\\\",
};

/** For each byte, whether it can stand in a string as it is and says nothing about UTF-8. */
const PLAIN = Uint8Array.from({ length: 256 }, (_, code) =>
  code >= 0x20 && code < 0x80 && code !== 0x22 && code !== 0x5c ? 1 : 0,
);

/** Writes a JSON text; what is given to `raw` is JSON already. */
export class JsonOutput extends ByteWriter {
  constructor() {
    super(256);
  }

  /** Appends a safe integer. */
  integer(value: number): void {
    if (value < 0 || value > 0x7fffffff) return this.raw(String(value));
    let digits = 1;
    for (let limit = 10; limit <= value; limit *= 10) digits++;
    const bytes = this.reserve(digits);
    let rest = value;
    for (let at = this.end + digits - 1; at >= this.end; at--) {
      const tens = (rest / 10) | 0;
      bytes[at] = 0x30 + rest - 10 * tens;
      rest = tens;
    }
    this.end += digits;
  }

  /** Appends a string with its quotes; `text` is one char per byte and must be UTF-8, else `ERR_EVAL_JSON`. */
  string(text: string): void {
    // Every byte may become `\u00xx`.
    const bytes = this.reserve(6 * text.length + 2);
    let at = this.end;
    let checked = false;
    bytes[at++] = 0x22;
    for (let i = 0; i < text.length; i++) {
      const code = text.charCodeAt(i);
      if (PLAIN[code] === 1) {
        bytes[at++] = code;
      } else if (code >= 0x80) {
        if (!checked) checkUtf8(text);
        checked = true;
        bytes[at++] = code;
      } else {
        const escaped = SHORT[code] ?? `\\u${code.toString(16).padStart(4, "0")}`;
        for (let j = 0; j < escaped.length; j++) bytes[at++] = escaped.charCodeAt(j);
      }
    }
    bytes[at++] = 0x22;
    this.end = at;
  }
}

function checkUtf8(text: string): void {
  const fault = utf8Fault(text);
  if (fault !== -1) throw invalidUtf8(text, fault);
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
  if (isShort(value)) return Number.isInteger(value) ? `${value}.0` : String(value);
  const sign = value < 0 ? "-" : "";
  const { digits, exponent } = grisu2(Math.abs(value));
  const point = digits.length + exponent;
  if (point > 15 || point <= -4) return sign + scientific(digits, point - 1);
  if (point <= 0) return `${sign}0.${"0".repeat(-point)}${digits}`;
  if (digits.length <= point) return `${sign}${digits.padEnd(point, "0")}.0`;
  return `${sign}${digits.slice(0, point)}.${digits.slice(point)}`;
}

/**
 * Whether the decimal of a float is certainly its exact value, so that every algorithm finds the same: small ones of
 * few bits behind the point, whose exact decimals are further apart than the floats are.
 */
function isShort(value: number): boolean {
  return Math.abs(value) < 2 ** 20 && Number.isInteger(value * 128);
}

function scientific(digits: string, exponent: number): string {
  const mantissa = digits.length === 1 ? digits : `${digits[0]}.${digits.slice(1)}`;
  return `${mantissa}e${exponent < 0 ? "-" : "+"}${String(Math.abs(exponent)).padStart(2, "0")}`;
}
