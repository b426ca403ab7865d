// The work of `tvix eval`: values as text.
import { homedir } from "node:os";
import { bytesToLatin1, encodeUtf8, latin1ToBytes } from "../../../base/text.ts";
import { autoCall } from "../../../eval/attr-path.ts";
import { valueToJson } from "../../../eval/builtins/json.ts";
import { valueToXml } from "../../../eval/builtins/xml.ts";
import type { Evaluator } from "../../../eval/evaluator.ts";
import { fileSystemIO } from "../../../eval/io/files.ts";
import { Source } from "../../../eval/source.ts";
import { parse } from "../../../eval/syntax/parser.ts";
import { ContextBuilder } from "../../../eval/value/string.ts";
import type { Value, Whnf } from "../../../eval/value/value.ts";
import { coerceToString, WEAK_COPY } from "../../../eval/vm/coerce.ts";
import { forceDeep, printValue } from "../../../eval/vm/print.ts";
import { print } from "../../output.ts";
import type { WorldFlags } from "./flags.ts";
import { showDiagnostic } from "./report.ts";
import { evaluateSubject, readSubjects, type Subject, withWorld } from "./world.ts";

/** Flags of `tvix eval`. */
export interface EvalFlags extends WorldFlags {
  readonly strict?: boolean;
  readonly json?: boolean;
  readonly xml?: boolean;
  /** False with `--no-location`. */
  readonly location: boolean;
  readonly raw?: boolean;
  readonly parse?: boolean;
}

/** Evaluates each argument and prints one value per attribute path. */
export async function run(args: readonly string[], flags: EvalFlags): Promise<void> {
  const subjects = readSubjects(args, flags);
  if (flags.parse) {
    for (const subject of subjects) await printTree(subject, flags);
    return;
  }
  await withWorld(flags, async ({ session, given }) => {
    for (const subject of subjects) await printSubject(subject, given, session.evaluator, flags);
  });
}

async function printSubject(
  subject: Subject,
  given: ReadonlyMap<string, Value>,
  evaluator: Evaluator,
  flags: EvalFlags,
): Promise<void> {
  for (const path of flags.attr ?? [""]) {
    const text = evaluator.guard(() => {
      const found = evaluateSubject(subject, path, given, evaluator);
      return render(given.size === 0 ? found : autoCall(found, given), evaluator, flags);
    });
    await print(latin1ToBytes(text));
  }
}

async function printTree(subject: Subject, flags: EvalFlags): Promise<void> {
  const source =
    "source" in subject ? subject.source : Source.file(subject.path, fileSystemIO().readFile(subject.path));
  const { expr, warnings } = parse(source, { pipeOperators: flags.pipeOperators === true });
  for (const warning of warnings) showDiagnostic(warning, false);
  const { printExpr } = await import("../../../eval/syntax/printer.ts");
  const home = bytesToLatin1(encodeUtf8(homedir()));
  await print(latin1ToBytes(`${printExpr(expr, { directory: source.directory, home })}\n`));
}

/** The value as text of one char per byte, with the line break that ends it. */
function render(value: Whnf, evaluator: Evaluator, flags: EvalFlags): string {
  const context = new ContextBuilder();
  if (flags.raw) return coerceToString(evaluator, value, WEAK_COPY, context);
  if (flags.json) return `${valueToJson(evaluator, value, context)}\n`;
  if (flags.xml) return valueToXml(value, { strict: flags.strict === true, locations: flags.location }, context);
  if (flags.strict) forceDeep(value);
  return `${printValue(value, { strict: flags.strict === true })}\n`;
}
