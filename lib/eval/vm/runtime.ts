// What running code needs from its evaluator: settings, the outside world, and the services that tie files together.

import type { ExperimentalFeature } from "../features.ts";
import type { EvalIO } from "../io.ts";
import type { Observer } from "../observer.ts";
import type { StringContext } from "../value/string.ts";
import type { Attrs } from "../value/attrs.ts";
import type { Value, Whnf } from "../value/value.ts";
import type { ContextString } from "../value/string.ts";

/** An entry of the search path: `prefix` may be empty. */
export interface SearchPathEntry {
  readonly prefix: string;
  readonly path: string;
}

/** Settings that a program can see. */
export interface EvalSettings {
  /** No impure builtins, no files but those allowed. */
  readonly pure: boolean;
  /** Only files under the search path and the allowed paths. */
  readonly restricted: boolean;
  readonly system: string;
  readonly storeDir: string;
  readonly nixVersion: string;
  readonly searchPath: readonly SearchPathEntry[];
  /** Whether `traceVerbose` shows anything. */
  readonly traceVerbose: boolean;
  /** Whether `warn` fails. */
  readonly abortOnWarn: boolean;
  /** Experimental features of Nix that the program may use. */
  readonly features: ReadonlySet<ExperimentalFeature>;
}

/** The evaluator as builtins and compiled code see it. */
export interface Runtime {
  readonly io: EvalIO;
  readonly settings: EvalSettings;
  readonly observer: Observer | null;
  /** Whether somebody may print an unfinished value and expects of it what C++ Nix has delayed. */
  readonly exact: boolean;
  /** The value of the file at an absolute path (directories mean their default.nix), evaluated once. */
  importFile(path: string): Whnf;
  /** Evaluates the file with the names of `scope` visible in it, each time anew. */
  importScoped(scope: Attrs, path: string): Whnf;
  /** Copies a path to the store and answers its store path as a string that refers to it. */
  copyPath(path: string): ContextString;
  /** Makes sure that what the context refers to can be read: builds derivations if the embedder can. */
  realise(context: StringContext): void;
  /** What the text of a file refers to: the store paths that it names, when the file is in the store. */
  fileContext(path: string, text: string): StringContext;
  /**
   * Checks that reading `path` is allowed, and what symlinks on its way lead to; answers the path to be used.
   * @param follows whether a symlink at its end counts as well (default), or is what is read
   */
  readable(path: string, follows?: boolean): string;
  /** Resolves `<name>` along a search path. */
  findFile(entries: readonly SearchPathEntry[], name: string): string;
  /** Shows a line to the user (`builtins.trace`, warnings); the text is one char per byte. */
  message(kind: "trace" | "warning", text: string): void;
  /** Per-evaluator storage of builtins that must remember something; keyed by the builtin's own object. */
  readonly memory: WeakMap<object, unknown>;
  /** The set `builtins`. */
  readonly builtins: Value;
}
