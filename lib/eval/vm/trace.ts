// Adding places and frames to errors as they pass through code that knows where it is in the source.

import { EvalError } from "../error.ts";
import { Lambda, PrimOp, PrimOpApp } from "../value/function.ts";
import type { Whnf } from "../value/value.ts";
import type { Unit } from "./unit.ts";

/** Says where an error happened, unless that is known; answers the error, to be thrown on. */
export function located(error: unknown, unit: Unit, at: number): unknown {
  if (error instanceof EvalError && error.place === null) error.place = unit.place(at);
  return error;
}

/** Adds the frame of a call. */
export function calling(error: unknown, callee: Whnf, unit: Unit, at: number): unknown {
  if (error instanceof EvalError) {
    const place = unit.place(at);
    error.place ??= place;
    error.addFrame(callFrame(callee), place);
  }
  return error;
}

/** What a trace says of a call. */
export function callFrame(callee: Whnf): string {
  if (callee instanceof Lambda) {
    return callee.info.name === "" ? "while calling an anonymous function" : `while calling '${callee.info.name}'`;
  }
  if (callee instanceof PrimOp) return `while calling the '${callee.builtin.name}' builtin`;
  if (callee instanceof PrimOpApp) return `while calling the '${callee.op.builtin.name}' builtin`;
  return "while calling a functor (an attribute set with a '__functor' attribute)";
}
