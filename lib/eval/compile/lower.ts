// From the syntax tree to the intermediate form: resolves names, makes laziness explicit, removes sugar.
//
// Two functions do the work. `strict` yields an instruction whose result is in weak head normal form; `lazy` yields
// one that is stored for later: a thunk, unless the value is at hand and making it can neither fail nor cost much.
// Sugar that Nix defines by names (`a - b` is `__sub a b`, `<x>` is `__findFile __nixPath "x"`) resolves those names
// first; only when nothing shadows them does the instruction stand for the built-in function.

import { unreachable } from "../../base/error.ts";
import { EvalError } from "../error.ts";
import type { Binding as SlotBinding, BinaryNode, DynamicAttr, Fn, Node, Program, ThunkNode } from "../ir/program.ts";
import {
  type ApplyExpr,
  type AttrName,
  type AttrSetExpr,
  BINARY_CALLS,
  type BinaryExpr,
  BinaryOp,
  BindingKind,
  type Expr,
  Kind,
  type LambdaExpr,
  type PathExpr,
  UnaryOp,
} from "../syntax/ast.ts";
import {
  addVariable,
  isInsideWith,
  type OpenFn,
  placeOf,
  resolve,
  type Scope,
  sourcesOf,
  type Variable,
  visibleNames,
} from "./scope.ts";

/** What lowering needs to know besides the tree. */
export interface LowerOptions {
  /** The names that nothing needs to bind. */
  readonly globals: ReadonlyMap<string, unknown>;
  /** Names visible in the file beyond the globals, which they shadow: those of scopedImport. */
  readonly ambient: { has(name: string): boolean };
  /** The source text. */
  readonly text: string;
  /**
   * Delay exactly what C++ Nix delays. Printing an unfinished value shows what is delayed, so the expression given
   * on a command line is compiled this way; elsewhere only speed differs.
   */
  readonly exact: boolean;
  /**
   * Lower delayed values inside a `with`, where every name means something, when they are first asked for. Which
   * variables are captured is not known then.
   */
  readonly late?: boolean;
}

/** Sets and lists with at most this many items that need thunks are built at once instead of being delayed. */
const IMMEDIATE_THUNKS = 2;
const IMMEDIATE_ITEMS = 16;

/** Compiles a syntax tree. Throws `ERR_EVAL_UNDEFINED_VARIABLE` for names that nothing defines. */
export function lower(expr: Expr, options: LowerOptions): Program {
  return new Lowering(options).program(expr);
}

class Lowering {
  private readonly options: LowerOptions;

  constructor(options: LowerOptions) {
    this.options = options;
  }

  program(expr: Expr): Program {
    const root = openFn("root", "", expr.start, null);
    root.fn.body = this.strict(expr, root, null);
    return { root: root.fn };
  }

  /** An instruction that computes the weak head normal form of `expr`. */
  private strict(expr: Expr, fn: OpenFn, scope: Scope | null): Node {
    switch (expr.kind) {
      case Kind.Int:
      case Kind.String:
        return { op: "const", value: expr.value };
      case Kind.Float:
        return { op: "const", value: { float: expr.value } };
      case Kind.Interpolation:
        return { op: "interpolate", parts: expr.parts.map((part) => this.strict(part, fn, scope)), at: expr.start };
      case Kind.Path:
        return this.path(expr, fn, scope);
      case Kind.SearchPath: {
        const callee = this.name("__findFile", expr.start, fn, scope);
        const entries = this.lazyName("__nixPath", expr.start, fn, scope);
        return call(callee, [entries, { op: "const", value: expr.name }], expr.start);
      }
      case Kind.Variable:
        return this.name(expr.name, expr.start, fn, scope);
      case Kind.CurPos:
        return { op: "position", at: expr.start };
      case Kind.InheritSource:
        return forced(place(sourcesOf(scope)[expr.index] as Variable, fn), expr.start);
      case Kind.Select:
        return {
          op: "select",
          of: this.strict(expr.subject, fn, scope),
          path: this.attrPath(expr.path, fn, scope),
          fallback: expr.fallback === undefined ? undefined : this.strict(expr.fallback, fn, scope),
          at: expr.path[0]?.start ?? expr.start,
        };
      case Kind.HasAttr:
        return {
          op: "has",
          of: this.strict(expr.subject, fn, scope),
          path: this.attrPath(expr.path, fn, scope),
          at: expr.start,
        };
      case Kind.AttrSet:
        return this.attrSet(expr, fn, scope);
      case Kind.Let: {
        const inner = this.openScope(expr.scope, fn, scope);
        const bindings = this.bindScope(expr.scope, fn, scope, inner);
        return letNode(bindings, this.strict(expr.body, fn, inner.scope));
      }
      case Kind.LegacyLet:
        return {
          op: "select",
          of: this.attrSet(expr.scope, fn, scope),
          path: ["body"],
          fallback: undefined,
          at: expr.start,
        };
      case Kind.List:
        return { op: "list", items: expr.items.map((item) => this.lazy(item, fn, scope, "")) };
      case Kind.Lambda:
        return this.lambda(expr, fn, scope, "");
      case Kind.Apply:
        return this.apply(expr, fn, scope);
      case Kind.If:
        return {
          op: "if",
          condition: this.strict(expr.condition, fn, scope),
          yes: this.strict(expr.consequent, fn, scope),
          no: this.strict(expr.alternative, fn, scope),
        };
      case Kind.Assert:
        return {
          op: "assert",
          condition: this.strict(expr.condition, fn, scope),
          body: this.strict(expr.body, fn, scope),
          text: conditionText(this.options.text, expr.start, expr.condition.end),
          at: expr.condition.start,
        };
      case Kind.With: {
        const variable = addVariable(fn, "", true);
        const value = this.lazy(expr.scope, fn, scope, "");
        const inner: Scope = { outer: scope, names: null, withSet: variable, sources: null };
        return letNode([{ slot: variable.slot, value }], this.strict(expr.body, fn, inner));
      }
      case Kind.Unary:
        return this.unary(expr.op, expr.operand, expr.start, fn, scope);
      case Kind.Binary:
        return this.binary(expr, fn, scope);
      case Kind.Deferred:
        return this.strict(expr.parse(), fn, scope);
      default:
        return unreachable(expr);
    }
  }

  /** An instruction whose result may be stored for later. `name` is what it will be bound to. */
  private lazy(expr: Expr, fn: OpenFn, scope: Scope | null, name: string): Node {
    switch (expr.kind) {
      case Kind.Int:
      case Kind.Float:
      case Kind.String:
        return this.strict(expr, fn, scope);
      case Kind.Path:
        if (expr.parts.length === 0) return this.strict(expr, fn, scope);
        break;
      case Kind.Variable: {
        const node = this.lazyVariable(expr.name, fn, scope);
        if (node !== undefined) return node;
        break;
      }
      case Kind.Lambda:
        if (!this.options.exact) return this.lambda(expr, fn, scope, name);
        break;
      case Kind.List:
        if (expr.items.length === 0 || (!this.options.exact && this.cheap(expr.items))) {
          return this.strict(expr, fn, scope);
        }
        break;
      case Kind.AttrSet:
        if (this.options.exact || expr.recursive || expr.dynamics.length > 0 || expr.sources.length > 0) break;
        if (this.cheap(expr.bindings.map((binding) => binding.value))) return this.strict(expr, fn, scope);
        break;
      case Kind.Binary: {
        const node = this.options.exact ? undefined : this.eagerSum(expr, fn, scope, name);
        if (node !== undefined) return node;
        break;
      }
      default:
    }
    return this.delayed(expr, fn, scope, name);
  }

  private delayed(expr: Expr, fn: OpenFn, scope: Scope | null, name: string): ThunkNode {
    if (this.options.late && isInsideWith(scope)) return new LateThunk(expr, fn, scope, name, this);
    return { op: "thunk", fn: this.thunk(expr, fn, scope, name) };
  }

  /** The function of a delayed value. */
  thunk(expr: Expr, outer: OpenFn, scope: Scope | null, name: string): Fn {
    const thunk = openFn("thunk", name, expr.start, outer);
    thunk.fn.body = expr.kind === Kind.Lambda ? this.lambda(expr, thunk, scope, name) : this.strict(expr, thunk, scope);
    return thunk.fn;
  }

  /** A variable as it is stored, when that is possible here: not a `with` name, and not read before it is stored. */
  private lazyVariable(name: string, fn: OpenFn, scope: Scope | null): Node | undefined {
    const meaning = resolve(scope, name);
    if (meaning.kind === "variable") {
      const { variable } = meaning;
      return variable.owner === fn && !variable.ready ? undefined : place(variable, fn);
    }
    if (this.options.ambient.has(name) || !this.options.globals.has(name)) return undefined;
    return { op: "global", name };
  }

  private lazyName(name: string, at: number, fn: OpenFn, scope: Scope | null): Node {
    const expr: Expr = { kind: Kind.Variable, start: at, end: at, name };
    return this.lazyVariable(name, fn, scope) ?? this.delayed(expr, fn, scope, "");
  }

  /** Whether building the items now costs little compared to a thunk. */
  private cheap(items: readonly Expr[]): boolean {
    if (items.length > IMMEDIATE_ITEMS) return false;
    let thunks = 0;
    for (const item of items) {
      const free =
        item.kind === Kind.Int ||
        item.kind === Kind.String ||
        item.kind === Kind.Float ||
        item.kind === Kind.Variable ||
        item.kind === Kind.Lambda ||
        (item.kind === Kind.List && item.items.length === 0);
      if (!free && ++thunks > IMMEDIATE_THUNKS) return false;
    }
    return true;
  }

  /** The value of a name. */
  private name(name: string, at: number, fn: OpenFn, scope: Scope | null): Node {
    const meaning = resolve(scope, name);
    if (meaning.kind === "variable") return forced(place(meaning.variable, fn), at);
    if (this.options.ambient.has(name)) return { op: "ambient", name };
    if (this.options.globals.has(name)) return forced({ op: "global", name }, at);
    if (meaning.kind === "with") {
      return { op: "with", name, scopes: meaning.sets.map((set) => placeOf(set, fn)), at };
    }
    throw new UndefinedVariable(name, at, visibleNames(scope, this.options.globals.keys()));
  }

  private isGlobal(name: string, scope: Scope | null): boolean {
    return (
      resolve(scope, name).kind !== "variable" && !this.options.ambient.has(name) && this.options.globals.has(name)
    );
  }

  private path(expr: PathExpr, fn: OpenFn, scope: Scope | null): Node {
    const open = expr.parts.length > 0;
    const base: Node = { op: "const", value: { path: expr.text, base: expr.base, open } };
    if (!open) return base;
    return { op: "append", base, parts: expr.parts.map((part) => this.strict(part, fn, scope)), at: expr.start };
  }

  private attrPath(path: readonly AttrName[], fn: OpenFn, scope: Scope | null): (string | Node)[] {
    return path.map((step) => step.name ?? this.strict(step.expr as Expr, fn, scope));
  }

  private apply(expr: ApplyExpr, fn: OpenFn, scope: Scope | null): Node {
    const callee = this.strict(expr.callee, fn, scope);
    const args = expr.args.map((arg) => this.lazy(arg, fn, scope, ""));
    let direct: Fn | undefined;
    if (expr.callee.kind === Kind.Variable) {
      const meaning = resolve(scope, expr.callee.name);
      if (meaning.kind === "variable") direct = meaning.variable.lambda ?? undefined;
    }
    return { op: "call", callee, args, direct, at: expr.start };
  }

  private unary(op: UnaryOp, operand: Expr, at: number, fn: OpenFn, scope: Scope | null): Node {
    if (op === UnaryOp.Not) return { op: "not", of: this.strict(operand, fn, scope) };
    const zero: Node = { op: "const", value: 0 };
    if (this.isGlobal("__sub", scope)) return { op: "sub", left: zero, right: this.strict(operand, fn, scope), at };
    return call(this.name("__sub", at, fn, scope), [zero, this.lazy(operand, fn, scope, "")], at);
  }

  private binary(expr: BinaryExpr, fn: OpenFn, scope: Scope | null): Node {
    const sugar = BINARY_CALLS[expr.op];
    const [first, second] = sugar?.swapped ? [expr.right, expr.left] : [expr.left, expr.right];
    if (sugar !== undefined && !this.isGlobal(sugar.name, scope)) {
      const args = [this.lazy(first, fn, scope, ""), this.lazy(second, fn, scope, "")];
      const node = call(this.name(sugar.name, expr.at, fn, scope), args, expr.at);
      return sugar.negated ? { op: "not", of: node } : node;
    }
    const left = this.strict(first, fn, scope);
    const right = this.strict(second, fn, scope);
    const at = expr.at;
    switch (expr.op) {
      case BinaryOp.Implies:
        return { op: "implies", left, right };
      case BinaryOp.Or:
        return { op: "or", left, right };
      case BinaryOp.And:
        return { op: "and", left, right };
      case BinaryOp.Equal:
        return { op: "equal", left, right };
      case BinaryOp.NotEqual:
        return { op: "differ", left, right };
      case BinaryOp.Less:
      case BinaryOp.Greater:
        return { op: "less", left, right, at };
      case BinaryOp.LessEqual:
      case BinaryOp.GreaterEqual:
        return { op: "not", of: { op: "less", left, right, at } };
      case BinaryOp.Update:
        return { op: "update", left, right, at };
      case BinaryOp.Add:
        return { op: "add", left, right, at };
      case BinaryOp.Subtract:
        return { op: "sub", left, right, at };
      case BinaryOp.Multiply:
        return { op: "mul", left, right, at };
      case BinaryOp.Divide:
        return { op: "div", left, right, at };
      case BinaryOp.Concat:
        return { op: "concat", left, right, at };
      default:
        return unreachable(expr.op);
    }
  }

  /** `n - 1` and the like as an argument: computed at once when the operands are integers by then. */
  private eagerSum(expr: BinaryExpr, fn: OpenFn, scope: Scope | null, name: string): Node | undefined {
    const op = expr.op === BinaryOp.Add ? "add" : expr.op === BinaryOp.Subtract ? "sub" : "mul";
    if (op === "mul" && expr.op !== BinaryOp.Multiply) return undefined;
    const sugar = BINARY_CALLS[expr.op];
    if (sugar !== undefined && !this.isGlobal(sugar.name, scope)) return undefined;
    const left = this.eagerOperand(expr.left, fn, scope);
    const right = this.eagerOperand(expr.right, fn, scope);
    if (left === undefined || right === undefined) return undefined;
    const sum: BinaryNode = { op, left, right, at: expr.at };
    return { op: "eager", sum, otherwise: this.delayed(expr, fn, scope, name) };
  }

  private eagerOperand(expr: Expr, fn: OpenFn, scope: Scope | null): Node | undefined {
    if (expr.kind === Kind.Int) return { op: "const", value: expr.value };
    if (expr.kind !== Kind.Variable || resolve(scope, expr.name).kind !== "variable") return undefined;
    return this.lazyVariable(expr.name, fn, scope);
  }

  private attrSet(expr: AttrSetExpr, fn: OpenFn, scope: Scope | null): Node {
    const inner = this.openScope(expr, fn, scope);
    if (expr.recursive) {
      const bindings = this.bindScope(expr, fn, scope, inner);
      const entries = expr.bindings.map((binding) => ({
        name: binding.name,
        value: place(inner.variables.get(binding.name) as Variable, fn),
        at: binding.start,
      }));
      const set = attrsNode(entries, this.dynamics(expr, fn, inner.scope));
      const overrides = inner.variables.get("__overrides");
      if (overrides === undefined) return letNode(bindings, set);
      const renames = [...inner.variables].map(([name, variable]) => ({ name, slot: variable.slot }));
      return letNode(bindings, { op: "overrides", from: overrides.slot, renames, body: set });
    }
    const sources = this.bindSources(expr, fn, scope, inner);
    const entries = expr.bindings.map((binding) => ({
      name: binding.name,
      value: this.lazy(
        binding.value,
        fn,
        binding.kind === BindingKind.InheritedFrom ? inner.scope : scope,
        binding.name,
      ),
      at: binding.start,
    }));
    const set = attrsNode(entries, this.dynamics(expr, fn, scope));
    return letNode(sources, set);
  }

  private dynamics(expr: AttrSetExpr, fn: OpenFn, scope: Scope | null): readonly DynamicAttr[] {
    if (expr.dynamics.length === 0) return NO_DYNAMICS;
    return expr.dynamics.map((dynamic) => ({
      name: this.strict(dynamic.nameExpr, fn, scope),
      value: this.lazy(dynamic.value, fn, scope, ""),
      at: dynamic.start,
    }));
  }

  /** The scope inside a set: its names when it is recursive, and its inherit sources. */
  private openScope(expr: AttrSetExpr, fn: OpenFn, scope: Scope | null): OpenScope {
    const variables = new Map<string, Variable>();
    if (expr.recursive) {
      const overridden = expr.bindings.some((binding) => binding.name === "__overrides");
      for (const binding of expr.bindings) {
        const variable = addVariable(fn, binding.name, false);
        variables.set(binding.name, variable);
        const { value } = binding;
        if (overridden || this.options.exact) continue;
        if (binding.kind === BindingKind.Plain && value.kind === Kind.Lambda && value.formals === undefined) {
          const lambda = openLambda(value, binding.name, fn);
          variable.lambda = lambda.fn;
          this.opened.set(value, lambda);
        }
      }
    }
    const sources = expr.sources.map(() => addVariable(fn, "", false));
    return {
      variables,
      sources,
      scope: { outer: scope, names: expr.recursive ? variables : null, withSet: null, sources },
    };
  }

  /** Lambdas whose function exists before their body is lowered, because calls refer to them. */
  private readonly opened = new Map<LambdaExpr, OpenFn>();

  private bindScope(expr: AttrSetExpr, fn: OpenFn, outer: Scope | null, inner: OpenScope): SlotBinding[] {
    const bindings = this.bindSources(expr, fn, inner.scope, inner);
    const overridden = inner.variables.has("__overrides");
    for (const binding of expr.bindings) {
      const variable = inner.variables.get(binding.name) as Variable;
      const scope = binding.kind === BindingKind.Inherited ? outer : inner.scope;
      bindings.push({ slot: variable.slot, value: this.lazy(binding.value, fn, scope, binding.name) });
      // What __overrides replaces must not have been copied into another variable before.
      variable.ready = !overridden;
    }
    for (const variable of inner.variables.values()) variable.ready = true;
    return bindings;
  }

  private bindSources(expr: AttrSetExpr, fn: OpenFn, scope: Scope | null, inner: OpenScope): SlotBinding[] {
    return expr.sources.map((source, i) => {
      const variable = inner.sources[i] as Variable;
      const value = this.lazy(source, fn, scope, "");
      variable.ready = true;
      return { slot: variable.slot, value };
    });
  }

  private lambda(expr: LambdaExpr, fn: OpenFn, scope: Scope | null, name: string): Node {
    const opened = this.opened.get(expr) ?? openLambda(expr, name, fn);
    const inner = this.bindParameters(expr, opened, scope);
    const nested = expr.body;
    if (expr.formals === undefined && nested.kind === Kind.Lambda && nested.formals === undefined) {
      const second = opened.fn.inner as { param: string };
      const names = new Map([[second.param, addVariable(opened, second.param, true)]]);
      opened.fn.body = this.strict(nested.body, opened, { outer: inner, names, withSet: null, sources: null });
    } else {
      opened.fn.body = this.strict(nested, opened, inner);
    }
    opened.fn.immediate = !this.options.exact && isImmediateCall(opened.fn);
    return { op: "lambda", fn: opened.fn };
  }

  private bindParameters(expr: LambdaExpr, fn: OpenFn, scope: Scope | null): Scope {
    const names = new Map<string, Variable>();
    const whole = addVariable(fn, expr.param ?? "", true);
    if (expr.param !== undefined) names.set(expr.param, whole);
    const inner: Scope = { outer: scope, names, withSet: null, sources: null };
    if (expr.formals === undefined) return inner;
    const items = expr.formals.items;
    const variables = items.map((formal) => {
      const variable = addVariable(fn, formal.name, false);
      names.set(formal.name, variable);
      return variable;
    });
    const formals = fn.fn.formals as { name: string; slot: number; at: number; fallback: Node | undefined }[];
    items.forEach((formal, i) => {
      const variable = variables[i] as Variable;
      const fallback = formal.fallback === undefined ? undefined : this.lazy(formal.fallback, fn, inner, formal.name);
      variable.ready = true;
      formals.push({ name: formal.name, slot: variable.slot, at: formal.start, fallback });
    });
    return inner;
  }
}

/** A name that nothing defines; the caller of {@link lower} knows the file and turns it into a full error. */
export class UndefinedVariable extends EvalError {
  readonly variable: string;
  readonly at: number;
  /** The names that are defined there, for suggestions. */
  readonly candidates: readonly string[];

  constructor(variable: string, at: number, candidates: readonly string[]) {
    super("ERR_EVAL_UNDEFINED_VARIABLE", `undefined variable '${variable}'`);
    this.variable = variable;
    this.at = at;
    this.candidates = candidates;
  }
}

interface OpenScope {
  readonly variables: Map<string, Variable>;
  readonly sources: readonly Variable[];
  readonly scope: Scope;
}

const NO_DYNAMICS: readonly DynamicAttr[] = [];

const NO_BODY: Node = { op: "const", value: null };

function openFn(kind: Fn["kind"], name: string, at: number, outer: OpenFn | null): OpenFn {
  const fn: Fn = {
    kind,
    name,
    at,
    captured: [],
    names: [],
    arity: 0,
    formals: undefined,
    ellipsis: false,
    param: "",
    inner: undefined,
    immediate: false,
    body: NO_BODY,
  };
  return { fn, outer, depth: outer === null ? 0 : outer.depth + 1 };
}

/** A delayed value that is lowered when its function is first asked for. */
class LateThunk implements ThunkNode {
  readonly op = "thunk";
  private made: Fn | undefined = undefined;
  private readonly expr: Expr;
  private readonly outer: OpenFn;
  private readonly scope: Scope | null;
  private readonly name: string;
  private readonly lowering: { thunk(expr: Expr, outer: OpenFn, scope: Scope | null, name: string): Fn };

  constructor(expr: Expr, outer: OpenFn, scope: Scope | null, name: string, lowering: LateThunk["lowering"]) {
    this.expr = expr;
    this.outer = outer;
    this.scope = scope;
    this.name = name;
    this.lowering = lowering;
  }

  get fn(): Fn {
    return (this.made ??= this.lowering.thunk(this.expr, this.outer, this.scope, this.name));
  }
}

function openLambda(expr: LambdaExpr, name: string, outer: OpenFn): OpenFn {
  const nested = expr.body;
  const both = expr.formals === undefined && nested.kind === Kind.Lambda && nested.formals === undefined;
  const fn: Fn = {
    kind: "lambda",
    name,
    at: expr.start,
    captured: [],
    names: [],
    arity: both ? 2 : 1,
    formals: expr.formals === undefined ? undefined : [],
    ellipsis: expr.formals?.ellipsis ?? false,
    param: expr.param ?? "",
    inner: both ? { param: nested.param ?? "", at: nested.start } : undefined,
    immediate: false,
    body: NO_BODY,
  };
  return { fn, outer, depth: outer.depth + 1 };
}

/** What stands between `assert`, which is at `start`, and its semicolon; in one line, as it is for a message. */
function conditionText(text: string, start: number, end: number): string {
  // What brackets the condition is in belongs to it, and is not part of the expression.
  const semicolon = text.indexOf(";", end);
  return text
    .slice(start + "assert".length, semicolon)
    .trim()
    .replace(/\s+/g, " ");
}

/** Whether calling the lambda with a value at hand cannot fail and makes no more than a few objects. */
function isImmediateCall({ arity, formals, body }: Fn): boolean {
  if (formals !== undefined) return false;
  if (arity === 2) return true;
  switch (body.op) {
    case "const":
    case "lambda":
      return true;
    case "force":
      return body.of.op === "local" && body.of.place.up === 0 && body.of.place.slot === 0;
    case "list":
      return areCheap(body.items);
    case "attrs":
      return body.dynamics.length === 0 && areCheap(body.values);
    default:
      return false;
  }
}

/** Whether making the items costs little compared to a thunk. */
function areCheap(items: readonly Node[]): boolean {
  return items.length <= IMMEDIATE_ITEMS && items.filter((item) => item.op === "thunk").length <= IMMEDIATE_THUNKS;
}

const NEAR_FUNCTIONS = 8;
const NEAR_SLOTS = 32;
/** Instructions that read the nearest variables, which are most: by functions outwards, then by slot. */
const NEAR = Array.from({ length: NEAR_FUNCTIONS }, (_function, up) =>
  Array.from({ length: NEAR_SLOTS }, (_variable, slot): Node => ({ op: "local", place: { up, slot } })),
);

function place(variable: Variable, from: OpenFn): Node {
  const at = placeOf(variable, from);
  return NEAR[at.up]?.[at.slot] ?? { op: "local", place: at };
}

function forced(node: Node, at: number): Node {
  return { op: "force", of: node, at };
}

function call(callee: Node, args: readonly Node[], at: number): Node {
  return { op: "call", callee, args, direct: undefined, at };
}

function letNode(bindings: readonly SlotBinding[], body: Node): Node {
  return bindings.length === 0 ? body : { op: "let", bindings, body };
}

function attrsNode(
  entries: { readonly name: string; readonly value: Node; readonly at: number }[],
  dynamics: readonly DynamicAttr[],
): Node {
  entries.sort((a, b) => (a.name < b.name ? -1 : 1));
  return {
    op: "attrs",
    names: entries.map((entry) => entry.name),
    values: entries.map((entry) => entry.value),
    offsets: entries.map((entry) => entry.at),
    dynamics,
  };
}
