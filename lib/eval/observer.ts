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
}

/** Counts in the manner of NIX_SHOW_STATS, as far as they cost nothing while code runs. */
export interface EvalStats {
  readonly units: number;
  readonly cachedUnits: number;
  readonly sourceBytes: number;
  /** Milliseconds spent parsing, compiling and loading. */
  readonly loadMs: number;
  readonly imports: number;
  /** How many attribute names are interned in the process. */
  readonly symbols: number;
}

/** An observer that counts, and the counts so far. */
export function statsObserver(): { readonly observer: Observer; stats(): EvalStats } {
  let units = 0;
  let cachedUnits = 0;
  let sourceBytes = 0;
  let loadMs = 0;
  let imports = 0;
  return {
    observer: {
      unit: (_file, bytes, ms, origin) => {
        units++;
        if (origin === "cache") cachedUnits++;
        sourceBytes += bytes;
        loadMs += ms;
      },
      imported: () => {
        imports++;
      },
    },
    stats: () => ({ units, cachedUnits, sourceBytes, loadMs, imports, symbols: symbolCount() }),
  };
}
