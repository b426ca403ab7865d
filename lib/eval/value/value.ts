// Values of the Nix language and their JavaScript representation.
//
//   int      number while safe, else bigint    list     array, never changed once others can see it
//   float    NixFloat                          set      Attrs
//   bool     boolean                           lambda   Lambda, PrimOp, PrimOpApp
//   null     null                              path     NixPath
//   string   string of one char per byte, or ContextString with a context
//
// Anything that stands for a value may also be a Thunk; `Whnf` is a value that is not. `undefined` is never a value.
// Each representation has a file of its own beside this one.

import type { Attrs } from "./attrs.ts";
import { Attrs as AttrsClass } from "./attrs.ts";
import { Lambda, PrimOp, PrimOpApp } from "./function.ts";
import { NixFloat, type NixInt } from "./number.ts";
import { ContextString } from "./string.ts";
import { Thunk } from "./thunk.ts";

/** A path: absolute and canonical, one char per byte. */
export class NixPath {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }
}

/** A list; elements may be thunks. */
export type List = readonly Value[];

/** A function of any kind. */
export type NixFunction = Lambda | PrimOp | PrimOpApp;

/** A value in weak head normal form. */
export type Whnf = NixInt | NixFloat | boolean | null | string | ContextString | NixPath | List | Attrs | NixFunction;

/** A value, maybe delayed. */
export type Value = Whnf | Thunk;

/** What `builtins.typeOf` answers. */
export type TypeName = "int" | "float" | "bool" | "null" | "string" | "path" | "list" | "set" | "lambda";

export function isList(value: Value): value is List {
  return Array.isArray(value);
}

export function isInt(value: Value): value is NixInt {
  return typeof value === "number" || typeof value === "bigint";
}

export function isString(value: Value): value is string | ContextString {
  return typeof value === "string" || value instanceof ContextString;
}

export function isFunction(value: Value): value is NixFunction {
  return value instanceof Lambda || value instanceof PrimOp || value instanceof PrimOpApp;
}

/** The type of a value as `builtins.typeOf` names it. */
export function typeName(value: Whnf): TypeName {
  switch (typeof value) {
    case "number":
    case "bigint":
      return "int";
    case "boolean":
      return "bool";
    case "string":
      return "string";
    default:
  }
  if (value === null) return "null";
  if (value instanceof AttrsClass) return "set";
  if (isList(value)) return "list";
  if (value instanceof ContextString) return "string";
  if (value instanceof NixPath) return "path";
  if (value instanceof NixFloat) return "float";
  return "lambda";
}

/** The type of a value with its article, as messages name it. */
export function describeType(value: Value): string {
  if (value instanceof Thunk) return "a thunk";
  if (value instanceof ContextString) return "a string with context";
  if (value instanceof PrimOp) return `the built-in function '${value.builtin.name}'`;
  if (value instanceof PrimOpApp) return `the partially applied built-in function '${value.op.builtin.name}'`;
  switch (typeName(value)) {
    case "int":
      return "an integer";
    case "float":
      return "a float";
    case "bool":
      return "a Boolean";
    case "null":
      return "null";
    case "string":
      return "a string";
    case "path":
      return "a path";
    case "list":
      return "a list";
    case "set":
      return "a set";
    default:
      return "a function";
  }
}
