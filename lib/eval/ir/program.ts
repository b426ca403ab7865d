// The intermediate form: a tree of instructions in which every name is resolved to a variable, a global or a `with`.
//
// A program is a tree of functions. A function owns its variables, numbered by slot; nested functions reach them by
// counting functions outwards (`up`). Thunks are functions without a parameter. Laziness is explicit: operands that
// hold values for later (list items, attribute values, arguments, bindings) are `thunk`, `local`, or something that
// is immediate; everywhere else an instruction yields a value in weak head normal form, and variables stand under
// `force`. Names and texts are byte strings. Nothing here is tied to the process that made it.

import type { PathBase } from "../syntax/ast.ts";
import type { NixInt } from "../value/number.ts";

/** A constant: integers and strings as they are, other types tagged. */
export type Constant = NixInt | string | boolean | null | { readonly float: number } | PathConstant;

/**
 * A path literal as it is written: made absolute when the program is linked, because programs are cached by content.
 * `open` keeps a trailing slash, for a literal that an interpolation follows.
 */
export interface PathConstant {
  readonly path: string;
  readonly base: PathBase;
  readonly open: boolean;
}

/** A variable: how many functions outwards, and which of that function's variables. */
export interface Place {
  readonly up: number;
  readonly slot: number;
}

/** One name of a set pattern. */
export interface FormalSlot {
  readonly name: string;
  readonly slot: number;
  readonly at: number;
  readonly fallback: Node | undefined;
}

/** A function of the program: the whole file, a thunk, or a lambda. */
export interface Fn {
  readonly kind: "root" | "thunk" | "lambda";
  /** The name it is bound to, "" when there is none. */
  name: string;
  /** Offset in the source. */
  readonly at: number;
  /** By slot: whether nested functions use the variable. */
  readonly captured: boolean[];
  /** By slot: the name, for people; "" for variables of the compiler. */
  readonly names: string[];
  /** Lambdas: how many arguments are taken at once (1, or 2 for `a: b: …`); they are in slots 0 and 1. */
  arity: 0 | 1 | 2;
  readonly formals: readonly FormalSlot[] | undefined;
  readonly ellipsis: boolean;
  /** The name of the parameter or of the set after `@`; "" when there is none. */
  readonly param: string;
  /** For arity 2: the inner parameter and lambda offset. */
  inner: { readonly param: string; readonly at: number } | undefined;
  /** Lambdas: whether a call with an argument that is no thunk cannot fail and costs hardly more than delaying it. */
  immediate: boolean;
  body: Node;
}

export interface Binding {
  readonly slot: number;
  readonly value: Node;
}

export interface DynamicAttr {
  readonly name: Node;
  readonly value: Node;
  readonly at: number;
}

/** Instructions with two operands and a place in the source. */
export type BinaryNode = {
  readonly op: "less" | "add" | "sub" | "mul" | "div" | "update" | "concat";
  readonly left: Node;
  readonly right: Node;
  readonly at: number;
};

/** Instructions on two Booleans or two values. */
export type LogicNode = {
  readonly op: "and" | "or" | "implies" | "equal" | "differ";
  readonly left: Node;
  readonly right: Node;
};

export type LocalNode = { readonly op: "local"; readonly place: Place };
export type ConstNode = { readonly op: "const"; readonly value: Constant };
export type ThunkNode = { readonly op: "thunk"; readonly fn: Fn };
export type AttrsNode = {
  readonly op: "attrs";
  readonly names: readonly string[];
  readonly values: readonly Node[];
  readonly offsets: readonly number[];
  readonly dynamics: readonly DynamicAttr[];
};
export type CallNode = {
  readonly op: "call";
  readonly callee: Node;
  readonly args: readonly Node[];
  /** The callee's function when it is a variable bound to a lambda of this program. */
  readonly direct: Fn | undefined;
  readonly at: number;
};
export type SelectNode = {
  readonly op: "select";
  readonly of: Node;
  readonly path: readonly (string | Node)[];
  readonly fallback: Node | undefined;
  readonly at: number;
};

/** An instruction with its operands. */
export type Node =
  | ConstNode
  | { readonly op: "global"; readonly name: string }
  | { readonly op: "ambient"; readonly name: string }
  | { readonly op: "position"; readonly at: number }
  | LocalNode
  | { readonly op: "force"; readonly of: Node; readonly at: number }
  | ThunkNode
  | { readonly op: "lambda"; readonly fn: Fn }
  | { readonly op: "let"; readonly bindings: readonly Binding[]; readonly body: Node }
  | {
      readonly op: "overrides";
      readonly from: number;
      readonly renames: readonly { readonly name: string; readonly slot: number }[];
      readonly body: Node;
    }
  | CallNode
  | SelectNode
  | { readonly op: "has"; readonly of: Node; readonly path: readonly (string | Node)[]; readonly at: number }
  | AttrsNode
  | { readonly op: "list"; readonly items: readonly Node[] }
  | { readonly op: "with"; readonly name: string; readonly scopes: readonly Place[]; readonly at: number }
  | { readonly op: "if"; readonly condition: Node; readonly yes: Node; readonly no: Node }
  | {
      readonly op: "assert";
      readonly condition: Node;
      readonly body: Node;
      readonly text: string;
      readonly at: number;
    }
  | { readonly op: "not"; readonly of: Node }
  | LogicNode
  | BinaryNode
  | { readonly op: "eager"; readonly sum: BinaryNode; readonly otherwise: ThunkNode }
  | { readonly op: "interpolate"; readonly parts: readonly Node[]; readonly at: number }
  | { readonly op: "append"; readonly base: Node; readonly parts: readonly Node[]; readonly at: number };

/** A compiled file or expression. */
export interface Program {
  readonly root: Fn;
}
