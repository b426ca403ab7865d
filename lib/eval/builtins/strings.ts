// Built-in functions on strings as bytes; contexts pass through them.
import { EvalError } from "../error.ts";
import { Replacer } from "../engine/replace.ts";
import { newList } from "../value/list.ts";
import { ContextBuilder, ContextString, makeString, NO_CONTEXT } from "../value/string.ts";
import { force } from "../value/thunk.ts";
import type { List, Value, Whnf } from "../value/value.ts";
import { coerceToString, coerceValue, STRONG_TEXT, WEAK_COPY } from "../vm/coerce.ts";
import { forceInt, forceList, forceString, forceText, textOf } from "../vm/demand.ts";
import type { Runtime } from "../vm/runtime.ts";
import { type BuiltinTable, define } from "./define.ts";

function concatStringsSep(rt: Runtime, separator: Value, list: Value): Whnf {
  const between = forceString(
    separator,
    "the first argument (the separator string) passed to builtins.concatStringsSep",
  );
  const items = forceList(
    list,
    "the second argument (the list of strings to concat) passed to builtins.concatStringsSep",
  );
  const context = new ContextBuilder();
  if (between instanceof ContextString) context.add(between.context);
  const texts = newList<string>(items.length);
  for (let i = 0; i < items.length; i++) {
    const value = force(items[i] as Value);
    texts[i] = typeof value === "string" ? value : coerceToString(rt, value, WEAK_COPY, context);
  }
  return makeString(texts.join(textOf(between)), context.context);
}

function substring(rt: Runtime, start: Value, length: Value, string: Value): Whnf {
  const from = forceInt(start, "the first argument (the start offset) passed to builtins.substring");
  if (from < 0) throw new EvalError("ERR_EVAL_ARGUMENT", "negative start position in 'substring'");
  const count = forceInt(length, "the second argument (the substring length) passed to builtins.substring");
  const whole = coerceValue(rt, string, WEAK_COPY);
  const text = textOf(whole);
  const part =
    from >= text.length ? "" : text.slice(Number(from), count < 0 ? undefined : Number(from) + Number(count));
  return makeString(part, whole instanceof ContextString ? whole.context : NO_CONTEXT);
}

function replace(_rt: Runtime, from: Value, to: Value, string: Value): Whnf {
  const patterns = forceList(from, "the first argument passed to builtins.replaceStrings");
  const replacements = forceList(to, "the second argument passed to builtins.replaceStrings");
  if (patterns.length !== replacements.length) {
    throw new EvalError(
      "ERR_EVAL_ARGUMENT",
      "'from' and 'to' arguments passed to builtins.replaceStrings have different lengths",
    );
  }
  const replacer = replacerOf(patterns);
  const subject = forceString(string, "the third argument passed to builtins.replaceStrings");
  const context = new ContextBuilder();
  if (subject instanceof ContextString) context.add(subject.context);
  const text = replacer.replace(textOf(subject), (index) => {
    const replacement = forceString(
      replacements[index] as Value,
      "one of the replacement strings passed to builtins.replaceStrings",
    );
    if (replacement instanceof ContextString) context.add(replacement.context);
    return textOf(replacement);
  });
  return makeString(text, context.context);
}

/** Programs often replace the strings of one list in many texts. */
const replacers = new WeakMap<List, Replacer>();

function replacerOf(patterns: List): Replacer {
  let replacer = replacers.get(patterns);
  if (replacer === undefined) {
    replacer = new Replacer(
      patterns.map((pattern) => forceText(pattern, "one of the strings to replace passed to builtins.replaceStrings")),
    );
    replacers.set(patterns, replacer);
  }
  return replacer;
}

/** Strings. */
export const STRING_BUILTINS: BuiltinTable = [
  define(
    "concatStringsSep",
    "!!",
    "The strings of a list, one after the other, with a separator between them.",
    concatStringsSep,
  ),
  define(
    "replaceStrings",
    "!!!",
    "A string in which each occurrence of one of the first list's strings is replaced by the second list's at its place.",
    replace,
  ),
  define(
    "stringLength",
    "!",
    "The number of bytes of a string.",
    (rt, string) => textOf(coerceValue(rt, string, WEAK_COPY)).length,
  ),
  define(
    "substring",
    "!!!",
    "The part of a string from a start, counted in bytes from 0, of at most a length; all the rest if that is negative.",
    substring,
  ),
  define(
    "toString",
    "!",
    "A value as a string: also numbers, Booleans, null and lists.",
    (rt, value) => coerceValue(rt, value, STRONG_TEXT),
    (value) => typeof value === "number" || typeof value === "string",
  ),
];
