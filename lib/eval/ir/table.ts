// The instruction table: every instruction of the intermediate form, its operands and its meaning, once.
//
// The printer, the serialiser and the documentation read this table; the types of program.ts and the two back ends
// must agree with it (a test compares them).

import type { Node } from "./program.ts";

/** The name of an instruction. */
export type Op = Node["op"];

/**
 * Kinds of operands: `node` a nested instruction, `node?` one that may be absent, `nodes` a list, `function` a nested
 * function, `constant` a constant value, `name`/`names` attribute names, `path` a list of names and nodes, `slot` a
 * variable of the running function, `place` a variable as (functions up, slot), `places` a list of them,
 * `number`/`numbers` plain integers (offsets in the source are called `at`), `bindings` a list of (slot, node),
 * `dynamics` a list of (name node, value node, offset), `renames` a list of (name, slot), `reference` a function that is elsewhere in the tree.
 */
export type OperandKind =
  | "node"
  | "node?"
  | "nodes"
  | "function"
  | "constant"
  | "name"
  | "names"
  | "path"
  | "slot"
  | "place"
  | "places"
  | "number"
  | "numbers"
  | "bindings"
  | "dynamics"
  | "renames"
  | "reference";

/** One row of the table. */
export interface Instruction {
  readonly operands: Readonly<Record<string, OperandKind>>;
  /** Whether the result is always in weak head normal form and making it cannot fail, so no thunk is needed. */
  readonly immediate?: true;
  readonly meaning: string;
}

/** All instructions. */
export const INSTRUCTIONS: Readonly<Record<Op, Instruction>> = {
  const: { operands: { value: "constant" }, immediate: true, meaning: "a constant" },
  global: { operands: { name: "name" }, immediate: true, meaning: "a global name: a built-in function or constant" },
  ambient: { operands: { name: "name" }, meaning: "a name of the set given to scopedImport" },
  position: { operands: { at: "number" }, immediate: true, meaning: "the place in the source as a set: `__curPos`" },
  local: { operands: { place: "place" }, meaning: "a variable as it is stored, maybe a thunk" },
  force: { operands: { of: "node", at: "number" }, meaning: "the weak head normal form of the operand" },
  thunk: { operands: { fn: "function" }, meaning: "a delayed value, computed by the function" },
  lambda: { operands: { fn: "function" }, immediate: true, meaning: "a function" },
  let: { operands: { bindings: "bindings", body: "node" }, meaning: "stores variables in order, then the body" },
  overrides: {
    operands: { from: "slot", renames: "renames", body: "node" },
    meaning: "forces the set in `from`, stores its attributes in the variables they replace; `body // set`",
  },
  call: {
    operands: { callee: "node", args: "nodes", direct: "reference", at: "number" },
    meaning: "calls with the arguments in order; `direct` is the function when the callee is known",
  },
  select: {
    operands: { of: "node", path: "path", fallback: "node?", at: "number" },
    meaning: "the attribute at the path; the fallback when it, or a set on the way, is not there",
  },
  has: { operands: { of: "node", path: "path", at: "number" }, meaning: "whether there is an attribute at the path" },
  attrs: {
    operands: { names: "names", values: "nodes", offsets: "numbers", dynamics: "dynamics" },
    meaning: "a set; `names` are sorted bytewise, `dynamics` are added in order",
  },
  list: { operands: { items: "nodes" }, meaning: "a list" },
  with: {
    operands: { name: "name", scopes: "places", at: "number" },
    meaning: "a name looked up in the sets of the enclosing `with`s, innermost first",
  },
  if: { operands: { condition: "node", yes: "node", no: "node" }, meaning: "a conditional" },
  assert: {
    operands: { condition: "node", body: "node", text: "name", at: "number" },
    meaning: "the body, if the condition holds; `text` is the condition's source",
  },
  not: { operands: { of: "node" }, meaning: "Boolean negation" },
  and: { operands: { left: "node", right: "node" }, meaning: "Boolean and, left first" },
  or: { operands: { left: "node", right: "node" }, meaning: "Boolean or, left first" },
  implies: { operands: { left: "node", right: "node" }, meaning: "Boolean implication, left first" },
  equal: { operands: { left: "node", right: "node" }, meaning: "equality" },
  differ: { operands: { left: "node", right: "node" }, meaning: "inequality" },
  less: { operands: { left: "node", right: "node", at: "number" }, meaning: "`builtins.lessThan`" },
  add: { operands: { left: "node", right: "node", at: "number" }, meaning: "`+`: numbers, strings, paths" },
  sub: { operands: { left: "node", right: "node", at: "number" }, meaning: "`builtins.sub`" },
  mul: { operands: { left: "node", right: "node", at: "number" }, meaning: "`builtins.mul`" },
  div: { operands: { left: "node", right: "node", at: "number" }, meaning: "`builtins.div`" },
  eager: {
    operands: { sum: "node", otherwise: "node" },
    meaning: "the sum (add, sub or mul) when its operands are small integers by now, else the thunk `otherwise`",
  },
  update: { operands: { left: "node", right: "node", at: "number" }, meaning: "`//`, right first" },
  concat: { operands: { left: "node", right: "node", at: "number" }, meaning: "`++`" },
  interpolate: { operands: { parts: "nodes", at: "number" }, meaning: "the parts coerced to strings and joined" },
  append: {
    operands: { base: "node", parts: "nodes", at: "number" },
    meaning: "the path `base` with the parts appended, canonical",
  },
};
