// A session: an evaluator joined with a store.

import { EvalError } from "../eval/error.ts";
import { Evaluator, type EvaluatorOptions } from "../eval/evaluator.ts";
import type { ExperimentalFeature } from "../eval/features.ts";
import type { EvalIO } from "../eval/io.ts";
import type { Attrs } from "../eval/value/attrs.ts";
import type { Runtime } from "../eval/vm/runtime.ts";
import { storeBuiltins } from "./builtins/paths.ts";
import { derivationBuiltins } from "./builtins/derivation.ts";
import { importBuiltin } from "./builtins/import.ts";
import { outputOfBuiltin } from "./builtins/output-of.ts";
import { fetchClosureBuiltin } from "./builtins/fetch-closure.ts";
import { fetchBuiltins } from "./builtins/fetch.ts";
import { evaluateFlake, flakeBuiltin, flakeRefBuiltins } from "./builtins/flake.ts";
import { FETCHURL_SOURCE } from "./core-files.ts";
import type { Fetcher } from "./fetch/fetcher.ts";
import { InputFetcher } from "./fetch/inputs.ts";
import type { LockWishes } from "./flake/lock.ts";
import type { FlakeRef } from "./flake/reference.ts";
import type { KnownPaths } from "./known-paths.ts";
import { resolveSearchPathEntry } from "./search-path.ts";
import type { StoreReader } from "./store-reader.ts";
import { World, type WorldOptions } from "./world.ts";

/** Options of {@link openSession}: those of an evaluator, with I/O, and what stands behind the store. */
export interface SessionOptions extends Omit<EvaluatorOptions, "store"> {
  readonly io: EvalIO;
  /** A store in which evaluation looks paths up; nothing is written to it. */
  readonly reader?: StoreReader | undefined;
  /** Whether the derivations will be written: store paths named in the program must then be there. */
  readonly writable?: boolean;
  /** Builds an output that evaluation wants to read (import from derivation). */
  readonly build?: WorldOptions["build"];
  /** Fetches from the network, from repositories and local files; without it, the fetching builtins are errors. */
  readonly fetcher?: Fetcher;
}

/** An evaluator, its derivations and its sources. */
export interface Session {
  readonly evaluator: Evaluator;
  readonly world: World;
  readonly known: KnownPaths;
  /**
   * The value of a flake that the user names: it and its inputs may be fetched even where evaluation is pure.
   * @param rt an evaluator of this session (default: the session's own)
   */
  readonly flake: (ref: FlakeRef, rt?: Runtime, wishes?: LockWishes) => Attrs;
}

/** Opens a session. Evaluating writes nothing; `instantiate` writes what came of it. */
export function openSession(options: SessionOptions): Session {
  const { io, reader, writable, build, fetcher, builtins, ...rest } = options;
  const storeDir = options.settings?.storeDir ?? "/nix/store";
  const features: ReadonlySet<ExperimentalFeature> = options.settings?.features ?? new Set();
  const resolveEntry = (entry: string): string | undefined => inputs && resolveSearchPathEntry(entry, inputs);
  const world = new World({ host: io, storeDir, reader, writable, build, resolveEntry });
  // Warnings go to the evaluator, which does not exist yet.
  const warn = (text: string): void => evaluator.message("warning", text);
  const inputs: InputFetcher | undefined = fetcher && new InputFetcher({ world, fetcher, warn });
  const evaluator: Evaluator = new Evaluator({
    coreFiles: { "fetchurl.nix": FETCHURL_SOURCE },
    ...rest,
    io: world.io,
    store: world,
    builtins: [
      ...derivationBuiltins(world.known),
      ...storeBuiltins(world),
      importBuiltin(world),
      ...(features.has("dynamic-derivations") ? [outputOfBuiltin(world.known, storeDir)] : []),
      ...flakeRefBuiltins(),
      ...(inputs === undefined ? [] : [...fetchBuiltins(inputs), flakeBuiltin(inputs)]),
      ...(inputs !== undefined && features.has("fetch-closure") ? [fetchClosureBuiltin(inputs)] : []),
      ...(builtins ?? []),
    ],
  });
  const flake = (ref: FlakeRef, rt: Runtime = evaluator, wishes: LockWishes = {}): Attrs => {
    if (inputs === undefined) throw new EvalError("ERR_EVAL_FETCH", "flakes need a fetcher, and this session has none");
    return evaluateFlake(rt, inputs, ref, { ...wishes, registries: "shared", unlocked: true });
  };
  return { evaluator, world, known: world.known, flake };
}
