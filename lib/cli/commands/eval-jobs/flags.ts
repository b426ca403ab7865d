// The flags of `tvix eval-jobs`, and the words that its processes exchange.
import type { JobLink } from "../../../nix/aggregates.ts";
import type { FlakeFlags } from "../eval/flake-flags.ts";
import type { WorldFlags } from "../eval/flags.ts";

/** Flags of `tvix eval-jobs`. */
export interface JobsFlags extends WorldFlags, FlakeFlags {
  readonly workers: string;
  readonly maxMemorySize: string;
  readonly select?: string;
  readonly forceRecurse?: boolean;
  readonly meta?: boolean;
  readonly showInputDrvs?: boolean;
  readonly apply?: string;
  readonly constituents?: boolean;
  readonly checkCacheStatus?: boolean;
  readonly substituter?: readonly string[];
  readonly instantiate?: boolean;
  readonly gcRootsDir?: string;
  readonly resume?: string;
  /** Set by the command itself for the processes that it starts. */
  readonly asWorker?: boolean;
}

/** An attribute path, as byte strings. */
export type AttrPath = readonly string[];

/** What is told of a job. */
export interface JobLine {
  readonly line: string;
  readonly failed: boolean;
  /** With `--constituents`: what it takes to depend on it. */
  readonly link?: JobLink;
}

/** What came of a visit: a line to print, more to visit, or nothing (an empty set). */
export type Outcome = JobLine | { readonly names: readonly string[] };

/** To a worker: paths to visit, in order. */
export interface Order {
  readonly visit: readonly AttrPath[];
}

/** From a worker: what came of the next paths of an order. */
export interface Report {
  readonly outcomes: readonly Outcome[];
  /** At the end of an order: whether the worker's memory is used up. */
  readonly full?: boolean;
}
