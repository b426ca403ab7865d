// Shows an error to a person: what happened, its code, and what to do.
import { styleText } from "node:util";
import { TvixError } from "../../base/error.ts";
import { fitForTerminal } from "./terminal.ts";

/** Exit codes of the commands: stable, scripts depend on them. Those that compare have the codes of diff(1). */
export const EXIT: {
  readonly ok: 0;
  readonly failed: 1;
  readonly usage: 2;
  readonly different: 1;
  readonly trouble: 2;
} = { ok: 0, failed: 1, usage: 2, different: 1, trouble: 2 };

/** Runs a comparison, which answers whether there is a difference: the exit code is 0, 1 or, when it fails, 2. */
export async function compare(work: () => Promise<boolean>): Promise<void> {
  process.exitCode = EXIT.trouble;
  process.exitCode = (await work()) ? EXIT.different : EXIT.ok;
}

/** Colours for standard error when it is a terminal (NO_COLOR is honoured). */
export function paint(format: "red" | "bold" | "dim" | "cyan", text: string): string {
  return process.stderr.isTTY && !process.env["NO_COLOR"] ? styleText(format, text) : text;
}

/** The lines that tell a person of `error`; unexpected errors keep their JavaScript stack. */
export function renderError(error: unknown): string {
  if (!(error instanceof TvixError)) {
    return `${paint("red", "internal error")}: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`;
  }
  const lines = [`${paint("red", "error")}: ${error.message} ${paint("dim", `[${error.code}]`)}`];
  for (const note of error.notes) if (note !== "") lines.push(`  ${paint("dim", "·")} ${note}`);
  return lines.join("\n");
}

/** Prints `error` to standard error; with `json`, as one object of `code`, `message` and `notes`. */
export function reportError(error: unknown, json: boolean): void {
  if (json && error instanceof TvixError) {
    const { code, message, notes } = error;
    process.stderr.write(`${JSON.stringify({ error: { code, message, notes } })}\n`);
  } else {
    process.stderr.write(`${fitForTerminal(renderError(error))}\n`);
  }
}
