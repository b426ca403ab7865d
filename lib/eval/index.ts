// The evaluator's public face: evaluating Nix from JavaScript, in three lines or with every part replaced.
//
//   import { evaluate } from "tvix/eval";
//   evaluate("map (x: x * 2) [ 1 2 ]"); // [2, 4]
//
// Everything here runs in browsers too, with the hash functions that browser.ts adds. What needs Node (the file system, compiling to JavaScript with a cache, a
// deep stack) is in node.ts beside this file.

import { type JsValue, toJs } from "./convert.ts";
import { Evaluator, type EvaluatorOptions } from "./evaluator.ts";
import type { Program } from "./ir/program.ts";
import { Source } from "./source.ts";

/** Parses and compiles a source to the intermediate form, which {@link printIr} shows. */
export function compile(source: Source | string): Program {
  return new Evaluator().compile(typeof source === "string" ? Source.string(source) : source);
}

/** Evaluates an expression completely and converts the result to JavaScript. */
export function evaluate(source: string | Source, options: EvaluatorOptions = {}): JsValue {
  const evaluator = new Evaluator(options);
  return evaluator.guard(() => toJs(evaluator.evaluate(source)));
}

export { autoCall, findAlongPath, splitAttrPath } from "./attr-path.ts";
export { type Builtin, type BuiltinBody, type BuiltinConstant, type BuiltinTable, define } from "./builtins/define.ts";
export { type JsInput, type JsValue, fromJs, toJs } from "./convert.ts";
export { type Diagnostic, DiagnosticError, renderDiagnostic } from "./diagnostic.ts";
export { EVAL_ERRORS, EvalError, type EvalErrorCode } from "./error.ts";
export { EXPERIMENTAL_FEATURES, type ExperimentalFeature, isExperimentalFeature } from "./features.ts";
export {
  type Backend,
  CLOSURE_BACKEND,
  closureBackend,
  Evaluator,
  type EvaluatorOptions,
  type StoreAccess,
} from "./evaluator.ts";
export type { EvalIO, FileType } from "./io.ts";
export { memoryIO, type MemoryFile, type MemoryFiles } from "./io/memory.ts";
export { type IoOperation, type IoRecord, recordingIO } from "./io/recording.ts";
export { type Counts, type EvalStats, type Observer, statsObserver } from "./observer.ts";
export { printIr } from "./ir/print.ts";
export { INSTRUCTIONS } from "./ir/table.ts";
export type { Program } from "./ir/program.ts";
export { deserialiseProgram, serialiseProgram } from "./ir/serialise.ts";
export { diagnose } from "./report.ts";
export { Source } from "./source.ts";
export { type Parsed, type ParseOptions, parse } from "./syntax/parser.ts";
export { Attrs } from "./value/attrs.ts";
export { Lambda, PrimOp, PrimOpApp } from "./value/function.ts";
export { NixFloat, type NixInt } from "./value/number.ts";
export { ContextString, type StringContext } from "./value/string.ts";
export { symbol, symbolName } from "./value/symbol.ts";
export { force, Thunk } from "./value/thunk.ts";
export { type List, NixPath, type Value, type Whnf } from "./value/value.ts";
export { call1, call2, callMany } from "./vm/call.ts";
export { forceDeep, printValue } from "./vm/print.ts";
export type { EvalSettings, Runtime, SearchPathEntry } from "./vm/runtime.ts";
