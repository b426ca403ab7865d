// Evaluation errors: a closed set of codes, which of them `tryEval` catches, and the frames that led to an error.
//
// Builtins and the virtual machine throw EvalError without knowing where in the source they are; whoever does know
// adds a frame while the error passes (`addFrame`). The error is then rendered by diagnostic.ts.

import { TvixError } from "../base/error.ts";
import { byteStringToText, type Source } from "./source.ts";

/** Every kind of evaluation error: what it means, and whether `builtins.tryEval` turns it into `success = false`. */
export const EVAL_ERRORS = {
  ERR_EVAL_THROW: { catchable: true, meaning: "`throw` was called" },
  ERR_EVAL_ASSERTION: { catchable: true, meaning: "an `assert` condition was false" },
  ERR_EVAL_SEARCH_PATH: { catchable: true, meaning: "a name was not found in the search path" },
  ERR_EVAL_ABORT: { catchable: false, meaning: "`abort` was called" },
  ERR_EVAL_TYPE: { catchable: false, meaning: "a value has another type than its place demands" },
  ERR_EVAL_COERCE: { catchable: false, meaning: "a value cannot be turned into a string" },
  ERR_EVAL_CALL: { catchable: false, meaning: "a function was called with missing or unexpected arguments" },
  ERR_EVAL_ARGUMENT: { catchable: false, meaning: "a built-in function was given a value it cannot use" },
  ERR_EVAL_MISSING_ATTRIBUTE: { catchable: false, meaning: "an attribute is not there" },
  ERR_EVAL_UNDEFINED_VARIABLE: { catchable: false, meaning: "a name is not defined" },
  ERR_EVAL_DUPLICATE_ATTRIBUTE: { catchable: false, meaning: "a dynamic attribute is defined twice" },
  ERR_EVAL_INDEX: { catchable: false, meaning: "a list index is out of bounds" },
  ERR_EVAL_OVERFLOW: { catchable: false, meaning: "an integer does not fit 64 bits" },
  ERR_EVAL_DIVISION_BY_ZERO: { catchable: false, meaning: "division by zero" },
  ERR_EVAL_COMPARE: { catchable: false, meaning: "values that have no order were compared" },
  ERR_EVAL_CONTEXT: { catchable: false, meaning: "a string may not, or must, refer to store paths" },
  ERR_EVAL_INFINITE_RECURSION: { catchable: false, meaning: "a value needs itself" },
  ERR_EVAL_STACK_OVERFLOW: { catchable: false, meaning: "calls are nested too deeply" },
  ERR_EVAL_REGEX: { catchable: false, meaning: "a regular expression is invalid" },
  ERR_EVAL_JSON: { catchable: false, meaning: "text is not JSON, or a value has no JSON form" },
  ERR_EVAL_TOML: { catchable: false, meaning: "text is not TOML" },
  ERR_EVAL_HASH: { catchable: false, meaning: "a hash or its type is invalid" },
  ERR_EVAL_IO: { catchable: false, meaning: "a file cannot be read" },
  ERR_EVAL_RESTRICTED: { catchable: false, meaning: "access is forbidden in pure or restricted mode" },
  ERR_EVAL_STORE: { catchable: false, meaning: "a store path is invalid or there is no store" },
  ERR_EVAL_DERIVATION: { catchable: false, meaning: "the attributes do not make a derivation" },
  ERR_EVAL_BUILD: { catchable: false, meaning: "a value needs something built and nothing can build it" },
  ERR_EVAL_FETCH: { catchable: false, meaning: "something cannot be fetched" },
  ERR_EVAL_FLAKE: { catchable: false, meaning: "a flake or its lock file is invalid" },
  ERR_EVAL_FEATURE: { catchable: false, meaning: "an experimental feature is not enabled" },
} as const;

/** The code of an evaluation error. */
export type EvalErrorCode = keyof typeof EVAL_ERRORS;

/** A place in a source text. */
export interface ErrorPlace {
  readonly source: Source;
  readonly offset: number;
}

/** A line of a trace: what was being done, and where in the source. */
export interface Frame {
  /** Made when it is shown: most errors never are. */
  readonly text: () => string;
  place: ErrorPlace | null;
  /** Whether `place` is where the called function is written; whoever calls it knows better. */
  atDefinition: boolean;
}

/** Options of {@link EvalError}. */
export interface EvalErrorOptions {
  readonly cause?: unknown;
  readonly notes?: readonly string[];
}

/** How many frames an error keeps: the innermost, and as many of the outermost as {@link OUTER_FRAMES}. */
const FRAME_LIMIT = 100;
export const OUTER_FRAMES = 20;

/** An error of the program being evaluated. It is made of byte strings, as all text of the evaluator. */
export class EvalError extends TvixError {
  declare readonly code: EvalErrorCode;
  /** The message as a byte string; `message` has it as text. */
  readonly text: string;
  readonly catchable: boolean;
  /** Innermost first. */
  readonly frames: Frame[] = [];
  /** How many frames are left out before the last {@link OUTER_FRAMES}. */
  omitted = 0;
  /** Where it happened; set by the innermost place that knows. */
  place: ErrorPlace | null = null;
  /** The places in emitted code that it passed, innermost first; read when it leaves the evaluator. */
  passed: readonly ErrorPlace[] | null = null;

  constructor(code: EvalErrorCode, text: string, options: EvalErrorOptions = {}) {
    super(code, byteStringToText(text), options);
    this.name = "EvalError";
    this.text = text;
    this.catchable = EVAL_ERRORS[code].catchable;
  }

  /** Adds what was being done when the error passed; returns the error, to be thrown on. */
  addFrame(text: string | (() => string), place: ErrorPlace | null, atDefinition = false): this {
    if (this.frames.length === FRAME_LIMIT) {
      this.frames.splice(FRAME_LIMIT - OUTER_FRAMES, 1);
      this.omitted++;
    }
    this.frames.push({ text: typeof text === "string" ? () => text : text, place, atDefinition });
    return this;
  }
}
