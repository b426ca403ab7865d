// Warnings about programs that mean something else than they seem to: names that a `with` only seems to bind, `with`s
// and `inherit`s without effect. Nothing here changes what a program does.

import type { Diagnostic, Label } from "../diagnostic.ts";
import { byteStringToText, type Source } from "../source.ts";
import { type AttrSetExpr, BindingKind, childrenOf, type Expr, Kind, type LambdaExpr } from "../syntax/ast.ts";

/** A piece of the source. */
interface Span {
  readonly start: number;
  readonly end: number;
}

/** The set of a `with`. */
interface With {
  /** The names that are sure to be in it, because it is written there. */
  readonly names: ReadonlyMap<string, Span>;
  used: boolean;
}

/** Names bound together, or a `with`. */
interface Scope {
  readonly outer: Scope | null;
  readonly names: ReadonlyMap<string, Span> | null;
  readonly with: With | null;
}

/** What deserves a look in a program. `globals` are the names that nothing needs to bind. */
export function lint(expr: Expr, source: Source, globals: { has(name: string): boolean }): Diagnostic[] {
  const linter = new Linter(source, globals);
  try {
    linter.visit(expr, null);
  } catch (error) {
    // A text nested too deeply for this stack: what was found so far has to do.
    if (!(error instanceof RangeError)) throw error;
  }
  return linter.found;
}

class Linter {
  readonly found: Diagnostic[] = [];
  private readonly source: Source;
  private readonly globals: { has(name: string): boolean };

  constructor(source: Source, globals: { has(name: string): boolean }) {
    this.source = source;
    this.globals = globals;
  }

  visit(expr: Expr, scope: Scope | null): void {
    switch (expr.kind) {
      case Kind.Variable:
        this.name(expr.name, expr, scope);
        return;
      case Kind.AttrSet:
        this.set(expr, scope);
        return;
      case Kind.LegacyLet:
        this.set(expr.scope, scope);
        return;
      case Kind.Let:
        this.uselessInherits(expr.scope, scope);
        this.visit(expr.body, this.set(expr.scope, scope));
        return;
      case Kind.Lambda:
        this.lambda(expr, scope);
        return;
      case Kind.With: {
        this.visit(expr.scope, scope);
        const names = expr.scope.kind === Kind.AttrSet ? namesOf(expr.scope) : new Map<string, Span>();
        const set: With = { names, used: false };
        this.visit(expr.body, { outer: scope, names: null, with: set });
        if (!set.used) this.unusedWith(expr.start);
        return;
      }
      default:
        for (const child of childrenOf(expr)) this.visit(child, scope);
    }
  }

  /** Visits a set; answers the scope in it. */
  private set(expr: AttrSetExpr, outer: Scope | null): Scope | null {
    const inner = expr.recursive ? { outer, names: namesOf(expr), with: null } : outer;
    for (const source of expr.sources) this.visit(source, inner);
    for (const binding of expr.bindings) {
      this.visit(binding.value, binding.kind === BindingKind.Inherited ? outer : inner);
    }
    for (const dynamic of expr.dynamics) {
      this.visit(dynamic.nameExpr, inner);
      this.visit(dynamic.value, inner);
    }
    return inner;
  }

  private lambda(expr: LambdaExpr, outer: Scope | null): void {
    const names = new Map<string, Span>();
    if (expr.param !== undefined) names.set(expr.param, { start: expr.start, end: expr.start + expr.param.length });
    for (const formal of expr.formals?.items ?? []) names.set(formal.name, formal);
    const inner: Scope = { outer, names, with: null };
    for (const formal of expr.formals?.items ?? []) {
      if (formal.fallback !== undefined) this.visit(formal.fallback, inner);
    }
    this.visit(expr.body, inner);
  }

  /** A use of a name. */
  private name(name: string, at: Span, scope: Scope | null): void {
    const passed: With[] = [];
    const bound = this.definition(name, scope, passed);
    if (bound === undefined) for (const set of passed) set.used = true;
    const shadowed = passed.find((set) => set.names.has(name));
    if (bound !== undefined && shadowed !== undefined) this.shadowedWith(name, at, shadowed, bound);
  }

  /** Where a name is bound, `null` for a global one, or `undefined`; collects the `with`s on the way. */
  private definition(name: string, scope: Scope | null, passed: With[]): Span | null | undefined {
    for (let at = scope; at !== null; at = at.outer) {
      if (at.with !== null) passed.push(at.with);
      const span = at.names?.get(name);
      if (span !== undefined) return span;
    }
    return this.globals.has(name) ? null : undefined;
  }

  private uselessInherits(expr: AttrSetExpr, outer: Scope | null): void {
    for (const { kind, name, start, end } of expr.bindings) {
      if (kind !== BindingKind.Inherited || this.definition(name, outer, []) === undefined) continue;
      const message = `this 'inherit' has no effect: '${byteStringToText(name)}' means the same without it`;
      this.warn("WARN_USELESS_INHERIT", message, [this.label({ start, end }, "")], "remove it");
    }
  }

  private unusedWith(start: number): void {
    const label = this.label({ start, end: start + "with".length }, "");
    this.warn("WARN_UNUSED_WITH", "no name is looked up in the set of this 'with'", [label], "remove it");
  }

  private shadowedWith(name: string, at: Span, set: With, bound: Span | null): void {
    const shown = byteStringToText(name);
    const who = bound === null ? "Nix itself" : "a binding around the 'with'";
    const labels = [this.label(at, ""), this.label(set.names.get(name) as Span, "not this one")];
    if (bound !== null) labels.push(this.label(bound, "but this one"));
    const help = `bind '${shown}' with 'let', or write out the set it is in`;
    this.warn("WARN_SHADOWED_WITH", `'${shown}' does not come from the 'with': ${who} comes first`, labels, help);
  }

  private label({ start, end }: Span, text: string): Label {
    return { source: this.source, start, end, text };
  }

  private warn(code: string, message: string, labels: readonly Label[], help: string): void {
    this.found.push({ severity: "warning", code, message, labels, help });
  }
}

function namesOf(expr: AttrSetExpr): Map<string, Span> {
  return new Map(expr.bindings.map(({ name, start, end }) => [name, { start, end }]));
}
