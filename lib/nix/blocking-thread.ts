// The other side of a BlockingThread: loads the module, answers requests one after the other, gives signs of life.
//
// It imports nothing of ours, so that a module that cannot be loaded is an answer too and not a silence.
import { type MessagePort, workerData } from "node:worker_threads";

/** What a worker is started with. */
export interface ThreadData {
  readonly module: string;
  readonly options: unknown;
  readonly port: MessagePort;
  /** [0]: answers sent so far; [1]: signs of life. */
  readonly signals: Int32Array;
}

/** A call. */
export interface Request {
  readonly name: string;
  readonly argument: unknown;
}

/** Why a call failed. Errors without a code are mistakes of ours. */
export interface Failure {
  readonly code: string | undefined;
  readonly message: string;
  readonly notes: readonly string[];
}

/** What came of a call. */
export type Answer = { readonly value: unknown } | { readonly error: Failure };

type Functions = Readonly<Record<string, (argument: unknown) => Promise<unknown>>>;

interface Module {
  open(options: unknown): Promise<Functions>;
}

const { module, options, port, signals } = workerData as ThreadData;

setInterval(() => Atomics.add(signals, 1, 1), 1000);

let functions: Promise<Functions> | undefined;

async function answer({ name, argument }: Request): Promise<Answer> {
  try {
    functions ??= import(module).then((loaded: Module) => loaded.open(options));
    const run = (await functions)[name];
    if (run === undefined) throw new Error(`there is no '${name}' in ${module}`);
    return { value: await run(argument) };
  } catch (error) {
    return { error: describe(error) };
  }
}

function describe(error: unknown): Failure {
  const { code, notes, message, stack } = error as {
    code?: unknown;
    notes?: readonly string[];
    message?: string;
    stack?: string;
  };
  // The notes tell ours from Node's own errors with codes.
  if (typeof code === "string" && Array.isArray(notes)) return { code, message: message ?? "", notes };
  return { code: undefined, message: stack ?? String(error), notes: [] };
}

async function serve(request: Request): Promise<void> {
  const reply = await answer(request);
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a port of Node, not a window
  port.postMessage(reply);
  Atomics.add(signals, 0, 1);
  Atomics.notify(signals, 0);
}

port.on("message", (request: Request) => void serve(request));
