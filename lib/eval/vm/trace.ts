// Adding places and frames to errors as they pass through code that knows where it is in the source.

import { EvalError } from "../error.ts";
import type { Fn } from "../ir/program.ts";
import { SourceOrigin } from "../source.ts";
import { Lambda, PrimOp, PrimOpApp } from "../value/function.ts";
import type { Value, Whnf } from "../value/value.ts";
import { describeShort } from "./describe.ts";
import type { Unit } from "./unit.ts";

/** Says where an error happened, unless that is known; answers the error, to be thrown on. */
export function located(error: unknown, unit: Unit, at: number): unknown {
  // What is written in Nix behind a built-in function is no place for people to look at.
  if (unit.source.origin === SourceOrigin.BuiltIn) return error;
  if (error instanceof EvalError && error.place === null) error.place = unit.place(at);
  return error;
}

/** Adds the frame of a call, or says of the callee's own frame where the call is. */
export function calling(error: unknown, callee: Whnf, unit: Unit, at: number): unknown {
  if (!(error instanceof EvalError) || unit.source.origin === SourceOrigin.BuiltIn) return error;
  const place = unit.place(at);
  error.place ??= place;
  const last = error.frames.at(-1);
  if (callee instanceof Lambda && last?.atDefinition) {
    last.place = place;
    last.atDefinition = false;
  } else error.addFrame(callText(callee), place);
  return error;
}

/** Adds the frame of a function that is running, with its arguments as far as they are known by then. */
export function running(error: unknown, fn: Fn, args: readonly Value[], unit: Unit): unknown {
  if (!(error instanceof EvalError) || unit.source.origin === SourceOrigin.BuiltIn) return error;
  return error.addFrame(() => `${lambdaText(fn.name)} with ${shapes(fn, args)}`, unit.place(fn.at), true);
}

/** Adds the frame of a delayed value that has a name. */
export function evaluating(error: unknown, name: string, unit: Unit, at: number): unknown {
  if (!(error instanceof EvalError) || unit.source.origin === SourceOrigin.BuiltIn) return error;
  return error.addFrame(`while evaluating '${name}'`, unit.place(at));
}

/** What a trace says of a call. */
function callText(callee: Whnf): string {
  if (callee instanceof Lambda) return lambdaText(callee.info.name);
  if (callee instanceof PrimOp) return `while calling the '${callee.builtin.name}' builtin`;
  if (callee instanceof PrimOpApp) return `while calling the '${callee.op.builtin.name}' builtin`;
  return "while calling a functor (an attribute set with a '__functor' attribute)";
}

function lambdaText(name: string): string {
  return name === "" ? "while calling an anonymous function" : `while calling '${name}'`;
}

/** The arguments of a function in the manner of a `let`; a set pattern without a name for the set shows the set. */
function shapes({ param, inner }: Fn, args: readonly Value[]): string {
  const names = [param, inner?.param];
  return args.map((arg, i) => `${names[i] ? `${names[i]} = ` : ""}${describeShort(arg)}`).join(", ");
}
