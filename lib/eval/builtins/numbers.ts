// Built-in functions on numbers; the operators `-`, `*` and `/` are calls of these.
import { EvalError } from "../error.ts";
import {
  addInts,
  bitwise,
  divideInts,
  INT_MIN,
  makeInt,
  multiplyInts,
  NixFloat,
  type NixInt,
  subtractInts,
} from "../value/number.ts";
import { force } from "../value/thunk.ts";
import type { Value } from "../value/value.ts";
import { forceFloat, forceInt, forceNumber } from "../vm/demand.ts";
import { formatFloat } from "../text/float.ts";
import type { Runtime } from "../vm/runtime.ts";
import { type Builtin, type BuiltinTable, define } from "./define.ts";

type IntOperation = (a: NixInt, b: NixInt) => NixInt;

/** An operation that stays with integers if both are, and else works on floats; `place` names its parts in errors. */
function arithmetic(
  name: string,
  doc: string,
  place: string,
  ints: IntOperation,
  floats: (a: number, b: number) => number,
): Builtin {
  const first = `the first argument of the ${place}`;
  const second = `the second argument of the ${place}`;
  return define(name, "!!", doc, (_rt, a, b) => {
    const x = force(a);
    const y = force(b);
    if (typeof x === "number" && typeof y === "number") return ints(x, y);
    if (x instanceof NixFloat || y instanceof NixFloat) {
      return new NixFloat(floats(forceFloat(x, first), forceFloat(y, second)));
    }
    return ints(forceInt(x, first), forceInt(y, second));
  });
}

function bits(name: string, doc: string, operation: (a: bigint, b: bigint) => bigint): Builtin {
  return define(name, "!!", doc, (_rt, a, b) =>
    bitwise(
      forceInt(a, `the first argument passed to builtins.${name}`),
      forceInt(b, `the second argument passed to builtins.${name}`),
      operation,
    ),
  );
}

/** Division computes both operands in order, then looks at the divisor first, as a float. */
function divide(_rt: Runtime, a: Value, b: Value): NixInt | NixFloat {
  const dividend = force(a);
  const divisor = forceNumber(b, "the second operand of the division");
  const value = divisor instanceof NixFloat ? divisor.value : Number(divisor);
  if (value === 0) throw new EvalError("ERR_EVAL_DIVISION_BY_ZERO", "division by zero");
  if (divisor instanceof NixFloat || dividend instanceof NixFloat) {
    return new NixFloat(forceFloat(dividend, "the first operand of the division") / value);
  }
  return divideInts(forceInt(dividend, "the first operand of the division"), divisor);
}

/** `floor` and `ceil`: integers are what they are, except those that no float can hold, which Nix refuses. */
function round(name: string, doc: string, operation: (value: number) => number): Builtin {
  const where = `the first argument passed to builtins.${name}`;
  return define(name, "!", doc, (_rt, argument: Value) => {
    const value = forceNumber(argument, where);
    if (typeof value === "number") return value;
    if (value instanceof NixFloat) {
      const rounded = operation(value.value);
      if (rounded >= Number(INT_MIN) && rounded < -Number(INT_MIN)) return makeInt(BigInt(rounded));
      throw new EvalError(
        "ERR_EVAL_OVERFLOW",
        `NixFloat argument ${formatFloat(value.value)} is not in the range of NixInt`,
      );
    }
    if (BigInt(Number(value)) === value) return value;
    throw new EvalError(
      "ERR_EVAL_OVERFLOW",
      `the integer ${value} has no exact floating point form, so builtins.${name} cannot answer as all versions of Nix do`,
    );
  });
}

/** Numbers. */
export const NUMBER_BUILTINS: BuiltinTable = [
  arithmetic("add", "The sum of two numbers.", "addition", addInts, (a, b) => a + b),
  arithmetic("sub", "The difference of two numbers.", "subtraction", subtractInts, (a, b) => a - b),
  arithmetic("mul", "The product of two numbers.", "multiplication", multiplyInts, (a, b) => a * b),
  define("div", "!!", "The quotient of two numbers; integers are cut towards zero.", divide),
  bits("bitAnd", "The bits set in both integers.", (a, b) => a & b),
  bits("bitOr", "The bits set in either of two integers.", (a, b) => a | b),
  bits("bitXor", "The bits set in one of two integers but not in both.", (a, b) => a ^ b),
  round("ceil", "The least integer that is not less than a number.", Math.ceil),
  round("floor", "The greatest integer that is not more than a number.", Math.floor),
];
