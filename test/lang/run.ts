// Runs a language case with this project's own parts and brings the answer into the form of the recorded ones.

import { DiagnosticError } from "../../lib/eval/diagnostic.ts";
import { Source } from "../../lib/eval/source.ts";
import { parse } from "../../lib/eval/syntax/parser.ts";
import { printExpr } from "../../lib/eval/syntax/printer.ts";
import { type Answer, type Case, caseKey, FILES, LANG_HOME, readCases, readGolden } from "./cases.ts";

/** The answer of our own evaluator. */
export function runCase(entry: Case): Answer {
  try {
    return { value: withoutDir(output(entry)) };
  } catch (error) {
    return { error: describeError(error) };
  }
}

function output(entry: Case): string {
  const source = Source.stdin(entry.text, FILES);
  return printExpr(parse(source, { pipeOperators: true }).expr, { directory: FILES, home: LANG_HOME });
}

function describeError(error: unknown): { kind: string; message: string } {
  if (error instanceof DiagnosticError) return { kind: "parse", message: withoutDir(error.message) };
  throw error;
}

function withoutDir(text: string): string {
  return text.replaceAll(FILES, "$DIR");
}

/** A case whose answer is not the recorded one. */
export interface Difference {
  readonly key: string;
  readonly expected: Answer;
  readonly answer: Answer;
}

/** Runs all cases of a topic. */
export function compareTopic(topic: string): Difference[] {
  const golden = readGolden(topic);
  const differences: Difference[] = [];
  for (const entry of readCases(topic)) {
    const key = caseKey(entry.mode, entry.text);
    const expected = golden.get(key);
    if (expected === undefined) continue;
    const answer = runCase(entry);
    if (!agrees(answer, expected)) differences.push({ key, expected, answer });
  }
  return differences;
}

/** The same output, or errors of the same class; a class that Nix's message does not tell ("other") allows any. */
export function agrees(answer: Answer, expected: Answer): boolean {
  if (expected.error === undefined) return answer.value === expected.value;
  if (answer.error === undefined) return false;
  return expected.error.kind === "other" || answer.error.kind === expected.error.kind;
}
