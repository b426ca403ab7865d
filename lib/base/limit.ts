// A bound on work under way: so many at once, so many waiting, no more.
import { TvixError } from "./error.ts";

/** Lets at most `width` pieces of work run at once; others wait in order, at most `waiting` of them. */
export class Limit {
  readonly #width: number;
  readonly #waiting: number;
  #running = 0;
  readonly #queue: (() => void)[] = [];

  constructor(width: number, waiting: number = Number.POSITIVE_INFINITY) {
    this.#width = width;
    this.#waiting = waiting;
  }

  /**
   * Waits for a place; call what it gives once, when the work is done.
   * @throws TvixError `ERR_BUSY` when too many wait already; the reason of `signal` when it ends the wait.
   */
  async enter(signal?: AbortSignal): Promise<() => void> {
    if (this.#running < this.#width) this.#running++;
    else await this.#wait(signal);
    let left = false;
    return () => {
      if (left) return;
      left = true;
      // A place passes from hand to hand: who waits next is counted as running already.
      const next = this.#queue.shift();
      if (next) next();
      else this.#running--;
    };
  }

  #wait(signal?: AbortSignal): Promise<void> {
    if (this.#queue.length >= this.#waiting) {
      const text = `${this.#running} pieces of work are under way and ${this.#queue.length} wait`;
      return Promise.reject(new TvixError("ERR_BUSY", text, { notes: ["try again later"] }));
    }
    return new Promise((resolve, reject) => {
      const enter = (): void => {
        signal?.removeEventListener("abort", leave);
        resolve();
      };
      const leave = (): void => {
        this.#queue.splice(this.#queue.indexOf(enter), 1);
        reject(signal?.reason as Error);
      };
      signal?.addEventListener("abort", leave, { once: true });
      this.#queue.push(enter);
    });
  }
}
