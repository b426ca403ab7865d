// The processes that evaluate: started, given work, and replaced when they use too much memory or end early.
import { type ChildProcess, fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import { TvixError } from "../../../base/error.ts";
import { entry } from "../../entry.ts";
import type { Order, Report } from "./flags.ts";
import type { Schedule, Task } from "./schedule.ts";
import { lineOf } from "./worker.ts";

/** How a pool works. */
export interface PoolOptions {
  readonly workers: number;
  /** How many tasks a worker is given at a time. */
  readonly batch: number;
  /** Called whenever tasks were finished. */
  readonly onProgress: () => void;
  readonly signal: AbortSignal;
}

/** A process and what it is doing. */
interface Hand {
  readonly child: ChildProcess;
  /** Which of the workers it is; one that replaces another takes its number. */
  readonly number: number;
  /** Tasks that it was given and has not reported, in order; some may be done. */
  readonly tasks: Task[];
  /** Whether it waits for tasks. */
  idle: boolean;
  /** Whether it has reported any task. */
  proven: boolean;
}

/** Works until the schedule is finished. @throws TvixError `ERR_CLI_WORKER` when processes cannot work at all */
export function runPool(schedule: Schedule, options: PoolOptions): Promise<void> {
  return new Promise((resolve, reject) => {
    new Pool(schedule, options, resolve, reject).start();
  });
}

class Pool {
  readonly #schedule: Schedule;
  readonly #options: PoolOptions;
  readonly #hands = new Set<Hand>();
  readonly #resolve: () => void;
  readonly #reject: (error: unknown) => void;
  #failure: unknown;

  constructor(schedule: Schedule, options: PoolOptions, resolve: () => void, reject: (error: unknown) => void) {
    this.#schedule = schedule;
    this.#options = options;
    this.#resolve = resolve;
    this.#reject = reject;
  }

  start(): void {
    const { workers, signal } = this.#options;
    signal.addEventListener("abort", () => this.#fail(signal.reason));
    for (let i = 0; i < workers; i++) this.#hire(i);
    this.#advance();
  }

  #hire(number: number): void {
    const argv = [...process.argv.slice(2), "--as-worker"];
    const child = fork(fileURLToPath(entry()), argv, { stdio: ["ignore", "ignore", "inherit", "ipc"] });
    const hand: Hand = { child, number, tasks: [], idle: true, proven: false };
    this.#hands.add(hand);
    child.on("message", (report: Report) => this.#hear(hand, report));
    child.on("error", (error) => this.#fail(error));
    child.on("exit", (code, signal) => this.#leave(hand, signal ?? `exit code ${String(code)}`));
  }

  /** Does what can be done now: ends, or gives tasks to all who wait for some. */
  #advance(): void {
    const schedule = this.#schedule;
    if (this.#failure !== undefined) {
      if (this.#hands.size === 0) this.#reject(this.#failure);
    } else if (schedule.finished) {
      for (const { child } of this.#hands) if (child.connected) child.disconnect();
      if (this.#hands.size === 0) this.#resolve();
    } else {
      for (const hand of this.#hands) {
        const tasks = hand.idle ? schedule.take(this.#options.batch, hand.number, this.#options.workers) : [];
        if (tasks.length === 0) continue;
        hand.idle = false;
        hand.tasks.push(...tasks);
        const order: Order = { visit: tasks.map(({ path }) => path) };
        hand.child.send(order);
      }
    }
  }

  #hear(hand: Hand, report: Report): void {
    const { outcomes, full } = report;
    for (const outcome of outcomes) {
      hand.proven = true;
      this.#schedule.finish(hand.tasks.shift() as Task, outcome, hand.number);
    }
    this.#options.onProgress();
    if (full === undefined) return;
    hand.idle = true;
    if (full && !this.#schedule.finished) {
      this.#hands.delete(hand);
      hand.child.disconnect();
      this.#hire(hand.number);
    }
    this.#advance();
  }

  /** A worker has ended: when it was told to, or in the middle of a task. */
  #leave(hand: Hand, how: string): void {
    if (!this.#hands.delete(hand)) return;
    const [current] = hand.tasks;
    if (current !== undefined && this.#failure === undefined) {
      if (hand.proven || hand.tasks.length > 1) {
        this.#schedule.putBack(hand.tasks);
      } else {
        // Nothing came before this task, and nothing was to come after it: it alone is to blame.
        const error = `the evaluation ended its process (${how}): it may need more than --max-memory-size`;
        this.#schedule.finish(current, { line: lineOf(current.path, { error }), failed: true }, hand.number);
        this.#options.onProgress();
      }
      if (!this.#schedule.finished) this.#hire(hand.number);
    } else if (this.#hands.size === 0 && !this.#schedule.finished) {
      this.#failure ??= new TvixError("ERR_CLI_WORKER", `all workers ended early (${how})`);
    }
    this.#advance();
  }

  #fail(error: unknown): void {
    this.#failure ??= error;
    for (const { child } of this.#hands) child.kill();
    this.#advance();
  }
}
