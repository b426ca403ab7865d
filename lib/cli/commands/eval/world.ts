// What `tvix eval` and its relatives share: their flags, sources from the command line, and a session for this machine.
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { TvixError } from "../../../base/error.ts";
import { bytesToLatin1, encodeUtf8, latin1ToBytes } from "../../../base/text.ts";
import { findAlongPath } from "../../../eval/attr-path.ts";
import type { Diagnostic } from "../../../eval/diagnostic.ts";
import type { Evaluator } from "../../../eval/evaluator.ts";
import { type ExperimentalFeature, isExperimentalFeature } from "../../../eval/features.ts";
import { fileSystemIO } from "../../../eval/io/files.ts";
import type { EvalIO } from "../../../eval/io.ts";
import { type IoRecord, recordingIO } from "../../../eval/io/recording.ts";
import { isDeepThread, nodeBackend, runDeep, startProfile } from "../../../eval/node.ts";
import { Source } from "../../../eval/source.ts";
import type { Value, Whnf } from "../../../eval/value/value.ts";
import { canonicalPath } from "../../../eval/text/path.ts";
import { quoteString } from "../../../eval/text/quote.ts";
import { forceText } from "../../../eval/vm/demand.ts";
import { Fetcher } from "../../../nix/fetch/fetcher.ts";
import { isPseudoUrl, parseSearchPath, parseSearchPathEntry } from "../../../nix/search-path.ts";
import { openSession, type Session, type SessionOptions } from "../../../nix/session.ts";
import { lazyReader, type OwnReader, storeReader } from "../../../nix/store-reader.ts";
import { parseAddress } from "../../../store/address.ts";
import type { Store } from "../../../store/store.ts";
import { cacheDirectory } from "../../cache-home.ts";
import { threadEntry } from "../../entry.ts";
import { note, saidSoFar, STDIN } from "../../output.ts";
import { splitPair, type WorldFlags } from "./flags.ts";
import { Recorder, type ReplayOutcome } from "./recorder.ts";
import { diagnosticText } from "./report.ts";
import { startStatistics } from "./stats.ts";

/** One thing to evaluate: text from somewhere, or a file by its path, or by `<name>` or URL. */
export type Subject = { readonly source: Source } | { readonly path: string } | { readonly named: string };

/** The session of one command, and what is asked of it. */
export interface OpenWorld {
  readonly session: Session;
  /**
   * Evaluates, with the values of `--arg` and `--argstr` by name. When that fails soon, the work is done once more to
   * say more of the error.
   */
  readonly attempt: <T>(work: (evaluator: Evaluator, given: ReadonlyMap<string, Value>) => T) => T;
  /** Shows the warnings about what a subject says itself. */
  readonly warn: (subject: Subject) => void;
  /** The values of `--arg` and `--argstr`, by name. */
  readonly given: ReadonlyMap<string, Value>;
  /** Keeps what came of it, for a replay. */
  readonly keep: (outcome: ReplayOutcome) => void;
}

/** An evaluation that took longer, in milliseconds, is only done once more where `--show-trace` asks for it. */
const EXPLAIN_LIMIT = 1500;

/**
 * Runs `work` in a session. Where it finds calls nested too deeply for this thread, all of it runs once more from the
 * start in a thread with more stack: a rare program pays for it, and no other does.
 * @param store for reading store paths; by default that of `--store` or the default one, where there is one
 */
export async function withWorld(
  flags: WorldFlags,
  work: (world: OpenWorld) => Promise<void>,
  store?: Store,
): Promise<void> {
  if (await attemptWork(flags, work, store)) return;
  // Of the first attempt nothing is in memory any more, and its compiled units are kept for the second one.
  process.exitCode = await runDeep(threadEntry(), process.argv.slice(2), saidSoFar());
}

/** Runs `work` in a session; false when calls are nested too deeply for this thread, and another one may do it. */
async function attemptWork(
  flags: WorldFlags,
  work: (world: OpenWorld) => Promise<void>,
  store: Store | undefined,
): Promise<boolean> {
  const statistics = flags.stats ? startStatistics() : undefined;
  const profiling = flags.profile === undefined ? undefined : startProfile();
  // Warnings come of reading sources, which compiled units spare.
  const cached = flags.cache && flags.warn !== "all";
  const backend = nodeBackend(cached ? { cacheDirectory: cacheDirectory("units") } : {});
  const host = fileSystemIO();
  let explaining = false;
  let tooDeep = false;
  const traced = (record: IoRecord): void => {
    if (!explaining) traceIo(record);
  };
  const recorder = new Recorder(flags, flags.traceIo ? recordingIO(host, traced) : host);
  const trustedKeys = flags.trustedPublicKeys?.flatMap((keys) => keys.split(/\s+/).filter(Boolean));
  const fetcher = new Fetcher({
    directory: cacheDirectory("fetch"),
    ...(flags.refresh ? { ttl: 0 } : {}),
    ...(trustedKeys === undefined ? {} : { trustedKeys }),
  });
  const own = store === undefined ? ownReader(flags, recorder.io) : undefined;
  try {
    if (flags.store !== undefined) own?.open();
    const reader = store?.local === undefined ? own : storeReader(store);
    const session = openSession({
      ...sessionOptions(flags, recorder),
      fetcher,
      backend,
      ...(statistics === undefined ? {} : { observer: statistics.observer }),
      ...(reader === undefined ? {} : { reader: recorder.watch(reader) }),
      writable: store !== undefined,
    });
    const { evaluator } = session;
    const given = readArguments(flags, evaluator);
    const start = Date.now();
    const attempt: OpenWorld["attempt"] = (compute) => {
      try {
        return evaluator.guard(() => compute(evaluator, given));
      } catch (error) {
        if (Date.now() - start > EXPLAIN_LIMIT && !flags.showTrace) throw error;
        explaining = true;
        throw evaluator.explain(error, (again) => compute(again, readArguments(flags, again)));
      }
    };
    const warn = (subject: Subject): void => {
      if (flags.warn !== "own") return;
      const source = sourceOf(subject, evaluator);
      for (const warning of evaluator.warnings(source)) showWarning(warning, recorder);
    };
    const keep = (outcome: ReplayOutcome): void => {
      if (!session.world.hasFetched) recorder.keep(outcome);
    };
    await work({ session, given, attempt, warn, keep });
  } catch (error) {
    if (!isTooDeep(error) || isDeepThread()) throw error;
    tooDeep = true;
  } finally {
    await own?.close();
    await fetcher.close();
    const profile = profiling?.stop();
    if (profile !== undefined && !tooDeep) writeFileSync(flags.profile as string, profile);
    if (statistics !== undefined && !tooDeep) note(await statistics.finish());
  }
  backend.flush();
  return !tooDeep;
}

/** Whether a thread with more stack may do what failed: calls nested too deeply, or an expression. */
export function isTooDeep(error: unknown): boolean {
  if (!(error instanceof TvixError)) return false;
  return error.code === "ERR_EVAL_STACK_OVERFLOW" || error.code === "ERR_PARSE_TOO_DEEP";
}

/** Prints a question that evaluation asks of the outside, and how long the answer is or what went wrong. */
function traceIo({ operation, subject, answer }: IoRecord): void {
  const found = "error" in answer ? `error: ${answer.error}` : summary(answer.value);
  note(latin1ToBytes(`${operation} ${subject}: ${found}\n`));
}

function summary(value: unknown): string {
  if (typeof value === "string" && value.length > 80) return `${value.length} bytes`;
  return value instanceof Map ? `${value.size} entries` : String(value);
}

/** Reads the store of the flag, or the default one if it exists; only local ones can be read during an evaluation. */
function ownReader(flags: WorldFlags, io: EvalIO): OwnReader | undefined {
  const parsed = parseAddress(flags.store);
  if (parsed.kind !== "local") return undefined;
  const index = bytesToLatin1(encodeUtf8(join(parsed.directory, "index.lmdb")));
  if (flags.store === undefined && io.fileType(index) === undefined) return undefined;
  return lazyReader(parsed.directory);
}

/** Shows a warning. How it looks depends on the terminal, so that the command cannot be replayed. */
function showWarning(warning: Diagnostic, recorder: Recorder): void {
  note(diagnosticText(warning, false));
  recorder.refuse();
}

/** What the arguments of a command name. @throws TvixError `ERR_CLI_USAGE` */
export function readSubjects(args: readonly string[], flags: WorldFlags): Subject[] {
  const directory = bytesToLatin1(encodeUtf8(process.cwd()));
  if (flags.expr) {
    if (args.length === 0) throw new TvixError("ERR_CLI_USAGE", "-E needs an expression");
    return args.map((text) => ({ source: Source.string(text, directory) }));
  }
  return (args.length === 0 ? ["./default.nix"] : args).map((arg) => {
    if (arg === "-") return { source: Source.stdin(readFileSync(STDIN), directory) };
    if (/^<.+>$/.test(arg) || isPseudoUrl(arg)) return { named: bytesToLatin1(encodeUtf8(arg)) };
    const path = bytesToLatin1(encodeUtf8(arg));
    return { path: canonicalPath(path.startsWith("/") ? path : `${directory}/${path}`) };
  });
}

/** The text that a subject means. */
export function sourceOf(subject: Subject, evaluator: Evaluator): Source {
  return "source" in subject ? subject.source : evaluator.sourceOf(fileOf(subject, evaluator));
}

/** The file that a subject means: names are looked up along the search path, archives at URLs fetched and unpacked. */
function fileOf(subject: Exclude<Subject, { source: Source }>, evaluator: Evaluator): string {
  if ("path" in subject) return subject.path;
  const { named } = subject;
  if (named.startsWith("<")) return evaluator.findFile(evaluator.settings.searchPath, named.slice(1, -1));
  if (named.startsWith("flake:")) return evaluator.findFile([{ prefix: named, path: named }], named);
  return forceText(evaluator.evaluate(`fetchTarball ${quoteString(named)}`), "the place of an archive");
}

function sessionOptions(flags: WorldFlags, recorder: Recorder): SessionOptions {
  const { io } = recorder;
  const pure = flags.pure === true;
  const fromEnvironment = pure ? "" : (io.variable("NIX_PATH") ?? "");
  const includes = (flags.include ?? []).map((text) => parseSearchPathEntry(bytesToLatin1(encodeUtf8(text))));
  const directory = bytesToLatin1(encodeUtf8(process.cwd()));
  const absolute = (path: string): string =>
    path.startsWith("/") || path.includes(":") ? path : canonicalPath(`${directory}/${path}`);
  return {
    io,
    settings: {
      pure,
      restricted: flags.restrict === true,
      traceVerbose: flags.traceVerbose === true,
      system: currentSystem(),
      features: readFeatures(flags),
      ...(flags.nixVersion === undefined ? {} : { nixVersion: bytesToLatin1(encodeUtf8(flags.nixVersion)) }),
      searchPath: [...includes, ...parseSearchPath(fromEnvironment)].map(({ prefix, path }) => ({
        prefix,
        path: absolute(path),
      })),
    },
    onMessage: (kind, text) => {
      recorder.say(kind === "trace" ? `trace: ${text}\n` : `evaluation warning: ${text}\n`);
    },
    ...(flags.warn === "all" ? { onDiagnostic: (warning: Diagnostic) => showWarning(warning, recorder) } : {}),
  };
}

/** The experimental features that the flags allow. Nix has others, which mean nothing here. */
export function readFeatures({ extraExperimentalFeatures = [] }: WorldFlags): ReadonlySet<ExperimentalFeature> {
  return new Set(extraExperimentalFeatures.flatMap((names) => names.split(/\s+/)).filter(isExperimentalFeature));
}

/** The platform in Nix's words, such as x86_64-linux. */
function currentSystem(): string {
  const cpus: Partial<Record<string, string>> = { x64: "x86_64", arm64: "aarch64", ia32: "i686", arm: "armv7l" };
  return `${cpus[process.arch] ?? process.arch}-${process.platform}`;
}

/** The values of `--arg` and `--argstr`, by name. */
function readArguments(flags: WorldFlags, evaluator: Evaluator): Map<string, Value> {
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

/** The value that a subject and an attribute path name. */
export function evaluateSubject(
  subject: Subject,
  path: string,
  given: ReadonlyMap<string, Value>,
  evaluator: Evaluator,
): Whnf {
  const root =
    "source" in subject ? evaluator.evaluate(subject.source) : evaluator.evaluateFile(fileOf(subject, evaluator));
  return findAlongPath(root, bytesToLatin1(encodeUtf8(path)), given);
}
