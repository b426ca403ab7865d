// Which paths wait to be visited, and the lines of those that were, in order of the paths.
//
// Paths form a tree that unfolds while it is visited. What is handed out next is always what comes first in the tree, so
// that lines can be printed soon; a line waits until everything before it is there.
import type { AttrPath, Outcome } from "./flags.ts";

/** A path and what came of it. */
export interface Task {
  readonly path: AttrPath;
  outcome?: Outcome;
  /** The tasks of the names below it. */
  children?: readonly Task[];
}

/** The tasks of one run. */
export class Schedule {
  /** Tasks to hand out, the first one last. */
  readonly #waiting: Task[];
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

  /** Up to `count` tasks; at the end fewer, so that all workers end together. */
  take(count: number, workers: number): Task[] {
    const share = Math.ceil(this.#waiting.length / (2 * workers));
    return this.#waiting.splice(-Math.min(count, Math.max(1, share))).reverse();
  }

  /** Takes tasks back that were handed out and not visited. */
  putBack(tasks: readonly Task[]): void {
    this.#waiting.push(...tasks.toReversed());
  }

  /** Notes what came of a task. */
  finish(task: Task, outcome: Outcome): void {
    task.outcome = outcome;
    this.#done++;
    if ("line" in outcome) {
      if (task.path.length === 0) this.#rootFailed = outcome.failed;
      return;
    }
    const paths = outcome.names.map((name) => [...task.path, name]);
    const children = paths.filter((path) => !this.#skip(path)).map((path): Task => ({ path }));
    task.children = children;
    this.#known += children.length;
    this.putBack(children);
  }

  /** Takes the lines that can be printed by now. */
  *lines(): Generator<string> {
    for (let task = this.#unprinted.at(-1); task?.outcome !== undefined; task = this.#unprinted.at(-1)) {
      this.#unprinted.pop();
      if ("line" in task.outcome) yield task.outcome.line;
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
