// Evaluation errors as diagnostics: place, trace, suggestions.

import { UndefinedVariable } from "./compile/lower.ts";
import {
  didYouMean,
  type Diagnostic,
  DiagnosticError,
  type Label,
  suggestNames,
  type TraceFrame,
} from "./diagnostic.ts";
import { type ErrorPlace, EvalError, type Frame, OUTER_FRAMES } from "./error.ts";
import { byteStringToText } from "./source.ts";
import type { Attrs } from "./value/attrs.ts";
import { symbolName } from "./value/symbol.ts";
import { MissingAttribute, MissingVariable } from "./vm/operate.ts";
import { placesPassed } from "./vm/script-trace.ts";

/** What to show for an error of the evaluator or the parser; `undefined` for any other error. */
export function diagnose(error: unknown): Diagnostic | undefined {
  if (error instanceof DiagnosticError) return error.diagnostic;
  if (!(error instanceof EvalError)) return undefined;
  const scripts = error.passed ?? placesPassed(error);
  const place = error.place ?? scripts[0];
  const help = suggestion(error);
  const diagnostic: Diagnostic = {
    severity: "error",
    code: error.code,
    message: error.message,
    labels: place === undefined ? [] : [label(place)],
    notes: error.notes.map(byteStringToText),
    trace: traceOf(error, scripts),
  };
  return help === undefined ? diagnostic : { ...diagnostic, help };
}

function traceOf(error: EvalError, scripts: readonly ErrorPlace[]): TraceFrame[] {
  const frames: TraceFrame[] = error.frames
    .filter((frame) => !isHere(frame, error))
    .map((frame) => {
      const text = byteStringToText(frame.text());
      return frame.place === null ? { text } : { text, label: label(frame.place) };
    });
  if (error.omitted > 0) frames.splice(-OUTER_FRAMES, 0, { text: `${error.omitted} frames are left out here` });
  const rest = error.place === null ? scripts.slice(1) : scripts;
  return [...frames, ...rest.map((place) => ({ text: "while evaluating this expression", label: label(place) }))];
}

/** Whether a frame says no more than the error's own place: the call of the built-in function that failed. */
function isHere({ place, text }: Frame, error: EvalError): boolean {
  if (place === null || place.source !== error.place?.source || place.offset !== error.place.offset) return false;
  return text().endsWith(" builtin");
}

function label(place: ErrorPlace): Label {
  const { source, offset } = place;
  return { source, start: offset, end: tokenEnd(source.text, offset), text: "" };
}

/** The end of the word or sign at an offset, so that a label marks more than one char. */
function tokenEnd(text: string, offset: number): number {
  const pattern = /[A-Za-z0-9_'-]+|\S/y;
  pattern.lastIndex = offset;
  return pattern.test(text) ? pattern.lastIndex : Math.min(offset + 1, text.length);
}

function suggestion(error: EvalError): string | undefined {
  return didYouMean(near(error).map(byteStringToText));
}

/** What may have been meant by a name that is not there. */
function near(error: EvalError): string[] {
  if (error instanceof MissingAttribute) return suggestNames(error.attribute, namesOf(error.set));
  if (error instanceof MissingVariable) return suggestNames(error.variable, new Set(error.sets.flatMap(namesOf)));
  return error instanceof UndefinedVariable ? suggestNames(error.variable, error.candidates) : [];
}

function namesOf(set: Attrs): string[] {
  return set.flatten().shape.keys.map(symbolName);
}
