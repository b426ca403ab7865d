// Errors of store paths and hashes as evaluation errors.

import { TvixError } from "../base/error.ts";
import { EvalError } from "../eval/error.ts";

/** Runs `work`; an error of the formats becomes an evaluation error with its code in the cause. */
export function storeErrors<T>(work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (error instanceof EvalError || !(error instanceof TvixError)) throw error;
    const code = error.code.startsWith("ERR_HASH") ? "ERR_EVAL_HASH" : "ERR_EVAL_STORE";
    throw new EvalError(code, error.message, { cause: error, notes: error.notes });
  }
}
