// Walking into a value the way command lines do: `-A a.b.0`, and calling functions with `--arg`s on the way.

import { EvalError } from "./error.ts";
import { Attrs, attrsFromPairs } from "./value/attrs.ts";
import { Lambda } from "./value/function.ts";
import { type Sym, symbol } from "./value/symbol.ts";
import { force } from "./value/thunk.ts";
import { isList, type Value, type Whnf } from "./value/value.ts";
import { call1 } from "./vm/call.ts";
import { describeValue } from "./vm/describe.ts";
import { MissingAttribute } from "./vm/operate.ts";

const FUNCTOR = symbol("__functor");

/** Splits `a."b.c".0` at its dots; quotes keep dots in a name. */
export function splitAttrPath(path: string): string[] {
  const parts: string[] = [];
  let part = "";
  let i = 0;
  while (i < path.length) {
    const char = path[i] as string;
    if (char === ".") {
      parts.push(part);
      part = "";
      i++;
    } else if (char === '"') {
      const end = path.indexOf('"', i + 1);
      if (end < 0) throw new EvalError("ERR_EVAL_ARGUMENT", `missing closing quote in selection path '${path}'`);
      part += path.slice(i + 1, end);
      i = end + 1;
    } else {
      part += char;
      i++;
    }
  }
  if (part !== "" || parts.length > 0) parts.push(part);
  return parts;
}

/**
 * Calls a function that takes a set, with those of `args` that it names (all when it ends in `...`); anything else is
 * answered as it is. Arguments without a default that are not given are an error.
 */
export function autoCall(value: Value, args: ReadonlyMap<string, Value>): Whnf {
  const v = force(value);
  if (v instanceof Attrs) {
    const functor = v.get(FUNCTOR);
    return functor === undefined ? v : autoCall(call1(functor, v), args);
  }
  if (!(v instanceof Lambda) || v.info.formals === null) return v;
  const keys: Sym[] = [];
  const values: Value[] = [];
  const give = (key: Sym, given: Value): void => {
    keys.push(key);
    values.push(given);
  };
  if (v.info.ellipsis) for (const [name, given] of args) give(symbol(name), given);
  else {
    for (const { key, name, hasDefault } of v.info.formals) {
      const given = args.get(name);
      if (given !== undefined) give(key, given);
      else if (!hasDefault) throw missing(name);
    }
  }
  for (const { name, hasDefault } of v.info.formals) if (!hasDefault && !args.has(name)) throw missing(name);
  return call1(v, attrsFromPairs(keys, values));
}

function missing(name: string): EvalError {
  return new EvalError("ERR_EVAL_CALL", `cannot evaluate a function that has an argument without a value ('${name}')`, {
    notes: ["give it with '--arg' or '--argstr', or give the argument a default value"],
  });
}

/** The value at a path, calling functions on the way as {@link autoCall} does. */
export function findAlongPath(value: Value, path: string, args: ReadonlyMap<string, Value>): Whnf {
  let current = force(value);
  for (const part of splitAttrPath(path)) {
    current = autoCall(current, args);
    if (/^[0-9]+$/.test(part) && isList(current)) {
      const item = current[Number(part)];
      if (item === undefined) {
        throw new EvalError("ERR_EVAL_INDEX", `list index ${part} in selection path '${path}' is out of range`);
      }
      current = force(item);
      continue;
    }
    if (part === "") throw new EvalError("ERR_EVAL_ARGUMENT", `empty attribute name in selection path '${path}'`);
    if (!(current instanceof Attrs)) {
      const expected = /^[0-9]+$/.test(part) ? "a list" : "a set";
      const message = `the expression selected by the selection path '${path}' should be ${expected} but is ${describeValue(current)}`;
      throw new EvalError("ERR_EVAL_TYPE", message);
    }
    const found = current.get(symbol(part));
    if (found === undefined) {
      throw new MissingAttribute(part, current, `attribute '${part}' in selection path '${path}' not found`);
    }
    current = force(found);
  }
  return current;
}
