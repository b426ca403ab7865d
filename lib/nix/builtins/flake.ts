// Built-in functions of flakes and their references.

import { type Builtin, define } from "../../eval/builtins/define.ts";
import { EvalError } from "../../eval/error.ts";
import type { Attrs } from "../../eval/value/attrs.ts";
import { force } from "../../eval/value/thunk.ts";
import { describeType, isString, type Value, type Whnf } from "../../eval/value/value.ts";
import { forceAttrs, forcePlainString } from "../../eval/vm/demand.ts";
import type { Runtime } from "../../eval/vm/runtime.ts";
import { attrEntries, attrSet } from "../attr-set.ts";
import type { Attribute } from "../fetch/input.ts";
import { type InputFetcher, isLocked } from "../fetch/inputs.ts";
import { callFlake } from "../flake/call.ts";
import { lockFlake, type LockOptions } from "../flake/lock.ts";
import { type FlakeRef, flakeRefAttrs, flakeRefFromAttrs, formatFlakeRef, parseFlakeRef } from "../flake/reference.ts";

/** Fetches, locks and calls a flake. @throws EvalError `ERR_EVAL_FLAKE`, `ERR_EVAL_FETCH`, `ERR_EVAL_RESTRICTED` */
export function evaluateFlake(rt: Runtime, inputs: InputFetcher, ref: FlakeRef, options: LockOptions): Attrs {
  return callFlake(rt, inputs, lockFlake(rt, inputs, ref, options));
}

function getFlake(rt: Runtime, inputs: InputFetcher, argument: Value): Whnf {
  const text = forcePlainString(argument, "the argument passed to builtins.getFlake");
  const ref = parseFlakeRef(text);
  if (rt.settings.pure && !isLocked(ref.input)) {
    const message = `cannot call 'getFlake' on unlocked flake reference '${text}' (use --impure to override)`;
    throw new EvalError("ERR_EVAL_RESTRICTED", message);
  }
  const { pure } = rt.settings;
  return evaluateFlake(rt, inputs, ref, { registries: pure ? "none" : "shared", unlocked: !pure });
}

function parse(argument: Value): Whnf {
  const text = forcePlainString(argument, "the argument passed to builtins.parseFlakeRef");
  const attrs = flakeRefAttrs(parseFlakeRef(text));
  return attrSet(Object.fromEntries(attrs));
}

function format(argument: Value): Whnf {
  const attrs = new Map<string, Attribute>();
  for (const [name, value] of attrEntries(forceAttrs(argument, "the argument passed to builtins.flakeRefToString"))) {
    const item = force(value);
    if (typeof item === "number" || typeof item === "bigint") {
      if (item < 0) throw refused(`negative value given for flake ref attr ${name}: ${item}`);
      attrs.set(name, Number(item));
    } else if (typeof item === "boolean") attrs.set(name, item);
    else if (isString(item)) attrs.set(name, forcePlainString(item, `the attribute '${name}' of a flake reference`));
    else {
      const found = describeType(item);
      throw refused(
        `flake reference attribute sets may only contain integers, Booleans, and strings, but attribute '${name}' is ${found}`,
      );
    }
  }
  return formatFlakeRef(flakeRefFromAttrs(attrs));
}

function refused(message: string): EvalError {
  return new EvalError("ERR_EVAL_ARGUMENT", message);
}

/** `getFlake` of a session. */
export function flakeBuiltin(inputs: InputFetcher): Builtin {
  return define("getFlake", "!", "The outputs of a flake, and what is known of it.", (rt, argument) =>
    getFlake(rt, inputs, argument),
  );
}

/** What needs no fetching: reading and writing flake references. */
export function flakeRefBuiltins(): readonly Builtin[] {
  return [
    define("flakeRefToString", "!", "The URL form of a flake reference.", (_rt, argument) => format(argument)),
    define("parseFlakeRef", "!", "The attributes of a flake reference in its URL form.", (_rt, argument) =>
      parse(argument),
    ),
  ];
}
