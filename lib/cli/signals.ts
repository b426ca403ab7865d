// Interrupts: the first one asks the work to stop and clean up, the second one ends the process.
import { TvixError } from "../base/error.ts";

/** Runs work that stops early when the process is interrupted or told to terminate. */
export async function interruptible<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const controller = new AbortController();
  const stop = (name: NodeJS.Signals): void => {
    if (controller.signal.aborted) process.exit(130);
    controller.abort(new TvixError("ERR_CLI_INTERRUPTED", `stopped by ${name}`));
  };
  process.on("SIGINT", stop).on("SIGTERM", stop);
  try {
    return await work(controller.signal);
  } finally {
    process.off("SIGINT", stop).off("SIGTERM", stop);
  }
}
