// Expressions of which only the place is kept: read once to know that they are right, and again when they are asked for.

import { type DeferredExpr, type Expr, Kind } from "./ast.ts";

/** Parses what stands between two offsets of a source. */
export type ParseRange = (from: number, to: number) => Expr;

/** The expression between two offsets, `from` and `to`, which may have parentheses around it. */
export class Deferred implements DeferredExpr {
  readonly kind: typeof Kind.Deferred = Kind.Deferred;
  readonly start: number;
  readonly end: number;
  private readonly range: ParseRange;
  private readonly from: number;
  private readonly to: number;

  constructor(range: ParseRange, { start, end }: Expr, from: number, to: number) {
    this.start = start;
    this.end = end;
    this.range = range;
    this.from = from;
    this.to = to;
  }

  parse(): Expr {
    return this.range(this.from, this.to);
  }
}

/** Whether an expression as a value is never computed before it is asked for. */
export function isDelayed({ kind }: Expr): boolean {
  return kind === Kind.Apply || kind === Kind.Select || (kind >= Kind.If && kind <= Kind.With) || kind === Kind.Let;
}
