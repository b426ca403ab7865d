// Evaluation errors as diagnostics: place, trace, suggestions.

import { UndefinedVariable } from "./compile/lower.ts";
import { type Diagnostic, DiagnosticError, type Label, suggestNames, type TraceFrame } from "./diagnostic.ts";
import { type ErrorPlace, EvalError, OUTER_FRAMES } from "./error.ts";
import { byteStringToText } from "./source.ts";
import { symbolName } from "./value/symbol.ts";
import { MissingAttribute } from "./vm/operate.ts";
import { scriptPlaces } from "./vm/script-trace.ts";

/** What to show for an error of the evaluator or the parser; `undefined` for any other error. */
export function diagnose(error: unknown): Diagnostic | undefined {
  if (error instanceof DiagnosticError) return error.diagnostic;
  if (!(error instanceof EvalError)) return undefined;
  const scripts = scriptPlaces(error);
  const place = error.place ?? scripts[0];
  const help = suggestion(error);
  const diagnostic: Diagnostic = {
    severity: "error",
    code: error.code,
    message: byteStringToText(error.message),
    labels: place === undefined ? [] : [label(place)],
    notes: error.notes.map(byteStringToText),
    trace: traceOf(error, scripts),
  };
  return help === undefined ? diagnostic : { ...diagnostic, help };
}

function traceOf(error: EvalError, scripts: readonly ErrorPlace[]): TraceFrame[] {
  const frames: TraceFrame[] = error.frames.map((frame) => {
    const text = byteStringToText(frame.text());
    return frame.place === null ? { text } : { text, label: label(frame.place) };
  });
  if (error.omitted > 0) frames.splice(-OUTER_FRAMES, 0, { text: `${error.omitted} frames are left out here` });
  const rest = error.place === null ? scripts.slice(1) : scripts;
  return [...frames, ...rest.map((place) => ({ text: "while evaluating this expression", label: label(place) }))];
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
  const found =
    error instanceof MissingAttribute
      ? suggestNames(error.attribute, error.set.flatten().shape.keys.map(symbolName))
      : error instanceof UndefinedVariable
        ? suggestNames(error.variable, error.candidates)
        : [];
  if (found.length === 0) return undefined;
  return `did you mean ${found.map((name) => `'${byteStringToText(name)}'`).join(" or ")}?`;
}
