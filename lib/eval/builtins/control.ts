// Built-in functions that steer evaluation: errors, forcing, tracing.

import { EvalError } from "../error.ts";
import { attrsFromPairs } from "../value/attrs.ts";
import { ContextBuilder } from "../value/string.ts";
import { symbol } from "../value/symbol.ts";
import { force } from "../value/thunk.ts";
import { isString, type Value, type Whnf } from "../value/value.ts";
import { coerceToString, WEAK_COPY, WEAK_TEXT } from "../vm/coerce.ts";
import { forceText } from "../vm/demand.ts";
import { showShort } from "../vm/describe.ts";
import { forceDeep } from "../vm/print.ts";
import { textOf } from "../vm/demand.ts";
import type { Runtime } from "../vm/runtime.ts";
import { type Builtin, define } from "./define.ts";

const SUCCESS = symbol("success");
const VALUE = symbol("value");

function tryEval(value: Value): Whnf {
  let result: Whnf;
  try {
    result = force(value);
  } catch (error) {
    if (!(error instanceof EvalError) || !error.catchable) throw error;
    return attrsFromPairs([SUCCESS, VALUE], [false, false]);
  }
  return attrsFromPairs([SUCCESS, VALUE], [true, result]);
}

function addErrorContext(rt: Runtime, context: Value, value: Value): Whnf {
  try {
    return force(value);
  } catch (error) {
    if (error instanceof EvalError) error.addFrame(coerceToString(rt, context, WEAK_TEXT, new ContextBuilder()), null);
    throw error;
  }
}

function traceText(value: Value): string {
  const v = force(value);
  return isString(v) ? textOf(v) : showShort(v, 4);
}

/** Errors, forcing and tracing. */
export const CONTROL_BUILTINS: readonly Builtin[] = [
  define("abort", "!", "Stops the evaluation with a message that tryEval does not catch.", (rt, message) => {
    const text = coerceToString(rt, message, WEAK_COPY, new ContextBuilder());
    throw new EvalError("ERR_EVAL_ABORT", `evaluation aborted with the following error message: '${text}'`);
  }),
  define(
    "addErrorContext",
    "~!",
    "The second argument; the first is shown when computing it fails.",
    (rt, context, value) => addErrorContext(rt, context, value),
  ),
  define("break", "!", "The argument; a debugger would stop here.", (_rt, value) => force(value)),
  define("deepSeq", "!!", "Computes everything in the first argument, then the second.", (_rt, first, second) => {
    forceDeep(first);
    return force(second);
  }),
  define("seq", "!!", "Computes the first argument, then the second.", (_rt, first, second) => {
    force(first);
    return force(second);
  }),
  define("throw", "!", "Fails with a message; tryEval catches it.", (rt, message) => {
    throw new EvalError("ERR_EVAL_THROW", coerceToString(rt, message, WEAK_COPY, new ContextBuilder()));
  }),
  define("trace", "!!", "Shows the first argument, then computes the second.", (rt, message, value) => {
    rt.message("trace", traceText(message));
    return force(value);
  }),
  define(
    "traceVerbose",
    "~!",
    "Like trace when verbose tracing is on, else only the second argument.",
    (rt, message, value) => {
      if (rt.settings.traceVerbose) rt.message("trace", traceText(message));
      return force(value);
    },
  ),
  define(
    "tryEval",
    "~",
    "Computes the argument; a failure by throw or assert yields `success = false`.",
    (_rt, value) => tryEval(value),
  ),
  define("warn", "!!", "Shows a warning, then computes the second argument.", (rt, message, value) => {
    const text = forceText(message, "the first argument passed to builtins.warn");
    rt.message("warning", text);
    if (rt.settings.abortOnWarn)
      throw new EvalError("ERR_EVAL_ABORT", `aborting to reveal stack trace of warning: ${text}`);
    return force(value);
  }),
];
