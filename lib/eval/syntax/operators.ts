// Operator precedence and the stack on which infix and prefix operators wait for their right operands.

import { BinaryOp, type Expr, Kind, UnaryOp } from "./ast.ts";
import { Token } from "./token.ts";

/** Stack entries for prefix operators, beside the infix {@link Token}s. */
export const PREFIX_NOT: number = Token.Not;
export const PREFIX_MINUS: number = Token.Not + 1;

const LEFT = 0;
const RIGHT = 1;
const NONE = 2;

/** How tightly each operator binds, by token kind (and the two prefix entries); higher is tighter. */
export const PRECEDENCE: readonly number[] = [
  1, // ->
  2, // ||
  3, // &&
  4, // ==
  4, // !=
  5, // <
  5, // <=
  5, // >
  5, // >=
  6, // //
  8, // +
  8, // -
  9, // *
  9, // /
  10, // ++
  11, // ?
  7, // !
  12, // prefix -
];

/** What two operators of the same precedence do, by precedence. */
const ASSOCIATIVITY: readonly number[] = [
  NONE,
  RIGHT,
  LEFT,
  LEFT,
  NONE,
  NONE,
  RIGHT,
  LEFT,
  LEFT,
  LEFT,
  RIGHT,
  LEFT,
  LEFT,
];

const BINARY_OPS: readonly BinaryOp[] = [
  BinaryOp.Implies,
  BinaryOp.Or,
  BinaryOp.And,
  BinaryOp.Equal,
  BinaryOp.NotEqual,
  BinaryOp.Less,
  BinaryOp.LessEqual,
  BinaryOp.Greater,
  BinaryOp.GreaterEqual,
  BinaryOp.Update,
  BinaryOp.Add,
  BinaryOp.Subtract,
  BinaryOp.Multiply,
  BinaryOp.Divide,
  BinaryOp.Concat,
];

/** Operators whose right operand is not complete. Nested expressions share the stack, each above its own base. */
export class OperatorStack {
  private readonly kinds: number[] = [];
  private readonly precedences: number[] = [];
  private readonly offsets: number[] = [];
  /** The left operand; undefined for a prefix operator. */
  private readonly lefts: (Expr | undefined)[] = [];

  get size(): number {
    return this.kinds.length;
  }

  push(kind: number, precedence: number, offset: number, left?: Expr): void {
    this.kinds.push(kind);
    this.precedences.push(precedence);
    this.offsets.push(offset);
    this.lefts.push(left);
  }

  /** Applies the waiting operators above `base` that bind `operand` before an operator of `precedence` does. */
  reduce(base: number, precedence: number, operand: Expr): Expr {
    let value = operand;
    while (this.size > base) {
      const top = this.precedences[this.size - 1] as number;
      if (top < precedence || (top === precedence && ASSOCIATIVITY[top] !== LEFT)) break;
      value = this.pop(value);
    }
    return value;
  }

  reduceAll(base: number, operand: Expr): Expr {
    let value = operand;
    while (this.size > base) value = this.pop(value);
    return value;
  }

  /** Whether an operator of this precedence may not follow the waiting one: `a < b < c`. */
  clashes(base: number, precedence: number): boolean {
    if (this.size === base || ASSOCIATIVITY[precedence] !== NONE) return false;
    return this.precedences[this.size - 1] === precedence;
  }

  private pop(operand: Expr): Expr {
    const kind = this.kinds.pop() as number;
    const at = this.offsets.pop() as number;
    const left = this.lefts.pop();
    this.precedences.pop();
    if (left === undefined) {
      const op = kind === PREFIX_NOT ? UnaryOp.Not : UnaryOp.Negate;
      return { kind: Kind.Unary, start: at, end: operand.end, op, operand };
    }
    const op = BINARY_OPS[kind] as BinaryOp;
    return { kind: Kind.Binary, start: left.start, end: operand.end, at, op, left, right: operand };
  }
}
