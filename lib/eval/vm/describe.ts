// A short text for any value, for messages: computes nothing, shows little of what is large.

import type { Value } from "../value/value.ts";
import { describeType, isList, NixPath } from "../value/value.ts";
import { Attrs } from "../value/attrs.ts";
import { Lambda, PrimOp, PrimOpApp } from "../value/function.ts";
import { NixFloat } from "../value/number.ts";
import { ContextString } from "../value/string.ts";
import { symbolName } from "../value/symbol.ts";
import { peek, Thunk } from "../value/thunk.ts";
import { formatFloat } from "../text/float.ts";
import { quoteName, quoteString } from "../text/quote.ts";

const STRING_LIMIT = 200;
const ITEM_LIMIT = 10;
const SHORT_LIMIT = 70;

/** The type of a value with its article, then what it is: "an integer: 1". */
export function describeValue(value: Value): string {
  const known = peek(value);
  const type = describeType(known);
  const text = showShort(known, 2);
  return text === "" || known === null ? type : `${type}: ${text}`;
}

/** A value in a few words, for a line that has other things to say. */
export function describeShort(value: Value): string {
  const text = showShort(value, 1);
  return text.length <= SHORT_LIMIT ? text : `${text.slice(0, SHORT_LIMIT)}\xe2\x80\xa6`;
}

/** A value as Nix text, cut short, without computing anything. */
export function showShort(value: Value, depth: number): string {
  const v = peek(value);
  if (v instanceof Thunk) return "\xc2\xabthunk\xc2\xbb";
  if (v === null) return "null";
  if (typeof v === "string") return showString(v);
  if (v instanceof ContextString) return showString(v.text);
  if (v instanceof NixPath) return v.text;
  if (v instanceof NixFloat) return formatFloat(v.value);
  if (isList(v)) return showList(v, depth);
  if (v instanceof Attrs) return showAttrs(v, depth);
  if (v instanceof Lambda) return showLambda(v);
  if (v instanceof PrimOp) return `\xc2\xabprimop ${v.builtin.name}\xc2\xbb`;
  if (v instanceof PrimOpApp) return `\xc2\xabpartially applied primop ${v.op.builtin.name}\xc2\xbb`;
  return String(v);
}

/** A function by its name and where it is written, which code that came from no file has not. */
function showLambda({ info }: Lambda): string {
  const at = info.position(info.offset);
  const where = at === null ? "" : ` @ ${at.file}:${at.line}:${at.column}`;
  return `\xc2\xablambda${info.name === "" ? "" : ` ${info.name}`}${where}\xc2\xbb`;
}

function showString(text: string): string {
  if (text.length <= STRING_LIMIT) return quoteString(text);
  return `${quoteString(text.slice(0, STRING_LIMIT))} \xc2\xab${text.length - STRING_LIMIT} bytes elided\xc2\xbb`;
}

function showList(list: readonly Value[], depth: number): string {
  if (list.length === 0) return "[ ]";
  if (depth === 0) return "[ \xe2\x80\xa6 ]";
  const shown = list.slice(0, ITEM_LIMIT).map((item) => showShort(item, depth - 1));
  if (list.length > ITEM_LIMIT) shown.push(`\xc2\xab${list.length - ITEM_LIMIT} items elided\xc2\xbb`);
  return `[ ${shown.join(" ")} ]`;
}

function showAttrs(attrs: Attrs, depth: number): string {
  const { shape, values } = attrs.flatten();
  if (values.length === 0) return "{ }";
  if (depth === 0) return "{ \xe2\x80\xa6 }";
  const shown = shape.keys
    .slice(0, ITEM_LIMIT)
    .map((key, i) => `${quoteName(symbolName(key))} = ${showShort(values[i] as Value, depth - 1)};`);
  if (values.length > ITEM_LIMIT) shown.push(`\xc2\xab${values.length - ITEM_LIMIT} attributes elided\xc2\xbb`);
  return `{ ${shown.join(" ")} }`;
}
