// The error every room throws: a stable code, a sentence for people, and what they can do about it.

/** Options of {@link TvixError}. */
export interface TvixErrorOptions {
  /** The error underneath, when there is one. */
  readonly cause?: unknown;
  /** Further lines for people: what was looked at, what to do next. */
  readonly notes?: readonly string[];
}

/**
 * An expected failure: bad input, a missing object, a full disk. Programs branch on `code`
 * (`ERR_<ROOM>_<WHAT>`, listed in docs/errors.md); people read `message` and `notes`.
 */
export class TvixError extends Error {
  readonly code: string;
  readonly notes: readonly string[];

  constructor(code: string, message: string, options: TvixErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = "TvixError";
    this.code = code;
    this.notes = options.notes ?? [];
  }
}

/** A mistake of ours, never of the input: it is not caught and not shown as the user's error. */
export class AssertionError extends Error {
  constructor(message: string) {
    super(`internal error: ${message}`);
    this.name = "AssertionError";
  }
}

/** Throws an {@link AssertionError} unless `condition` holds. */
export function assert(condition: unknown, message: string): asserts condition {
  if (!condition) throw new AssertionError(message);
}

/** Marks a place that the types say cannot be reached. */
export function unreachable(value: never): never {
  throw new AssertionError(`unreachable: ${String(value)}`);
}
