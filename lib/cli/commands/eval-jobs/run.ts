// The work of `tvix eval-jobs`: starts workers, and prints what they find in order.
import { existsSync, openSync, closeSync, readFileSync, truncateSync, writeSync } from "node:fs";
import { availableParallelism } from "node:os";
import { TvixError } from "../../../base/error.ts";
import { attrOfPath } from "../../../nix/jobs.ts";
import { print } from "../../output.ts";
import { EXIT } from "../../render/error.ts";
import { openProgress } from "../../render/progress.ts";
import { interruptible } from "../../signals.ts";
import { withPurity } from "../eval/flake.ts";
import { readSubjects } from "../eval/world.ts";
import { Aggregates } from "./aggregates.ts";
import type { AttrPath, JobsFlags } from "./flags.ts";
import { StatusReader } from "./cache-status.ts";
import { runPool } from "./pool.ts";
import { Schedule } from "./schedule.ts";
import { runWorker } from "./worker.ts";

/** Tasks that a worker is given at a time: few, so that lines come soon and workers end together. */
const BATCH = 32;

/** The same where what they make is written: each batch is made durable once. */
const WRITTEN_BATCH = 256;

/** Prints a line for each job. */
export async function run(args: readonly string[], asked: JobsFlags): Promise<void> {
  const flags = withPurity(asked);
  const workers = wholeNumber(flags.workers, "--workers", 4 * availableParallelism());
  const ceiling = wholeNumber(flags.maxMemorySize, "--max-memory-size", 1 << 20);
  const [subject, ...others] = flags.flake ? [args[0] ?? ".", ...args.slice(1)] : readSubjects(args, flags);
  if (subject === undefined || others.length > 0 || (flags.attr?.length ?? 0) > 1) {
    throw new TvixError("ERR_CLI_USAGE", "eval-jobs takes one file, expression or flake, and one attribute path");
  }
  if (flags.asWorker) return await runWorker(subject, { ...flags, replay: false }, ceiling);
  const output = flags.resume === undefined ? undefined : continueFile(flags.resume);
  const batch = flags.instantiate || flags.gcRootsDir !== undefined ? WRITTEN_BATCH : BATCH;
  const aggregates = flags.constituents ? new Aggregates() : undefined;
  // Aggregates need to know all jobs, those of an earlier run too.
  const isThere = (path: AttrPath): boolean => output?.has(attrOfPath(path)) ?? false;
  const schedule = new Schedule(aggregates === undefined ? isThere : () => false);
  const progress = await openProgress("evaluating", "items");
  const status = flags.checkCacheStatus ? await StatusReader.open(flags.store, flags.substituter ?? []) : undefined;
  const tell = async (lines: readonly string[]): Promise<void> => {
    const wanted = aggregates === undefined ? lines : lines.filter((line) => !output?.has(attrOfLine(line)));
    const complete = status === undefined ? wanted : await status.annotate(wanted);
    const text = complete.map((line) => `${line}\n`).join("");
    if (output === undefined) await print(text);
    else output.append(text);
  };
  let printed = Promise.resolve();
  const onProgress = (): void => {
    const { done, known } = schedule.progress;
    progress.update(done, known);
    const found = [...schedule.lines()];
    const lines = aggregates === undefined ? found.map(({ line }) => line) : [...aggregates.pass(found)];
    if (lines.length > 0) printed = printed.then(() => tell(lines));
  };
  try {
    await interruptible((signal) => runPool(schedule, { workers, batch, onProgress, signal }));
    await printed;
    if (aggregates !== undefined) await tell(await aggregates.conclude(flags));
    if (schedule.rootFailed) process.exitCode = EXIT.failed;
  } finally {
    progress.stop();
    await printed.catch(() => undefined);
    await status?.close();
    output?.close();
  }
}

function wholeNumber(text: string, flag: string, most: number): number {
  const number = Number(text);
  if (/^[0-9]+$/.test(text) && number >= 1 && number <= most) return number;
  throw new TvixError("ERR_CLI_USAGE", `${flag} wants a whole number from 1 to ${most}`);
}

/** A file of lines of an earlier run, to be continued. */
interface OpenFile {
  /** Whether it has the job of this name. */
  has(attr: string | undefined): boolean;
  append(lines: string): void;
  close(): void;
}

/** Opens a file that may not exist, or end in the middle of a line. */
function continueFile(path: string): OpenFile {
  const text = existsSync(path) ? readFileSync(path) : new Uint8Array(0);
  const whole = text.lastIndexOf(10) + 1;
  const attrs = new Set<string>();
  for (const [i, line] of new TextDecoder().decode(text.subarray(0, whole)).split("\n").entries()) {
    if (line === "") continue;
    const attr = attrOfLine(line);
    if (attr === undefined) {
      throw new TvixError("ERR_CLI_RESUME", `${path} is no output of eval-jobs: line ${i + 1} tells of no job`);
    }
    attrs.add(attr);
  }
  if (whole < text.length) truncateSync(path, whole);
  const file = openSync(path, "a");
  return {
    has: (attr) => attr !== undefined && attrs.has(attr),
    append: (lines) => {
      writeSync(file, lines);
    },
    close: () => closeSync(file),
  };
}

function attrOfLine(line: string): string | undefined {
  try {
    const { attr } = JSON.parse(line) as { attr?: unknown };
    return typeof attr === "string" ? attr : undefined;
  } catch {
    return undefined;
  }
}
