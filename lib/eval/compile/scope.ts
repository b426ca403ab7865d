// Scopes: which variable a name means where it stands.
//
// Scopes are a chain from the innermost outwards. Names bound by let, rec and lambdas always win over `with`, and so
// do the global names at the end of the chain; only a name that nothing binds is looked up in the `with`s around it.

import type { Place } from "../ir/program.ts";
import type { Fn } from "../ir/program.ts";

/** A function being compiled. */
export interface OpenFn {
  readonly fn: Fn;
  readonly outer: OpenFn | null;
  readonly depth: number;
}

/** A variable. */
export interface Variable {
  readonly owner: OpenFn;
  readonly slot: number;
  /** False while the code that stores it has not run: reading it in the same function needs a thunk. */
  ready: boolean;
  /** The function it is bound to, when that is known to be a lambda of this program. */
  lambda: Fn | null;
  used: boolean;
}

/** Names bound together, or the set of a `with`. */
export interface Scope {
  readonly outer: Scope | null;
  readonly names: ReadonlyMap<string, Variable> | null;
  /** The variable that holds the set of a `with`. */
  readonly withSet: Variable | null;
  /** The variables of `inherit (…)` sources of the set that opened the scope. */
  readonly sources: readonly Variable[] | null;
}

/** What a name means. */
export type Meaning =
  | { readonly kind: "variable"; readonly variable: Variable }
  | { readonly kind: "with"; readonly sets: readonly Variable[] }
  | { readonly kind: "free" };

/** Looks a name up in the scopes; `free` is left to the globals. */
export function resolve(scope: Scope | null, name: string): Meaning {
  let sets: Variable[] | null = null;
  for (let at = scope; at !== null; at = at.outer) {
    if (at.names !== null) {
      const variable = at.names.get(name);
      if (variable !== undefined) return { kind: "variable", variable };
    } else if (at.withSet !== null) {
      sets ??= [];
      sets.push(at.withSet);
    }
  }
  return sets === null ? { kind: "free" } : { kind: "with", sets };
}

/** Whether a name that nothing binds would be looked up in the set of a `with`. */
export function isInsideWith(scope: Scope | null): boolean {
  for (let at = scope; at !== null; at = at.outer) if (at.withSet !== null) return true;
  return false;
}

/** Makes a variable of `owner`. */
export function addVariable(owner: OpenFn, name: string, ready: boolean): Variable {
  const slot = owner.fn.captured.length;
  owner.fn.captured.push(false);
  owner.fn.names.push(name);
  return { owner, slot, ready, lambda: null, used: false };
}

/** The place of a variable as seen from `from`; marks it captured when that is another function. */
export function placeOf(variable: Variable, from: OpenFn): Place {
  variable.used = true;
  const up = from.depth - variable.owner.depth;
  if (up > 0) variable.owner.fn.captured[variable.slot] = true;
  return { up, slot: variable.slot };
}

/** The sources of the nearest set that has some. */
export function sourcesOf(scope: Scope | null): readonly Variable[] {
  for (let at = scope; at !== null; at = at.outer) if (at.sources !== null) return at.sources;
  return [];
}

/** All names that are bound where `scope` ends, innermost first, then the globals without their underscored twins. */
export function visibleNames(scope: Scope | null, globals: Iterable<string>): string[] {
  const names: string[] = [];
  for (let at = scope; at !== null; at = at.outer) if (at.names !== null) names.push(...at.names.keys());
  for (const name of globals) if (!name.startsWith("__")) names.push(name);
  return names;
}
