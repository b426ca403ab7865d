// Observers: what one can watch of an evaluation without changing it.

import { symbolCount } from "./value/symbol.ts";

/** Where a unit came from: its source was compiled, or its compiled form was in the cache. */
export type UnitOrigin = "source" | "cache";

/** Hooks; each is optional and must neither throw nor evaluate. */
export interface Observer {
  /** A unit of source was made ready to run, in `ms` milliseconds. */
  unit?(file: string, bytes: number, ms: number, origin: UnitOrigin): void;
  /** A file was imported, whether or not it had been before. */
  imported?(file: string): void;
  /** When there, the JavaScript back end emits code that counts what it does, and caches none. */
  readonly counts?: Counts;
}

/** What running code did, as far as it is written in Nix: what built-in functions make is not in it. */
export interface Counts {
  /** Values delayed. */
  thunks: number;
  /** Calls of functions written in Nix; `a: b: …` given both arguments counts once. */
  calls: number;
  /** Calls of built-in functions, once all their arguments are there. */
  builtinCalls: number;
  /** Attributes looked up by `.`, `?` and `with`. */
  lookups: number;
  sets: number;
  setElements: number;
  lists: number;
  listElements: number;
  /** Uses of `//`. */
  updates: number;
  /** Uses of `++`. */
  concats: number;
}

/** Counts in the manner of NIX_SHOW_STATS. */
export interface EvalStats extends Readonly<Counts> {
  readonly units: number;
  readonly sourceBytes: number;
  /** Milliseconds spent parsing, compiling and loading. */
  readonly loadMs: number;
  readonly imports: number;
  /** How many attribute names are interned in the process. */
  readonly symbols: number;
}

/** An observer that counts, and the counts so far. */
export function statsObserver(): { readonly observer: Observer; stats(): EvalStats } {
  const counts: Counts = {
    thunks: 0,
    calls: 0,
    builtinCalls: 0,
    lookups: 0,
    sets: 0,
    setElements: 0,
    lists: 0,
    listElements: 0,
    updates: 0,
    concats: 0,
  };
  let units = 0;
  let sourceBytes = 0;
  let loadMs = 0;
  let imports = 0;
  return {
    observer: {
      unit: (_file, bytes, ms) => {
        units++;
        sourceBytes += bytes;
        loadMs += ms;
      },
      imported: () => {
        imports++;
      },
      counts,
    },
    stats: () => ({ ...counts, units, sourceBytes, loadMs, imports, symbols: symbolCount() }),
  };
}
