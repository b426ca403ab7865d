// Calling functions of every kind, and delaying a call.

import { EvalError } from "../error.ts";
import { Attrs } from "../value/attrs.ts";
import { Lambda, PrimOp, PrimOpApp } from "../value/function.ts";
import { symbol } from "../value/symbol.ts";
import { force, peek, Thunk } from "../value/thunk.ts";
import type { Value, Whnf } from "../value/value.ts";
import { describeValue } from "./describe.ts";

const FUNCTOR = symbol("__functor");

/** Calls a function with one argument. */
export function call1(f: Value, argument: Value): Whnf {
  const callee = f instanceof Thunk ? f.force() : f;
  if (callee instanceof Lambda) return callee.code(argument, callee.env);
  return callOther(callee, argument);
}

/** Calls a function with two arguments. */
export function call2(f: Value, first: Value, second: Value): Whnf {
  const callee = f instanceof Thunk ? f.force() : f;
  if (callee instanceof Lambda) {
    if (callee.code2 !== null) return callee.code2(first, second, callee.env);
    return call1(callee.code(first, callee.env), second);
  }
  if (callee instanceof PrimOp && callee.builtin.arity === 2) {
    return callee.builtin.run(callee.runtime, first, second, null);
  }
  return call1(callOther(callee, first), second);
}

/** Calls a function with any number of arguments. */
export function callMany(f: Value, args: readonly Value[]): Whnf {
  let result = force(f);
  let at = 0;
  while (at < args.length) {
    if (at + 1 < args.length) {
      result = call2(result, args[at] as Value, args[at + 1] as Value);
      at += 2;
    } else {
      result = call1(result, args[at] as Value);
      at += 1;
    }
  }
  return result;
}

function callOther(callee: Whnf, argument: Value): Whnf {
  if (callee instanceof PrimOp) {
    const { builtin, runtime } = callee;
    if (builtin.arity === 1) return builtin.run(runtime, argument, null, null);
    return new PrimOpApp(callee, [argument]);
  }
  if (callee instanceof PrimOpApp) return callPartial(callee, argument);
  if (callee instanceof Attrs) {
    const functor = callee.get(FUNCTOR);
    if (functor !== undefined) return call2(functor, callee, argument);
  }
  throw new EvalError(
    "ERR_EVAL_TYPE",
    `attempt to call something which is not a function but ${describeValue(callee)}`,
  );
}

function callPartial(partial: PrimOpApp, argument: Value): Whnf {
  const { builtin, runtime } = partial.op;
  const args = partial.args;
  if (args.length + 1 < builtin.arity) return new PrimOpApp(partial.op, [...args, argument]);
  if (args.length === 1) return builtin.run(runtime, args[0] as Value, argument, null);
  return builtin.run(runtime, args[0] as Value, args[1] as Value, argument);
}

function runDelayed(argument: Value, f: Value): Whnf {
  return call1(f, argument);
}

/** The application of `f` to `argument`, to be made when it is needed unless it is as good as made. */
export function delayCall(f: Value, argument: Value): Value {
  const known = peek(argument);
  if (f instanceof Lambda) {
    if (f.info.immediate && !(known instanceof Thunk)) return f.code(known, f.env);
    return new Thunk(f.code, known, f.env);
  }
  if (f instanceof PrimOp && f.builtin.immediate?.(known) && !f.runtime.exact) return call1(f, known);
  return new Thunk(runDelayed, known, f);
}

interface DelayedCall2 {
  readonly f: Value;
  readonly first: Value;
  readonly second: Value;
}

function runDelayed2(call: DelayedCall2): Whnf {
  return call2(call.f, call.first, call.second);
}

/** The application of `f` to two arguments, to be made when it is needed. */
export function delayCall2(f: Value, first: Value, second: Value): Thunk {
  return new Thunk(runDelayed2, { f, first, second } satisfies DelayedCall2);
}

/** A value to be computed by JavaScript when it is needed. */
export function delay(compute: () => Value): Thunk {
  return new Thunk(runCompute, compute);
}

function runCompute(compute: () => Value): Whnf {
  return force(compute());
}

/** Thunks of `code(env, 0)`, `code(env, 1)`, … but for the values given in pairs: index, value. */
export function delayAll(
  code: (env: never, index: number) => Whnf,
  env: unknown,
  count: number,
  values: readonly unknown[],
): Value[] {
  const all: Value[] = [];
  for (let i = 0; i < count; i++) all.push(new Thunk(code, env, i));
  for (let i = 0; i < values.length; i += 2) all[values[i] as number] = values[i + 1] as Value;
  return all;
}
