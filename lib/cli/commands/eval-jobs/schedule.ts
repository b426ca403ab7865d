// Which paths wait to be visited, and the lines of those that were, in order of the paths.
//
// Paths form a tree that unfolds while it is visited. What is handed out next is what comes first in the tree, so that
// lines can be printed soon; a line waits until everything before it is there. But the members of an inner set belong to
// the worker that met it, because they share much that it will have evaluated: others take them, from the end, only when
// there is nothing else to do.
import type { AttrPath, JobLine, Outcome } from "./flags.ts";

/** A path and what came of it. */
export interface Task {
  readonly path: AttrPath;
  /** The worker that it belongs to. */
  readonly home?: number;
  outcome?: Outcome;
  /** The tasks of the names below it. */
  children?: readonly Task[];
}

/** The tasks of one run. */
export class Schedule {
  /** Tasks to hand out, the first one last. */
  readonly #waiting: Task[];
  /** Tasks that a worker ended with: handed out before all others and one by one, to see which of them was to blame. */
  readonly #doubted: Task[] = [];
  /** Tasks whose lines are not out yet, the first one last. */
  readonly #unprinted: Task[];
  readonly #skip: (path: AttrPath) => boolean;
  #known = 1;
  #done = 0;
  #rootFailed = false;

  /** @param skip whether a job need not be visited; its line is not printed */
  constructor(skip: (path: AttrPath) => boolean) {
    const root: Task = { path: [] };
    this.#waiting = [root];
    this.#unprinted = [root];
    this.#skip = skip;
  }

  /** Up to `count` tasks for one of `workers`; at the end fewer, so that all workers end together. */
  take(count: number, worker: number, workers: number): Task[] {
    const doubted = this.#doubted.shift();
    if (doubted !== undefined) return [doubted];
    const waiting = this.#waiting;
    const most = Math.min(count, Math.max(1, Math.ceil(waiting.length / (2 * workers))));
    const taken: Task[] = [];
    for (let i = waiting.length - 1; i >= 0 && taken.length < most; i--) {
      const { home } = waiting[i] as Task;
      if (home === undefined || home === worker) taken.push(...waiting.splice(i, 1));
    }
    return taken.length > 0 ? taken : waiting.splice(0, most).reverse();
  }

  /** Takes tasks back that a worker was given and did not tell of before it ended. */
  putBack(tasks: readonly Task[]): void {
    this.#doubted.unshift(...tasks);
  }

  /** Notes what came of a task that was done by a worker. */
  finish(task: Task, outcome: Outcome, worker: number): void {
    task.outcome = outcome;
    this.#done++;
    if ("line" in outcome) {
      if (task.path.length === 0) this.#rootFailed = outcome.failed;
      return;
    }
    const paths = outcome.names.map((name) => [...task.path, name]);
    const children = paths
      .filter((path) => !this.#skip(path))
      .map((path): Task => {
        return task.path.length === 0 ? { path } : { path, home: worker };
      });
    task.children = children;
    this.#known += children.length;
    this.#waiting.push(...children.toReversed());
  }

  /** Takes the lines that can be printed by now. */
  *lines(): Generator<JobLine> {
    for (let task = this.#unprinted.at(-1); task?.outcome !== undefined; task = this.#unprinted.at(-1)) {
      this.#unprinted.pop();
      if ("line" in task.outcome) yield task.outcome;
      else this.#unprinted.push(...(task.children ?? []).toReversed());
    }
  }

  /** How many tasks there are, as far as known, and how many are done. */
  get progress(): { readonly done: number; readonly known: number } {
    return { done: this.#done, known: this.#known };
  }

  /** Whether the value itself could not be evaluated. */
  get rootFailed(): boolean {
    return this.#rootFailed;
  }

  /** Whether all tasks are done. */
  get finished(): boolean {
    return this.#done === this.#known;
  }
}
