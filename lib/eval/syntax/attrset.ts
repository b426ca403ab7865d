// Building attribute sets: attribute paths become nested sets, and literal sets of the same name become one.
//
// Nix decides this while parsing, by what is written and not by what it means: `a.b = 1; a = { c = 2; };` merges because
// both sides are literal sets, in any order and depth, and the set that came first decides whether the result is
// recursive. Anything else that is defined twice is an error. Dynamic names never merge.

import {
  type AttrName,
  type AttrSetExpr,
  type Binding,
  BindingKind,
  type DynamicBinding,
  type Expr,
  type InheritSourceExpr,
  Kind,
  type SelectExpr,
} from "./ast.ts";

/** An {@link AttrSetExpr} while it grows. Its set is complete once the parser has seen the whole enclosing set. */
export interface GrowingSet extends AttrSetExpr {
  end: number;
  readonly bindings: Binding[];
  readonly dynamics: DynamicBinding[];
  readonly sources: Expr[];
}

/** Called for a name defined twice, with the path of names from the outermost set on. */
export type OnDuplicate = (path: readonly AttrName[], again: Binding, first: Binding) => never;

export function growingSet(start: number, end: number, recursive: boolean): GrowingSet {
  return { kind: Kind.AttrSet, start, end, recursive, bindings: [], dynamics: [], sources: [] };
}

/** Above this many attributes a set gets an index by name. */
const INDEX_FROM = 12;

/** Adds bindings to sets, keeping an index by name for the large ones. One per parse. */
export class SetBuilder {
  private readonly indexes = new Map<GrowingSet, Map<string, Binding>>();
  private readonly onDuplicate: OnDuplicate;

  constructor(onDuplicate: OnDuplicate) {
    this.onDuplicate = onDuplicate;
  }

  find(set: GrowingSet, name: string): Binding | undefined {
    const { bindings } = set;
    if (bindings.length > INDEX_FROM) return this.index(set).get(name);
    for (const binding of bindings) if (binding.name === name) return binding;
    return undefined;
  }

  private index(set: GrowingSet): Map<string, Binding> {
    let index = this.indexes.get(set);
    if (index === undefined) {
      index = new Map(set.bindings.map((binding) => [binding.name, binding]));
      this.indexes.set(set, index);
    }
    return index;
  }

  private push(set: GrowingSet, binding: Binding): void {
    set.bindings.push(binding);
    if (set.bindings.length > INDEX_FROM + 1) this.index(set).set(binding.name, binding);
  }

  /** `path = value;` */
  addPath(set: GrowingSet, path: readonly AttrName[], value: Expr): void {
    const start = (path[0] as AttrName).start;
    const { end } = path.at(-1) as AttrName;
    let target = set;
    for (let i = 0; i < path.length - 1; i++) target = this.descend(target, path, i, start, end);
    const last = path.at(-1) as AttrName;
    if (last.name === undefined) {
      target.dynamics.push({ start, end, nameExpr: last.expr as Expr, value });
      return;
    }
    this.add(target, { kind: BindingKind.Plain, start, end, name: last.name, value }, path);
  }

  /** The set that step `i` of a path leads to, created when it is new. */
  private descend(set: GrowingSet, path: readonly AttrName[], i: number, start: number, end: number): GrowingSet {
    const { name, expr } = path[i] as AttrName;
    if (name === undefined) {
      const created = growingSet(start, end, false);
      set.dynamics.push({ start, end, nameExpr: expr as Expr, value: created });
      return created;
    }
    const found = this.find(set, name);
    if (found !== undefined) {
      if (found.value.kind === Kind.AttrSet) return found.value as GrowingSet;
      const again: Binding = { kind: BindingKind.Plain, start, end, name, value: found.value };
      return this.onDuplicate(path.slice(0, i + 1), again, found);
    }
    const created = growingSet(start, end, false);
    this.push(set, { kind: BindingKind.Plain, start, end, name, value: created });
    return created;
  }

  /** Adds a binding; two literal sets of the same name become one. `path` is what a message calls it. */
  add(set: GrowingSet, binding: Binding, path: readonly AttrName[]): void {
    const found = this.find(set, binding.name);
    if (found === undefined) return this.push(set, binding);
    if (found.value.kind !== Kind.AttrSet || binding.value.kind !== Kind.AttrSet) {
      return this.onDuplicate(path, binding, found);
    }
    this.merge(found.value as GrowingSet, binding.value as GrowingSet, path);
  }

  private merge(into: GrowingSet, from: GrowingSet, path: readonly AttrName[]): void {
    const shift = into.sources.length;
    for (const binding of from.bindings) {
      const { start, end, name } = binding;
      const moved =
        shift > 0 && binding.kind === BindingKind.InheritedFrom ? withSourceShifted(binding, shift) : binding;
      this.add(into, moved, [...path, { start, end, name, expr: undefined }]);
    }
    into.dynamics.push(...from.dynamics);
    into.sources.push(...from.sources);
  }
}

function withSourceShifted(binding: Binding, shift: number): Binding {
  const select = binding.value as SelectExpr;
  const source = select.subject as InheritSourceExpr;
  return { ...binding, value: { ...select, subject: { ...source, index: source.index + shift } } };
}
