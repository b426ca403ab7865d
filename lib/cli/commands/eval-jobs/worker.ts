// A worker of `tvix eval-jobs`: visits the paths it is told to, in a thread with a deep stack and a bounded heap.
//
// The process itself only passes messages on between the command and that thread. When the thread runs out of memory,
// its process ends, and the command starts another one.
import { on, once } from "node:events";
import { getHeapStatistics } from "node:v8";
import { isMainThread, parentPort, Worker } from "node:worker_threads";
import { TvixError } from "../../../base/error.ts";
import { autoCall } from "../../../eval/attr-path.ts";
import { PLAIN_STYLE, renderDiagnostic } from "../../../eval/diagnostic.ts";
import { DEEP_LIMITS } from "../../../eval/node.ts";
import { diagnose } from "../../../eval/report.ts";
import { byteStringToText, Source, textToByteString } from "../../../eval/source.ts";
import { call1 } from "../../../eval/vm/call.ts";
import { instantiate } from "../../../nix/instantiate.ts";
import { attrOfPath, type Job, JobTree, type Visit } from "../../../nix/jobs.ts";
import { Thunk } from "../../../eval/value/thunk.ts";
import type { Value, Whnf } from "../../../eval/value/value.ts";
import type { Store } from "../../../store/store.ts";
import { threadEntry } from "../../entry.ts";
import { EXIT } from "../../render/error.ts";
import { evaluateFlakeArgument } from "../eval/flake.ts";
import { evaluateSubject, type OpenWorld, type Subject, withWorld } from "../eval/world.ts";
import { withStore } from "../store/session.ts";
import type { AttrPath, JobsFlags, Order, Outcome, Report } from "./flags.ts";
import { keep } from "./roots.ts";

/** Of what a worker may use, the part that values may take; the rest is for young values, code and the engine. */
const OLD_SHARE = 0.85;

/** What young values may take, in MiB. */
const YOUNG = 512;

/** A heap as full as this is not filled further: collections would come ever more often. */
const FULL = 0.9;

/** How often outcomes are told, in milliseconds: each message is read and written twice on its way. */
const TELL_EVERY = 20;

/** Frames of a trace in the text of an error. */
const FRAMES = 4;

/**
 * Runs as a worker until the command has no more to do.
 * @param subject what has the jobs; a text names a flake
 */
export async function runWorker(subject: Subject | string, flags: JobsFlags, ceiling: number): Promise<void> {
  if (isMainThread) return await relay(ceiling);
  const serve = (store?: Store): Promise<void> =>
    withWorld(flags, (world) => visitOrders(jobTree(subject, flags, world), flags, ceiling, world, store), store);
  await (flags.instantiate || flags.gcRootsDir !== undefined ? withStore(flags, "write", serve) : serve());
}

/** Passes messages on between the command and the thread. */
async function relay(ceiling: number): Promise<void> {
  const resourceLimits = {
    ...DEEP_LIMITS,
    maxYoungGenerationSizeMb: Math.min(YOUNG, ceiling / 4),
    maxOldGenerationSizeMb: Math.ceil(ceiling * OLD_SHARE),
  };
  const thread = new Worker(threadEntry(), { argv: process.argv.slice(2), resourceLimits });
  const tell = (order: Order | null): void => thread.postMessage(order, []);
  process.on("message", tell).on("disconnect", () => tell(null));
  // The command hears of it too, and tells when to end.
  process.on("SIGINT", () => undefined);
  thread.on("message", (report) => process.send?.(report));
  try {
    const [code] = (await once(thread, "exit")) as [number];
    process.exitCode = code;
  } catch (error) {
    // Of all that can end a thread, only this is the fault of what it evaluated.
    if ((error as NodeJS.ErrnoException).code !== "ERR_WORKER_OUT_OF_MEMORY") throw error;
    process.exitCode = EXIT.failed;
  } finally {
    if (process.connected) process.disconnect();
  }
}

function jobTree(subject: Subject | string, flags: JobsFlags, { session, given }: OpenWorld): JobTree {
  const { evaluator } = session;
  const [path = ""] = flags.attr ?? [];
  const expression = (text: string): Whnf =>
    evaluator.evaluate(Source.string(textToByteString(text), textToByteString(process.cwd())));
  const root = (): Value => {
    const value =
      typeof subject === "string"
        ? evaluateFlakeArgument(subject, path, given, session, evaluator, flags)
        : evaluateSubject(subject, path, given, evaluator);
    return flags.select === undefined ? value : call1(expression(flags.select), autoCall(value, given));
  };
  return new JobTree(session, root, {
    args: given,
    everySet: flags.forceRecurse === true,
    everyName: true,
    meta: flags.meta === true,
    inputDrvs: flags.showInputDrvs === true,
    constituents: flags.constituents === true,
    ...(flags.apply === undefined ? {} : { apply: new Thunk(() => expression(flags.apply as string), null) }),
  });
}

async function visitOrders(
  tree: JobTree,
  flags: JobsFlags,
  ceiling: number,
  { session }: OpenWorld,
  store?: Store,
): Promise<void> {
  const port = parentPort as NonNullable<typeof parentPort>;
  const send = (report: Report): void => port.postMessage(report);
  const settled = new Set<string>();
  let told = 0;
  // All workers need the root: they compute it while the command still waits for the first answer.
  visit(tree, []);
  for await (const [order] of on(port, "message") as AsyncIterable<[Order | null]>) {
    if (order === null) return;
    const written: string[] = [];
    let outcomes: Outcome[] = [];
    for (const path of order.visit) {
      const visited = visit(tree, path);
      if ("kind" in visited && visited.kind === "job") written.push(visited.job.drvPath);
      outcomes.push(outcomeOf(path, visited));
      if (store !== undefined || performance.now() - told < TELL_EVERY) continue;
      send({ outcomes });
      outcomes = [];
      told = performance.now();
    }
    if (store !== undefined) {
      await instantiate(session.world, store, written, { roots: keep(flags, written), settled });
    }
    send({ outcomes, full: isFull(ceiling) });
  }
}

function isFull(ceiling: number): boolean {
  const MiB = 1 << 20;
  return (
    process.memoryUsage.rss() > ceiling * MiB || getHeapStatistics().used_heap_size > ceiling * OLD_SHARE * FULL * MiB
  );
}

function visit(tree: JobTree, path: AttrPath): Visit | { readonly error: unknown } {
  try {
    return tree.visit(path);
  } catch (error) {
    if (error instanceof TvixError) return { error };
    throw error;
  }
}

function outcomeOf(path: AttrPath, visited: ReturnType<typeof visit>): Outcome {
  if ("error" in visited) return { line: lineOf(path, { error: describe(visited.error) }), failed: true };
  if (visited.kind === "job") {
    const { job, link } = visited;
    return { line: lineOf(path, job), failed: false, ...(link === undefined ? {} : { link }) };
  }
  return { names: visited.kind === "set" ? visited.names : [] };
}

/** A line of output. */
export function lineOf(path: AttrPath, rest: Job | { readonly error: string }): string {
  return JSON.stringify({ attr: attrOfPath(path), attrPath: path.map(byteStringToText), ...rest });
}

function describe(error: unknown): string {
  const diagnostic = diagnose(error);
  if (diagnostic !== undefined) return renderDiagnostic(diagnostic, { style: PLAIN_STYLE, traceLimit: FRAMES });
  return (error as Error).message;
}
