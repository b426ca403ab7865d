// The work of `tvix eval`: values as text.
import { homedir } from "node:os";
import { bytesToLatin1, encodeUtf8, latin1ToBytes } from "../../../base/text.ts";
import { autoCall } from "../../../eval/attr-path.ts";
import { valueToJson } from "../../../eval/builtins/json.ts";
import { valueToXml } from "../../../eval/builtins/xml.ts";
import { Evaluator } from "../../../eval/evaluator.ts";
import { fileSystemIO } from "../../../eval/io/files.ts";
import { isDeepThread, runDeep } from "../../../eval/node.ts";
import { Source } from "../../../eval/source.ts";
import { ContextBuilder } from "../../../eval/value/string.ts";
import type { Value, Whnf } from "../../../eval/value/value.ts";
import { coerceToString, WEAK_COPY } from "../../../eval/vm/coerce.ts";
import { forceDeep, printValue } from "../../../eval/vm/print.ts";
import { threadEntry } from "../../entry.ts";
import { note, print, saidSoFar } from "../../output.ts";
import { evaluateFlakeArgument, withPurity } from "./flake.ts";
import type { FlakeFlags } from "./flake-flags.ts";
import type { WorldFlags } from "./flags.ts";
import { diagnosticText } from "./report.ts";
import {
  evaluateSubject,
  isTooDeep,
  type OpenWorld,
  readFeatures,
  readSubjects,
  sourceOf,
  type Subject,
  withWorld,
} from "./world.ts";

/** Flags of `tvix eval`. */
export interface EvalFlags extends WorldFlags, FlakeFlags {
  readonly strict?: boolean;
  readonly json?: boolean;
  readonly xml?: boolean;
  /** False with `--no-location`. */
  readonly location: boolean;
  readonly raw?: boolean;
  readonly parse?: boolean;
  readonly dumpIr?: boolean;
}

/** Evaluates each argument and prints one value per attribute path. */
export async function run(args: readonly string[], asked: EvalFlags): Promise<void> {
  const flags = withPurity(asked);
  if (flags.flake) return await printFlakes(args, flags);
  const subjects = readSubjects(args, flags);
  if (flags.parse) return await printTrees(subjects, flags);
  await withWorld(flags, async (world) => {
    if (flags.dumpIr) return await printPrograms(subjects, world.session.evaluator);
    let stdout = "";
    for (const subject of subjects) {
      world.warn(subject);
      stdout += await printValues(
        (path, evaluator, given) => evaluateSubject(subject, path, given, evaluator),
        world,
        flags,
      );
    }
    world.keep({ stdout });
  });
}

/** Evaluates flakes and prints one value per attribute path. */
async function printFlakes(args: readonly string[], flags: EvalFlags): Promise<void> {
  await withWorld(flags, async (world) => {
    let stdout = "";
    for (const argument of args.length === 0 ? ["."] : args) {
      const find: Finder = (path, evaluator, given) =>
        evaluateFlakeArgument(argument, path, given, world.session, evaluator, flags);
      stdout += await printValues(find, world, flags);
    }
    world.keep({ stdout });
  });
}

/** Evaluates what is at an attribute path. */
type Finder = (path: string, evaluator: Evaluator, given: ReadonlyMap<string, Value>) => Whnf;

/** Prints syntax trees; a text nested too deeply for this thread's stack is read again in one with more. */
async function printTrees(subjects: readonly Subject[], flags: EvalFlags): Promise<void> {
  if (subjects.some((subject) => "named" in subject)) {
    return await withWorld(flags, async ({ session: { evaluator } }) => {
      for (const subject of subjects) await printTree(sourceOf(subject, evaluator), flags);
    });
  }
  try {
    for (const subject of subjects) await printTree(plainSource(subject as Exclude<Subject, { named: string }>), flags);
  } catch (error) {
    if (!isTooDeep(error) || isDeepThread()) throw error;
    process.exitCode = await runDeep(threadEntry(), process.argv.slice(2), saidSoFar());
  }
}

/** Prints a value per attribute path; answers all that was printed. */
async function printValues(find: Finder, world: OpenWorld, flags: EvalFlags): Promise<string> {
  let printed = "";
  for (const path of flags.attr ?? [""]) {
    const text = world.attempt((evaluator, given) => {
      const found = find(path, evaluator, given);
      return render(given.size === 0 ? found : autoCall(found, given), evaluator, flags);
    });
    await print(latin1ToBytes(text));
    printed += text;
  }
  return printed;
}

async function printTree(source: Source, flags: EvalFlags): Promise<void> {
  const evaluator = new Evaluator({ settings: { features: readFeatures(flags) } });
  const parsed = evaluator.parse(source);
  const { expr, warnings } = parsed;
  if (flags.warn !== "none") for (const warning of warnings) note(diagnosticText(warning, false));
  // Undefined variables are errors of the text, too.
  evaluator.guard(() => evaluator.compile(source, { parsed }));
  const { printExpr } = await import("../../../eval/syntax/printer.ts");
  const home = bytesToLatin1(encodeUtf8(homedir()));
  await print(latin1ToBytes(`${printExpr(expr, { directory: source.directory, home })}\n`));
}

async function printPrograms(subjects: readonly Subject[], evaluator: Evaluator): Promise<void> {
  const { printIr } = await import("../../../eval/ir/print.ts");
  for (const subject of subjects) {
    const text = evaluator.guard(() => printIr(evaluator.compile(sourceOf(subject, evaluator))));
    await print(latin1ToBytes(`${text}\n`));
  }
}

/** The text of a subject for which no evaluator is needed. */
function plainSource(subject: Exclude<Subject, { named: string }>): Source {
  return "source" in subject ? subject.source : Source.file(subject.path, fileSystemIO().readFile(subject.path));
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
