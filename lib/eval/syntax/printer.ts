// Prints a tree as `nix-instantiate --parse` (2.34) prints it: every operation in parentheses, sets sorted by name,
// operators that are calls shown as calls, paths made absolute.
//
// Output is appended piece by piece; the sides on which trees get long (the left of operators, the right of functions,
// lets, ifs) are walked in loops, real nesting by recursion.

import { DiagnosticError } from "../diagnostic.ts";
import { formatFloat } from "../text/float.ts";
import { canonicalPath } from "../text/path.ts";
import { quoteName, quoteString } from "../text/quote.ts";
import {
  type ApplyExpr,
  type AttrName,
  type AttrSetExpr,
  BINARY_CALLS,
  BINARY_SYMBOLS,
  type Binding,
  BindingKind,
  type Expr,
  type InheritSourceExpr,
  Kind,
  type LambdaExpr,
  PathBase,
  type PathExpr,
  type SelectExpr,
  UnaryOp,
} from "./ast.ts";

/** What relative and home paths start from: absolute byte strings. */
export interface PrintOptions {
  readonly directory: string;
  readonly home: string;
}

/**
 * The text of a tree, as a byte string without a line break at the end.
 * @throws DiagnosticError `ERR_PARSE_TOO_DEEP` where the stack is too small for the tree
 */
export function printExpr(expr: Expr, options: PrintOptions): string {
  const printer = new Printer(options);
  try {
    printer.print(expr);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw new DiagnosticError({
      severity: "error",
      code: "ERR_PARSE_TOO_DEEP",
      message: "the expression is nested too deeply to be printed",
      labels: [],
    });
  }
  return printer.out;
}

class Printer {
  out = "";
  private readonly options: PrintOptions;

  constructor(options: PrintOptions) {
    this.options = options;
  }

  /** Prints an expression; texts that close what has been opened wait in `closers` while the last part is walked. */
  print(root: Expr): void {
    const closers: string[] = [];
    let expr: Expr | undefined = root;
    while (expr !== undefined) expr = this.open(expr, closers);
    for (let i = closers.length - 1; i >= 0; i--) this.out += closers[i];
  }

  /** Prints an expression but for its last part, which is returned. */
  private open(expr: Expr, closers: string[]): Expr | undefined {
    switch (expr.kind) {
      case Kind.Lambda:
        this.lambdaHead(expr);
        closers.push(")");
        return expr.body;
      case Kind.Let:
        this.out += "(let ";
        this.bindings(expr.scope);
        this.out += "in ";
        closers.push(")");
        return expr.body;
      case Kind.If:
        this.out += "(if ";
        this.print(expr.condition);
        this.out += " then ";
        this.print(expr.consequent);
        this.out += " else ";
        closers.push(")");
        return expr.alternative;
      case Kind.Assert:
        this.out += "assert ";
        this.print(expr.condition);
        this.out += "; ";
        return expr.body;
      case Kind.With:
        this.out += "(with ";
        this.print(expr.scope);
        this.out += "; ";
        closers.push(")");
        return expr.body;
      case Kind.Deferred:
        return expr.parse();
      case Kind.Unary:
        this.out += expr.op === UnaryOp.Not ? "(! " : "(__sub 0 ";
        closers.push(")");
        return expr.operand;
      case Kind.Binary:
        return this.binary(expr, closers);
      default:
        this.whole(expr);
        return undefined;
    }
  }

  /** Walks down the left operands in a loop. */
  private binary(expr: Expr, closers: string[]): Expr | undefined {
    const pending: { text: string; right: Expr | undefined; close: string }[] = [];
    let left = expr;
    while (left.kind === Kind.Binary) {
      const call = BINARY_CALLS[left.op];
      if (call === undefined) {
        this.out += "(";
        pending.push({ text: ` ${BINARY_SYMBOLS[left.op]} `, right: left.right, close: ")" });
        left = left.left;
        continue;
      }
      this.out += call.negated ? `(! (${call.name} ` : `(${call.name} `;
      const close = call.negated ? "))" : ")";
      if (call.swapped) {
        this.print(left.right);
        this.out += " ";
        pending.push({ text: "", right: undefined, close });
      } else pending.push({ text: " ", right: left.right, close });
      left = left.left;
    }
    this.print(left);
    for (let i = pending.length - 1; i > 0; i--) {
      const { text, right, close } = pending[i] as (typeof pending)[number];
      this.out += text;
      if (right !== undefined) this.print(right);
      this.out += close;
    }
    const last = pending[0] as (typeof pending)[number];
    this.out += last.text;
    closers.push(last.close);
    return last.right;
  }

  private whole(expr: Expr): void {
    switch (expr.kind) {
      case Kind.Int:
        this.out += String(expr.value);
        return;
      case Kind.Float:
        this.out += formatFloat(expr.value);
        return;
      case Kind.String:
        this.out += quoteString(expr.value);
        return;
      case Kind.Interpolation:
        return this.concatenation("", expr.parts);
      case Kind.Path:
        return this.path(expr);
      case Kind.SearchPath:
        this.out += `(__findFile __nixPath ${quoteString(expr.name)})`;
        return;
      case Kind.Variable:
        this.out += quoteName(expr.name);
        return;
      case Kind.CurPos:
        this.out += "__curPos";
        return;
      case Kind.Select:
        return this.select(expr);
      case Kind.HasAttr:
        this.out += "((";
        this.print(expr.subject);
        this.out += ") ? ";
        this.attrPath(expr.path);
        this.out += ")";
        return;
      case Kind.AttrSet:
        return this.set(expr);
      case Kind.LegacyLet:
        this.out += "(";
        this.set(expr.scope);
        this.out += ").body";
        return;
      case Kind.List:
        return this.list(expr.items);
      case Kind.Apply:
        return this.apply(expr);
      default:
        throw new TypeError("an expression that open() prints");
    }
  }

  /** A callee that is a call in disguise (`(a - b) c`) becomes one call with more arguments, but not before `or`. */
  private apply({ callee, args }: ApplyExpr): void {
    const first = args[0] as Expr;
    if (isPlainCall(callee) && !(first.kind === Kind.Variable && first.name === "or")) {
      this.print(callee);
      this.out = this.out.slice(0, -1);
    } else {
      this.out += "(";
      this.print(callee);
    }
    for (const arg of args) {
      this.out += " ";
      this.print(arg);
    }
    this.out += ")";
  }

  private list(items: readonly Expr[]): void {
    this.out += "[ ";
    for (const item of items) {
      this.out += "(";
      this.print(item);
      this.out += ") ";
    }
    this.out += "]";
  }

  private concatenation(first: string, parts: readonly Expr[]): void {
    this.out += `(${first}`;
    let separate = first !== "";
    for (const part of parts) {
      if (separate) this.out += " + ";
      separate = true;
      this.print(part);
    }
    this.out += ")";
  }

  private path(expr: PathExpr): void {
    const path = this.absolute(expr);
    if (expr.parts.length === 0) {
      this.out += path;
      return;
    }
    const slash = expr.text.endsWith("/") && !path.endsWith("/") ? "/" : "";
    this.concatenation(path + slash, expr.parts);
  }

  /** Nix leaves home paths as they are written. */
  private absolute(expr: PathExpr): string {
    if (expr.base === PathBase.Home) return `${this.options.home}/${expr.text}`;
    return canonicalPath(expr.base === PathBase.Absolute ? expr.text : `${this.options.directory}/${expr.text}`);
  }

  private select(expr: SelectExpr): void {
    this.out += "(";
    this.print(expr.subject);
    this.out += ").";
    this.attrPath(expr.path);
    if (expr.fallback !== undefined) {
      this.out += " or (";
      this.print(expr.fallback);
      this.out += ")";
    }
  }

  private attrPath(path: readonly AttrName[]): void {
    let separate = false;
    for (const { name, expr } of path) {
      if (separate) this.out += ".";
      separate = true;
      if (name !== undefined) this.out += quoteName(name);
      else this.dynamicName(expr as Expr);
    }
  }

  private dynamicName(expr: Expr): void {
    this.out += '"${';
    this.print(expr);
    this.out += '}"';
  }

  private set(expr: AttrSetExpr): void {
    this.out += expr.recursive ? "rec { " : "{ ";
    this.bindings(expr);
    this.out += "}";
  }

  private bindings(set: AttrSetExpr): void {
    const sorted = [...set.bindings].sort((a, b) => (a.name < b.name ? -1 : 1));
    const inherited: string[] = [];
    const bySource: string[][] = [];
    for (const binding of sorted) {
      if (binding.kind === BindingKind.Inherited) inherited.push(quoteName(binding.name));
      else if (binding.kind === BindingKind.InheritedFrom) {
        const { index } = (binding.value as SelectExpr).subject as InheritSourceExpr;
        (bySource[index] ??= []).push(quoteName(binding.name));
      }
    }
    if (inherited.length > 0) this.out += `inherit ${inherited.join(" ")}; `;
    for (let i = 0; i < bySource.length; i++) this.inheritFrom(set.sources[i] as Expr, bySource[i]);
    for (const binding of sorted) if (binding.kind === BindingKind.Plain) this.binding(binding);
    for (const { nameExpr, value } of set.dynamics) {
      this.dynamicName(nameExpr);
      this.out += " = ";
      this.print(value);
      this.out += "; ";
    }
  }

  private inheritFrom(source: Expr, names: readonly string[] | undefined): void {
    if (names === undefined) return;
    this.out += "inherit (";
    this.print(source);
    this.out += `) ${names.join(" ")}; `;
  }

  private binding(binding: Binding): void {
    this.out += `${quoteName(binding.name)} = `;
    this.print(binding.value);
    this.out += "; ";
  }

  private lambdaHead(lambda: LambdaExpr): void {
    this.out += "(";
    const { formals, param } = lambda;
    if (formals !== undefined) {
      this.out += "{ ";
      const sorted = [...formals.items].sort((a, b) => (a.name < b.name ? -1 : 1));
      let separate = false;
      for (const { name, fallback } of sorted) {
        if (separate) this.out += ", ";
        separate = true;
        this.out += quoteName(name);
        if (fallback === undefined) continue;
        this.out += " ? ";
        this.print(fallback);
      }
      if (formals.ellipsis) this.out += separate ? ", ..." : "...";
      this.out += " }";
      if (param !== undefined) this.out += " @ ";
    }
    if (param !== undefined) this.out += quoteName(param);
    this.out += ": ";
  }
}

/** Whether Nix's tree has a call of a named function where ours has an operator. */
function isPlainCall(expr: Expr): boolean {
  if (expr.kind === Kind.SearchPath) return true;
  if (expr.kind === Kind.Unary) return expr.op === UnaryOp.Negate;
  return expr.kind === Kind.Binary && BINARY_CALLS[expr.op]?.negated === false;
}
