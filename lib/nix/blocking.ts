// Calls that wait: asynchronous work is done by another thread while this one stands still.
//
// A lazy language may need the network, git or a remote store in the middle of anything, so whoever asks must get the
// answer in the call itself. A BlockingThread runs a module of asynchronous functions in a worker; `call` sends a
// request, sleeps until the answer is there and returns it, or throws what the function threw. Arguments and answers
// are structured clones: plain data and bytes, no objects of classes. The thread starts with the first call and does
// not keep the process alive.
//
// While a call waits nothing else happens in the calling thread, signal handlers included. A worker that stops giving
// signs of life (killed for lack of memory, say) ends the wait with an error.
import type { MessagePort, Worker } from "node:worker_threads";
import { AssertionError, TvixError } from "../base/error.ts";
import type { Answer, Request, ThreadData } from "./blocking-thread.ts";

/** Loaded with the first thread. */
const threads = (): typeof import("node:worker_threads") => process.getBuiltinModule("node:worker_threads");

/** What a module for a {@link BlockingThread} exports: asynchronous functions of at most one argument, by name. */
export type BlockingFunctions = Readonly<Record<string, (argument: never) => Promise<unknown>>>;

/** Options of {@link BlockingThread}. */
export interface BlockingOptions {
  /** Milliseconds without a sign of life after which a thread counts as lost; it gives one every second. Default: 120 000. */
  readonly silence?: number;
}

/** Where the compiled module `path` (below lib/, ending in .js) is. Threads run compiled modules, whoever starts them. */
export function compiledModule(path: string): URL {
  // This file is in lib/nix or dist/nix, the bundle in dist/cli: the package is two levels up from all of them.
  return new URL(`../../dist/${path}`, import.meta.url);
}

/** A thread whose functions can be called and waited for. `F` is the type of what `module` exports as `open`. */
export class BlockingThread<F extends BlockingFunctions> {
  readonly #module: URL;
  readonly #options: unknown;
  readonly #silence: number;
  #running: Running | undefined;

  /** @param options is given to the module's `open`, which answers the functions; structured clones only */
  constructor(module: URL, options: unknown, { silence = 120_000 }: BlockingOptions = {}) {
    this.#module = module;
    this.#options = options;
    this.#silence = silence;
  }

  /**
   * Calls a function and waits.
   * @throws TvixError what the function threw, or `ERR_NIX_THREAD_LOST`
   */
  call<K extends keyof F & string>(name: K, argument: Parameters<F[K]>[0]): Awaited<ReturnType<F[K]>> {
    this.#running ??= new Running(this.#module, this.#options);
    const answer = this.#running.ask({ name, argument }, this.#silence);
    if (answer === undefined) {
      void this.close();
      throw new TvixError("ERR_NIX_THREAD_LOST", `the thread that does '${name}' does not answer any more`, {
        notes: ["it may have run out of memory"],
      });
    }
    if ("value" in answer) return answer.value as Awaited<ReturnType<F[K]>>;
    const { code, message, notes } = answer.error;
    if (code === undefined) throw new AssertionError(`in ${name}: ${message}`);
    throw new TvixError(code, message, { notes });
  }

  /** Ends the thread; what it was doing is given up. Another call starts another one. */
  async close(): Promise<void> {
    const running = this.#running;
    this.#running = undefined;
    await running?.close();
  }
}

/** A worker that is there, and the way to talk to it. */
class Running {
  readonly #worker: Worker;
  readonly #port: MessagePort;
  /** [0]: answers sent so far; [1]: signs of life. */
  readonly #signals = new Int32Array(new SharedArrayBuffer(8));

  constructor(module: URL, options: unknown) {
    const { port1, port2 } = new (threads().MessageChannel)();
    this.#port = port1;
    const workerData: ThreadData = { module: module.href, options, port: port2, signals: this.#signals };
    this.#worker = new (threads().Worker)(compiledModule("nix/blocking-thread.js"), {
      workerData,
      transferList: [port2],
      execArgv: [],
    });
    this.#worker.unref();
    port1.unref();
  }

  /** Waits for the answer; `undefined` when the thread has given no sign of life for so long. */
  ask(request: Request, silence: number): Answer | undefined {
    const before = Atomics.load(this.#signals, 0);
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a port of Node, not a window
    this.#port.postMessage(request);
    for (;;) {
      const life = Atomics.load(this.#signals, 1);
      const woken = Atomics.wait(this.#signals, 0, before, silence);
      if (woken !== "timed-out") break;
      if (Atomics.load(this.#signals, 1) === life) return undefined;
    }
    const received: { message: Answer } | undefined = threads().receiveMessageOnPort(this.#port);
    if (received === undefined) throw new AssertionError(`no answer to '${request.name}'`);
    return received.message;
  }

  async close(): Promise<void> {
    this.#port.close();
    await this.#worker.terminate();
  }
}
