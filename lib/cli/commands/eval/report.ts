// Shows the evaluator's errors and warnings to people: snippets of the source with the places marked.
import { ANSI_STYLE, type Diagnostic, PLAIN_STYLE, renderDiagnostic } from "../../../eval/diagnostic.ts";
import { fitForTerminal } from "../../render/terminal.ts";
import { diagnose } from "../../../eval/report.ts";

/** Frames shown of how an error was reached, unless all are asked for. */
const FRAMES = 4;

/** A diagnostic as text for standard error, with all frames that led there when `trace` is set. */
export function diagnosticText(diagnostic: Diagnostic, trace: boolean): string {
  const style = process.stderr.isTTY && !process.env["NO_COLOR"] ? ANSI_STYLE : PLAIN_STYLE;
  return `${renderDiagnostic(diagnostic, trace ? { style } : { style, traceLimit: FRAMES })}\n`;
}

/** Prints an error of the evaluator or parser; false when it is another kind of error. */
export function showEvalError(error: unknown, trace: boolean): boolean {
  const diagnostic = diagnose(error);
  if (diagnostic === undefined) return false;
  process.stderr.write(fitForTerminal(diagnosticText(diagnostic, trace)));
  return true;
}
