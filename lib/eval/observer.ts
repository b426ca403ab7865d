// Observers: what one can watch of an evaluation without changing it.

/** Counts in the manner of NIX_SHOW_STATS. */
export interface EvalStats {
  files: number;
  sourceBytes: number;
  imports: number;
  cacheHits: number;
  parseMs: number;
  compileMs: number;
  evalMs: number;
}

/** Hooks; each is optional and must neither throw nor evaluate. */
export interface Observer {
  /** A file, directory, variable or path was asked for. `kind` is the operation of EvalIO. */
  io?(kind: string, path: string): void;
  /** A unit of source was compiled (`ms` is parse and compile together) or loaded from the cache. */
  unit?(file: string, bytes: number, ms: number, from: "source" | "cache"): void;
}
