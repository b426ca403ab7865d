// Numbers: 64-bit integers as JS numbers while safe and BigInt beyond, floats in a wrapper so that 1 and 1.0 differ.
//
// Invariants: an integer is a `number` exactly when it is a safe integer, and never -0; a BigInt is always within
// 64 bits. Overflow is an error, as in Nix since 2.25.

import { EvalError } from "../error.ts";

/** A 64-bit integer. */
export type NixInt = number | bigint;

/** A floating point number. */
export class NixFloat {
  readonly value: number;

  constructor(value: number) {
    this.value = value;
  }
}

export const INT_MAX: bigint = 2n ** 63n - 1n;
export const INT_MIN: bigint = -(2n ** 63n);

/** An integer in its one representation; the argument must be within 64 bits. */
export function makeInt(value: bigint): NixInt {
  return value >= -9007199254740991n && value <= 9007199254740991n ? Number(value) : value;
}

/** `value` as an integer, or `undefined` when it does not fit 64 bits. */
export function checkInt(value: bigint): NixInt | undefined {
  return value > INT_MAX || value < INT_MIN ? undefined : makeInt(value);
}

function fit(value: bigint, verb: string, a: NixInt, sign: string, b: NixInt): NixInt {
  if (value > INT_MAX || value < INT_MIN) {
    throw new EvalError("ERR_EVAL_OVERFLOW", `integer overflow in ${verb} ${a} ${sign} ${b}`);
  }
  return makeInt(value);
}

export function addInts(a: NixInt, b: NixInt): NixInt {
  if (typeof a === "number" && typeof b === "number") {
    const sum = a + b;
    if (sum <= 9007199254740991 && sum >= -9007199254740991) return sum;
  }
  return fit(BigInt(a) + BigInt(b), "adding", a, "+", b);
}

export function subtractInts(a: NixInt, b: NixInt): NixInt {
  if (typeof a === "number" && typeof b === "number") {
    const difference = a - b;
    if (difference <= 9007199254740991 && difference >= -9007199254740991) return difference;
  }
  return fit(BigInt(a) - BigInt(b), "subtracting", a, "-", b);
}

export function multiplyInts(a: NixInt, b: NixInt): NixInt {
  if (typeof a === "number" && typeof b === "number") {
    const product = a * b;
    // Adding 0 turns -0 into 0.
    if (product <= 9007199254740991 && product >= -9007199254740991) return product + 0;
  }
  return fit(BigInt(a) * BigInt(b), "multiplying", a, "*", b);
}

/** Division towards zero. */
export function divideInts(a: NixInt, b: NixInt): NixInt {
  if (b === 0) throw new EvalError("ERR_EVAL_DIVISION_BY_ZERO", "division by zero");
  if (typeof a === "number" && typeof b === "number") return Math.trunc(a / b) + 0;
  return fit(BigInt(a) / BigInt(b), "dividing", a, "/", b);
}

/** Negative, 0 or positive. */
export function compareInts(a: NixInt, b: NixInt): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** An integer's bits as an unsigned BigInt, for bitwise operations. */
export function bitwise(a: NixInt, b: NixInt, operation: (a: bigint, b: bigint) => bigint): NixInt {
  return makeInt(BigInt.asIntN(64, operation(BigInt(a), BigInt(b))));
}
