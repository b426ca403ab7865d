// Built-in functions on string contexts.

import { StorePath } from "../../formats/store-path.ts";
import { EvalError } from "../error.ts";
import { type Attrs, attrsFromPairs } from "../value/attrs.ts";
import {
  ContextBuilder,
  ContextString,
  formatContextElement,
  makeString,
  NO_CONTEXT,
  parseContextElement,
  type StringContext,
} from "../value/string.ts";
import { symbol, symbolName } from "../value/symbol.ts";
import { force } from "../value/thunk.ts";
import type { Value, Whnf } from "../value/value.ts";
import { coerceToString, WEAK_COPY } from "../vm/coerce.ts";
import { forceAttrs, forceBool, forceList, forcePlainString, forceString } from "../vm/demand.ts";
import { quoteString } from "../text/quote.ts";
import type { Runtime } from "../vm/runtime.ts";
import { type Builtin, define } from "./define.ts";

const ALL_OUTPUTS = symbol("allOutputs");
const OUTPUTS = symbol("outputs");
const PATH = symbol("path");

function contextOf(value: string | ContextString): StringContext {
  return value instanceof ContextString ? value.context : NO_CONTEXT;
}

interface Collected {
  path: boolean;
  allOutputs: boolean;
  readonly outputs: string[];
}

function getContext(value: Value): Whnf {
  const found = new Map<string, Collected>();
  const entry = (path: string): Collected => {
    let collected = found.get(path);
    if (collected === undefined) found.set(path, (collected = { path: false, allOutputs: false, outputs: [] }));
    return collected;
  };
  for (const text of contextOf(forceString(value, "the argument passed to builtins.getContext"))) {
    const element = parseContextElement(text);
    if (element.kind === "path") entry(element.path).path = true;
    else if (element.kind === "deep") entry(element.drv).allOutputs = true;
    else if (element.drv.startsWith("/")) entry(element.drv).outputs.push(element.output);
    else {
      const message = `cannot tell the context of an output of a derivation that is itself not built yet: ${text}`;
      throw new EvalError("ERR_EVAL_BUILD", message);
    }
  }
  return attrsFromPairs(
    [...found.keys()].map(symbol),
    [...found.values()].map((collected) => {
      const keys: number[] = [];
      const values: Value[] = [];
      if (collected.allOutputs) {
        keys.push(ALL_OUTPUTS);
        values.push(true);
      }
      if (collected.outputs.length > 0) {
        keys.push(OUTPUTS);
        values.push(collected.outputs.sort());
      }
      if (collected.path) {
        keys.push(PATH);
        values.push(true);
      }
      return attrsFromPairs(keys, values);
    }),
  );
}

function appendContext(rt: Runtime, value: Value, additions: Value): Whnf {
  const text = forceString(value, "the first argument passed to builtins.appendContext");
  const context = new Set(contextOf(text));
  const { shape, values } = forceAttrs(additions, "the second argument passed to builtins.appendContext").flatten();
  shape.keys.forEach((key, i) => {
    const path = symbolName(key);
    if (!isStorePath(path, rt.settings.storeDir)) {
      throw new EvalError("ERR_EVAL_CONTEXT", `context key '${quoteString(path)}' is not a store path`);
    }
    addElements(context, path, forceAttrs(values[i] as Value, "the value of a string context"));
  });
  return makeString(text instanceof ContextString ? text.text : text, context);
}

function isStorePath(path: string, storeDir: string): boolean {
  try {
    StorePath.parseAbsolute(path, storeDir);
    return true;
  } catch {
    return false;
  }
}

function addElements(context: Set<string>, path: string, entry: Attrs): void {
  const isPath = entry.get(PATH);
  if (isPath !== undefined && forceBool(isPath, "the `path` attribute of a string context")) context.add(path);
  const all = entry.get(ALL_OUTPUTS);
  if (all !== undefined && forceBool(all, "the `allOutputs` attribute of a string context")) {
    demandDerivation(path, "all outputs");
    context.add(formatContextElement({ kind: "deep", drv: path }));
  }
  const outputs = entry.get(OUTPUTS);
  if (outputs === undefined) return;
  const names = forceList(outputs, "the `outputs` attribute of a string context");
  if (names.length > 0) demandDerivation(path, "outputs");
  for (const name of names) {
    const output = forcePlainString(name, "an output name of a string context");
    context.add(formatContextElement({ kind: "output", drv: path, output }));
  }
}

function demandDerivation(path: string, what: string): void {
  if (path.endsWith(".drv")) return;
  throw new EvalError(
    "ERR_EVAL_CONTEXT",
    `tried to add ${what} of '${path}', which is not a derivation, to a string's context`,
  );
}

function discardDeep(rt: Runtime, value: Value): Whnf {
  const context = new ContextBuilder();
  const text = coerceToString(rt, value, WEAK_COPY, context);
  const kept = [...context.context].map((element) => {
    const parsed = parseContextElement(element);
    return parsed.kind === "deep" ? parsed.drv : element;
  });
  return makeString(text, new Set(kept));
}

function addDeep(rt: Runtime, value: Value): Whnf {
  const context = new ContextBuilder();
  const text = coerceToString(rt, value, WEAK_COPY, context);
  const elements = [...context.context];
  if (elements.length !== 1) {
    const message = `context of string '${text}' must have exactly one element, but has ${elements.length}`;
    throw new EvalError("ERR_EVAL_CONTEXT", message);
  }
  const element = parseContextElement(elements[0] as string);
  if (element.kind === "output") {
    const message = `\`addDrvOutputDependencies\` can only act on derivations, not on a derivation output such as '${element.output}'`;
    throw new EvalError("ERR_EVAL_CONTEXT", message);
  }
  if (element.kind === "deep") return makeString(text, context.context);
  if (!element.path.endsWith(".drv")) {
    throw new EvalError("ERR_EVAL_CONTEXT", `path '${element.path}' is not a derivation`);
  }
  return makeString(text, new Set([formatContextElement({ kind: "deep", drv: element.path })]));
}

/** String contexts. */
export const CONTEXT_BUILTINS: readonly Builtin[] = [
  define("addDrvOutputDependencies", "!", "Makes a reference to a derivation one to its whole closure.", (rt, value) =>
    addDeep(rt, value),
  ),
  define("appendContext", "!!", "Adds to the context of a string.", (rt, value, additions) =>
    appendContext(rt, value, additions),
  ),
  define("getContext", "!", "The context of a string as a set.", (_rt, value) => getContext(value)),
  define("hasContext", "!", "Whether a string has a context.", (_rt, value) => {
    return forceString(value, "the argument passed to builtins.hasContext") instanceof ContextString;
  }),
  define(
    "unsafeDiscardOutputDependency",
    "!",
    "Makes references to closures references to the derivations.",
    (rt, value) => discardDeep(rt, value),
  ),
  define("unsafeDiscardStringContext", "!", "A string without its context.", (rt, value) =>
    coerceToString(rt, force(value), WEAK_COPY, new ContextBuilder()),
  ),
];
