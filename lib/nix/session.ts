// A session: an evaluator joined with what is known of a store.

import { Evaluator, type EvaluatorOptions } from "../eval/evaluator.ts";
import type { EvalIO } from "../eval/io.ts";
import { derivationBuiltins } from "./builtins/derivation.ts";
import { STORE_BUILTINS } from "./builtins/paths.ts";
import { FETCHURL_SOURCE } from "./core-files.ts";
import { KnownPaths } from "./known-paths.ts";
import { readOnlyStore } from "./store-access.ts";

/** Options of {@link openSession}: those of an evaluator, with I/O. */
export interface SessionOptions extends EvaluatorOptions {
  readonly io: EvalIO;
}

/** An evaluator and the derivations it has evaluated. */
export interface Session {
  readonly evaluator: Evaluator;
  readonly known: KnownPaths;
}

/** Opens a session that evaluates derivations and writes nothing. */
export function openSession(options: SessionOptions): Session {
  const storeDir = options.settings?.storeDir ?? "/nix/store";
  const known = new KnownPaths();
  const evaluator = new Evaluator({
    store: readOnlyStore(options.io, storeDir),
    coreFiles: { "fetchurl.nix": FETCHURL_SOURCE },
    ...options,
    builtins: [...derivationBuiltins(known), ...STORE_BUILTINS, ...(options.builtins ?? [])],
  });
  return { evaluator, known };
}
