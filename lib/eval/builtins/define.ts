// What a built-in function is, and how families of them are written.
//
// A family file exports a table:
//
//   export const LIST_BUILTINS: readonly Builtin[] = [
//     define("length", "!", "The number of elements of a list.", (_rt, list) => forceList(list, "…").length),
//     define("map", "!!", "…", (rt, f, list) => …),
//   ];
//
// Rules for bodies:
// - The signature has one letter per argument: `!` the argument is always forced (whenever the call itself is made),
//   `~` it may stay delayed. Bodies receive values as they are and force them with the functions of vm/demand.ts
//   (`forceList(v, where)`, `forceInt`, `forceBool`, `forceAttrs`, `forceText` for a string whose context is
//   irrelevant, `forceString` for a string with its context, `forcePlainString` for a string that must have none,
//   `forceFunction`), which throw the type error of Nix; `where` reads like "the first argument passed to
//   builtins.length". The compiler uses the letters to pass `!` arguments without making a thunk.
// - Functions that were passed in are called with `call1`/`call2` of vm/call.ts. A delayed application is
//   `delayCall(f, x)` of vm/call.ts; a constant or computed value needs no thunk.
// - Strings are byte strings, one JS char (0…255) per byte; with context they are ContextString (value/string.ts).
//   Build results with `makeString(text, context)` and collect contexts with ContextBuilder.
// - Integers are `number` when safe and `bigint` beyond (value/number.ts: `makeInt`, `checkInt`); floats are NixFloat.
// - Lists are arrays. An array is never changed after it was returned or stored.
// - Sets are built with `attrsFromPairs(keys, values)` from symbols (`symbol("name")`, value/symbol.ts), and read with
//   `attrs.get(symbol)`, or `attrs.flatten()` and then `shape.keys[i]` beside `values[i]` in bytewise order of names.
// - Errors are EvalErrors with a code of error.ts. Anything outside (files, variables, the clock) is in `rt`.

import type { Runtime } from "../vm/runtime.ts";
import type { Value, Whnf } from "../value/value.ts";

/** The body of a built-in function; functions of fewer parameters fit. */
export type BuiltinBody = (rt: Runtime, a: Value, b: Value, c: Value) => Whnf;

/** A built-in function. */
export interface Builtin {
  /** As in `builtins.name`, without underscores. */
  readonly name: string;
  /** 1 to 3. */
  readonly arity: number;
  /** One letter per argument, see above. */
  readonly signature: string;
  /** One sentence for people. */
  readonly doc: string;
  readonly run: BuiltinBody;
  /** Functions of one argument: whether the call with it cannot fail and costs hardly more than delaying it. */
  readonly immediate?: (argument: Value) => boolean;
}

/** A family of built-in functions. */
export type BuiltinTable = readonly Builtin[];

/** A built-in value that is not a function, computed once per evaluator; `undefined` leaves it out. */
export interface BuiltinConstant {
  readonly name: string;
  readonly doc: string;
  readonly value: (rt: Runtime) => Value | undefined;
}

/** Makes an entry of a family's table. */
export function define(
  name: string,
  signature: string,
  doc: string,
  run: BuiltinBody,
  immediate?: (argument: Value) => boolean,
): Builtin {
  const builtin = { name, arity: signature.length, signature, doc, run };
  return immediate === undefined ? builtin : { ...builtin, immediate };
}
