// Runs a language case with this project's own parts and brings the answer into the form of the recorded ones.

import { dirname } from "node:path";
import { DiagnosticError } from "../../lib/eval/diagnostic.ts";
import { EvalError, type EvalErrorCode } from "../../lib/eval/error.ts";
import type { Backend, Evaluator } from "../../lib/eval/evaluator.ts";
import type { ExperimentalFeature } from "../../lib/eval/features.ts";
import type { EvalIO } from "../../lib/eval/io.ts";
import { fileSystemIO } from "../../lib/eval/io/files.ts";
import { Source } from "../../lib/eval/source.ts";
import { printExpr } from "../../lib/eval/syntax/printer.ts";
import { symbol } from "../../lib/eval/value/symbol.ts";
import type { Value } from "../../lib/eval/value/value.ts";
import { call1 } from "../../lib/eval/vm/call.ts";
import { printValue } from "../../lib/eval/vm/print.ts";
import { openSession } from "../../lib/nix/session.ts";
import {
  type Answer,
  type Case,
  caseKey,
  FILES,
  LANG_HOME,
  LANG_VARIABLES,
  type Mode,
  readCases,
  readGolden,
} from "./cases.ts";

const io: EvalIO = { ...fileSystemIO(), variable: (name) => LANG_VARIABLES.get(name) };

/** An evaluator as the cases want it. */
export function langEvaluator(
  backend?: Backend,
  onMessage?: (text: string) => void,
  more: readonly ExperimentalFeature[] = [],
): Evaluator {
  const features = new Set<ExperimentalFeature>(["pipe-operators", ...more]);
  const settings = { searchPath: [{ prefix: "lang", path: FILES }], system: "x86_64-linux", features };
  const session = openSession({
    io,
    settings,
    ...(backend === undefined ? {} : { backend }),
    ...(onMessage === undefined ? {} : { onMessage: (_kind, text) => onMessage(text) }),
  });
  return session.evaluator;
}

/** Evaluators for cases, one for all that have the same features. */
export function evaluatorsFor(backend?: Backend): (entry: Case) => Evaluator {
  const evaluators = new Map<string, Evaluator>();
  return ({ features }) => {
    const key = features.join(" ");
    const evaluator = evaluators.get(key) ?? langEvaluator(backend, undefined, features);
    evaluators.set(key, evaluator);
    return evaluator;
  };
}

/** The answer of our own evaluator. */
export function runCase({ text, mode }: Case, evaluator: Evaluator): Answer {
  return runText(Source.stdin(text, FILES), mode, evaluator);
}

/** The answer to a source in any place. */
export function runText(source: Source, mode: Mode, evaluator: Evaluator): Answer {
  return answerOf(() => output(source, mode, evaluator));
}

/** What some work of the evaluator comes to. */
export function answerOf(work: () => string): Answer {
  try {
    return { value: withoutDir(work()) };
  } catch (error) {
    return { error: describeError(error) };
  }
}

function output(source: Source, mode: Mode, evaluator: Evaluator): string {
  if (mode === "parse") {
    const parsed = evaluator.parse(source);
    evaluator.compile(source, { parsed });
    return printExpr(parsed.expr, { directory: source.directory, home: LANG_HOME });
  }
  return evaluator.guard(() => {
    const value = evaluator.evaluate(source);
    if (mode === "xml" || mode === "json") return converted(evaluator, mode === "xml" ? "toXML" : "toJSON", value);
    return printValue(value, { strict: mode === "strict" });
  });
}

/** What a builtin makes of a value, as bare text. */
function converted(evaluator: Evaluator, name: string, value: Value): string {
  const convert = evaluator.builtins.get(symbol(name));
  if (convert === undefined) throw new Error(`builtins.${name} is missing`);
  const text = call1(convert, value);
  return (typeof text === "string" ? text : (text as { text: string }).text).replace(/\n$/, "");
}

/** The class of each of our errors, in the words of the recorded answers. */
const KINDS: Partial<Record<EvalErrorCode, string>> = {
  ERR_EVAL_THROW: "throw",
  ERR_EVAL_ASSERTION: "assert",
  ERR_EVAL_SEARCH_PATH: "search-path",
  ERR_EVAL_ABORT: "abort",
  ERR_EVAL_TYPE: "type",
  ERR_EVAL_COERCE: "coerce",
  ERR_EVAL_CALL: "call",
  ERR_EVAL_MISSING_ATTRIBUTE: "missing",
  ERR_EVAL_UNDEFINED_VARIABLE: "undefined",
  ERR_EVAL_DUPLICATE_ATTRIBUTE: "dynamic-duplicate",
  ERR_EVAL_INDEX: "index",
  ERR_EVAL_OVERFLOW: "overflow",
  ERR_EVAL_DIVISION_BY_ZERO: "division",
  ERR_EVAL_COMPARE: "compare",
  ERR_EVAL_CONTEXT: "context",
  ERR_EVAL_INFINITE_RECURSION: "recursion",
  ERR_EVAL_REGEX: "regex",
  ERR_EVAL_JSON: "json",
  ERR_EVAL_TOML: "toml",
  ERR_EVAL_IO: "io",
};

function describeError(error: unknown): { kind: string; message: string } {
  if (error instanceof DiagnosticError) return { kind: "parse", message: withoutDir(error.message) };
  if (!(error instanceof EvalError))
    return { kind: "crash", message: String(error instanceof Error ? error.stack : error) };
  return { kind: KINDS[error.code] ?? error.code, message: withoutDir(error.message) };
}

function withoutDir(text: string): string {
  return text.replaceAll(FILES, "$DIR").replaceAll(dirname(FILES), "$DIR/..");
}

/** A case whose answer is not the recorded one. */
export interface Difference {
  readonly key: string;
  readonly expected: Answer;
  readonly answer: Answer;
}

/** Runs all cases of a topic. */
export function compareTopic(topic: string, backend?: Backend): Difference[] {
  const golden = readGolden(topic);
  const evaluatorOf = evaluatorsFor(backend);
  const differences: Difference[] = [];
  for (const entry of readCases(topic)) {
    const key = caseKey(entry.mode, entry.text);
    const expected = golden.get(key);
    if (expected === undefined) continue;
    const answer = runCase(entry, evaluatorOf(entry));
    if (!agrees(answer, expected)) differences.push({ key, expected, answer });
  }
  return differences;
}

/** The same output, or errors of the same class; a class that Nix's message does not tell ("other") allows any. */
export function agrees(answer: Answer, expected: Answer): boolean {
  if (expected.error === undefined) return answer.value === expected.value;
  if (answer.error === undefined || answer.error.kind === "crash") return false;
  return expected.error.kind === "other" || answer.error.kind === expected.error.kind;
}
