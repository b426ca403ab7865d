// The work of `tvix eval`: sources from the command line, an evaluator for this machine, values as text.
import { readFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { TvixError } from "../../../base/error.ts";
import { bytesToLatin1, encodeUtf8, latin1ToBytes } from "../../../base/text.ts";
import { autoCall, findAlongPath } from "../../../eval/attr-path.ts";
import { valueToJson } from "../../../eval/builtins/json.ts";
import { valueToXml } from "../../../eval/builtins/xml.ts";
import type { Diagnostic } from "../../../eval/diagnostic.ts";
import { EvalError } from "../../../eval/error.ts";
import type { Evaluator } from "../../../eval/evaluator.ts";
import { fileSystemIO } from "../../../eval/io/files.ts";
import { isDeepThread, nodeBackend, runDeep, type TieredBackend } from "../../../eval/node.ts";
import { Source } from "../../../eval/source.ts";
import { parse } from "../../../eval/syntax/parser.ts";
import { ContextBuilder } from "../../../eval/value/string.ts";
import type { Value, Whnf } from "../../../eval/value/value.ts";
import { coerceToString, WEAK_COPY } from "../../../eval/vm/coerce.ts";
import { canonicalPath } from "../../../eval/vm/path-text.ts";
import { forceDeep, printValue } from "../../../eval/vm/print.ts";
import { parseSearchPath, parseSearchPathEntry } from "../../../nix/search-path.ts";
import { openSession } from "../../../nix/session.ts";
import { entry } from "../../entry.ts";
import { print, STDIN } from "../../output.ts";
import { showDiagnostic } from "./report.ts";

/** Flags of `tvix eval`. */
export interface EvalFlags {
  readonly expr?: boolean;
  readonly attr?: readonly string[];
  readonly strict?: boolean;
  readonly json?: boolean;
  readonly xml?: boolean;
  /** False with `--no-location`. */
  readonly location: boolean;
  readonly raw?: boolean;
  readonly parse?: boolean;
  readonly arg?: readonly string[];
  readonly argstr?: readonly string[];
  readonly include?: readonly string[];
  readonly pure?: boolean;
  readonly restrict?: boolean;
  readonly pipeOperators?: boolean;
  readonly traceVerbose?: boolean;
  readonly showTrace?: boolean;
  /** False with `--no-cache`. */
  readonly cache: boolean;
}

/** One thing to evaluate: text from somewhere, or a file by its path. */
type Subject = { readonly source: Source } | { readonly path: string };

/** Evaluates each argument and prints one value per attribute path. */
export async function run(args: readonly string[], flags: EvalFlags): Promise<void> {
  const subjects = readSubjects(args, flags);
  if (flags.parse) {
    for (const subject of subjects) await printTree(subject, flags);
    return;
  }
  const backend = nodeBackend(flags.cache ? { cacheDirectory: cacheDirectory() } : {});
  const evaluator = openEvaluator(flags, backend);
  try {
    const given = readArguments(flags, evaluator);
    for (const subject of subjects) await printSubject(subject, given, evaluator, flags);
  } catch (error) {
    if (!(error instanceof EvalError) || error.code !== "ERR_EVAL_STACK_OVERFLOW" || isDeepThread()) throw error;
    await runAgainDeep();
  }
  backend.flush();
}

/** Once more from the start, in a thread with more stack: a rare program pays for it, and no other does. */
async function runAgainDeep(): Promise<void> {
  process.exitCode = await runDeep(entry(), process.argv.slice(2));
}

function readSubjects(args: readonly string[], flags: EvalFlags): Subject[] {
  const directory = bytesToLatin1(encodeUtf8(process.cwd()));
  if (flags.expr) {
    if (args.length === 0) throw new TvixError("ERR_CLI_USAGE", "-E needs an expression");
    return args.map((text) => ({ source: Source.string(text, directory) }));
  }
  return (args.length === 0 ? ["./default.nix"] : args).map((arg) => {
    if (arg === "-") return { source: Source.stdin(readFileSync(STDIN), directory) };
    const path = bytesToLatin1(encodeUtf8(arg));
    return { path: canonicalPath(path.startsWith("/") ? path : `${directory}/${path}`) };
  });
}

function openEvaluator(flags: EvalFlags, backend: TieredBackend): Evaluator {
  const io = fileSystemIO();
  const pure = flags.pure === true;
  const fromEnvironment = pure ? "" : (io.variable("NIX_PATH") ?? "");
  const includes = (flags.include ?? []).map((text) => parseSearchPathEntry(bytesToLatin1(encodeUtf8(text))));
  const directory = bytesToLatin1(encodeUtf8(process.cwd()));
  const absolute = (path: string): string =>
    path.startsWith("/") || path.includes(":") ? path : canonicalPath(`${directory}/${path}`);
  const { evaluator } = openSession({
    io,
    backend,
    pipeOperators: flags.pipeOperators === true,
    settings: {
      pure,
      restricted: flags.restrict === true,
      traceVerbose: flags.traceVerbose === true,
      system: currentSystem(),
      searchPath: [...includes, ...parseSearchPath(fromEnvironment)].map(({ prefix, path }) => ({
        prefix,
        path: absolute(path),
      })),
    },
    onMessage: (kind, text) => {
      process.stderr.write(latin1ToBytes(kind === "trace" ? `trace: ${text}\n` : `evaluation warning: ${text}\n`));
    },
    onDiagnostic: (diagnostic: Diagnostic) => showDiagnostic(diagnostic, false),
  });
  return evaluator;
}

/** The platform in Nix's words, such as x86_64-linux. */
function currentSystem(): string {
  const cpus: Partial<Record<string, string>> = { x64: "x86_64", arm64: "aarch64", ia32: "i686", arm: "armv7l" };
  return `${cpus[process.arch] ?? process.arch}-${process.platform}`;
}

function cacheDirectory(): string {
  return join(process.env["XDG_CACHE_HOME"] ?? join(homedir(), ".cache"), "tvix", "units");
}

/** The values of `--arg` and `--argstr`, by name. */
function readArguments(flags: EvalFlags, evaluator: Evaluator): Map<string, Value> {
  const given = new Map<string, Value>();
  const directory = bytesToLatin1(encodeUtf8(process.cwd()));
  for (const pair of flags.arg ?? []) {
    const [name, text] = splitPair(pair, "--arg");
    given.set(name, evaluator.evaluate(Source.string(text, directory)));
  }
  for (const pair of flags.argstr ?? []) {
    const [name, text] = splitPair(pair, "--argstr");
    given.set(name, bytesToLatin1(encodeUtf8(text)));
  }
  return given;
}

function splitPair(pair: string, flag: string): [string, string] {
  const at = pair.indexOf("\0");
  if (at < 0) throw new TvixError("ERR_CLI_USAGE", `${flag} wants a name and a value`);
  return [pair.slice(0, at), pair.slice(at + 1)];
}

async function printSubject(
  subject: Subject,
  given: ReadonlyMap<string, Value>,
  evaluator: Evaluator,
  flags: EvalFlags,
): Promise<void> {
  for (const path of flags.attr ?? [""]) {
    const text = evaluator.guard(() => {
      const root = "path" in subject ? evaluator.evaluateFile(subject.path) : evaluator.evaluate(subject.source);
      const found = findAlongPath(root, bytesToLatin1(encodeUtf8(path)), given);
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
