// Why two derivations differ, down to the first inputs whose difference is their own.
//
// Two derivations differ in fields of their own, or in inputs. Inputs are matched by name (and, where several have one
// name, in order), and a pair with different paths is followed down. Differences that only echo others are left out:
// paths of outputs follow from the rest, and a variable that names a store path differs where the input behind that
// path does. Pairs are met once, however many ways lead to them.

import type { Derivation } from "./model.ts";

/** A field with different values; `undefined` where one side has none. */
export interface FieldDifference {
  /** `system`, `builder`, `args`, `outputs.out.hash`, `env.NAME`, `structuredAttrs.NAME` (as JSON), … */
  readonly field: string;
  readonly before: string | undefined;
  readonly after: string | undefined;
}

/** What differs between two derivations, inputs aside. */
export interface DerivationDifference {
  /** Names of the inputs that lead here from the roots; empty for the roots. */
  readonly via: readonly string[];
  readonly before: string;
  readonly after: string;
  /** Differences of its own; empty when only its inputs differ. */
  readonly fields: readonly FieldDifference[];
  /** Inputs (derivations and sources) that only one side has. */
  readonly removed: readonly string[];
  readonly added: readonly string[];
  /** Input derivations of one name with different paths, which are looked into in turn. */
  readonly changed: readonly { readonly before: string; readonly after: string }[];
}

const BLANK = `/${" ".repeat(32)}-`;

/** Reads a derivation by its path. */
export type ReadDerivation = (path: string) => Promise<Derivation>;

interface Pair {
  readonly via: readonly string[];
  readonly before: string;
  readonly after: string;
}

/**
 * The differences between two derivations, breadth first: those of the roots, then those of the inputs that differ.
 * Pairs that differ in nothing but their inputs are reported too: they tell the way.
 */
export async function* diffDerivations(
  before: string,
  after: string,
  read: ReadDerivation,
): AsyncGenerator<DerivationDifference, void, void> {
  if (before === after) return;
  const queue: Pair[] = [{ via: [], before, after }];
  const seen = new Set<string>();
  for (let pair = queue.shift(); pair !== undefined; pair = queue.shift()) {
    const key = `${pair.before} ${pair.after}`;
    if (seen.has(key)) continue;
    seen.add(key);
    const difference = compare(pair, await read(pair.before), await read(pair.after));
    yield difference;
    for (const { before: left, after: right } of difference.changed) {
      queue.push({ via: [...pair.via, nameOf(left)], before: left, after: right });
    }
  }
}

function compare(pair: Pair, left: Derivation, right: Derivation): DerivationDifference {
  const inputs = matchInputs([...left.inputDrvs.keys()], [...right.inputDrvs.keys()]);
  const sources = matchInputs(left.inputSrcs, right.inputSrcs);
  const fields: FieldDifference[] = [];
  const note = (field: string, a: string | undefined, b: string | undefined): void => {
    if (a !== b) fields.push({ field, before: a, after: b });
  };
  note("name", left.name, right.name);
  note("system", left.system, right.system);
  note("builder", withoutHashes(left.builder), withoutHashes(right.builder));
  note("args", withoutHashes(left.args.join("\n")), withoutHashes(right.args.join("\n")));
  for (const name of union(left.outputs, right.outputs)) {
    const [a, b] = [left.outputs.get(name), right.outputs.get(name)];
    if (a === undefined || b === undefined) note(`outputs.${name}`, a?.path, b?.path);
    else {
      note(`outputs.${name}.hashAlgo`, a.hashAlgo, b.hashAlgo);
      note(`outputs.${name}.hash`, a.hash, b.hash);
    }
  }
  const [variables, otherVariables] = [variablesOf(left), variablesOf(right)];
  for (const field of union(variables, otherVariables)) {
    const [a, b] = [variables.get(field), otherVariables.get(field)];
    // Only hashes differ: an output path of its own, or an input that is told of below.
    if (a !== undefined && b !== undefined && withoutHashes(a) === withoutHashes(b)) continue;
    note(field, a, b);
  }
  for (const [path, { outputs }] of left.inputDrvs) {
    const other = right.inputDrvs.get(inputs.changed.find((changed) => changed.before === path)?.after ?? path);
    if (other !== undefined) note(`inputs.${nameOf(path)}`, sorted(outputs), sorted(other.outputs));
  }
  return {
    ...pair,
    fields,
    removed: [...inputs.removed, ...sources.removed, ...sources.changed.map(({ before }) => before)],
    added: [...inputs.added, ...sources.added, ...sources.changed.map(({ after }) => after)],
    changed: inputs.changed,
  };
}

/** Environment variables by field, structured attributes taken apart. */
function variablesOf({ env }: Derivation): Map<string, string> {
  const variables = new Map<string, string>();
  for (const [name, value] of env) {
    const structured = name === "__json" ? structuredAttributes(value) : undefined;
    if (structured === undefined) variables.set(`env.${name}`, value);
    else for (const [key, item] of structured) variables.set(`structuredAttrs.${key}`, JSON.stringify(item));
  }
  return variables;
}

function structuredAttributes(json: string): [string, unknown][] | undefined {
  try {
    return Object.entries(JSON.parse(json) as object);
  } catch {
    return undefined;
  }
}

function sorted(outputs: readonly string[]): string {
  return outputs.toSorted().join(" ");
}

function union(a: ReadonlyMap<string, unknown>, b: ReadonlyMap<string, unknown>): string[] {
  return [...new Set([...a.keys(), ...b.keys()])].sort();
}

interface Matched {
  readonly removed: string[];
  readonly added: string[];
  readonly changed: { readonly before: string; readonly after: string }[];
}

/** Takes away what both sides have, then pairs the rest by name. */
function matchInputs(left: readonly string[], right: readonly string[]): Matched {
  const [inLeft, inRight] = [new Set(left), new Set(right)];
  const rest = new Map<string, string[]>();
  for (const path of right.filter((path) => !inLeft.has(path)).sort()) {
    const name = nameOf(path);
    const same = rest.get(name);
    if (same === undefined) rest.set(name, [path]);
    else same.push(path);
  }
  const matched: Matched = { removed: [], added: [], changed: [] };
  for (const path of left.filter((path) => !inRight.has(path)).sort()) {
    const other = rest.get(nameOf(path))?.shift();
    if (other === undefined) matched.removed.push(path);
    else matched.changed.push({ before: path, after: other });
  }
  matched.added.push(...[...rest.values()].flat());
  return matched;
}

/** The name of a store path: what follows its hash. */
function nameOf(path: string): string {
  const base = path.slice(path.lastIndexOf("/") + 1);
  return base.slice(base.indexOf("-") + 1);
}

/** A text of the same length in which the hash parts of store paths are blank. */
export function withoutHashes(text: string): string {
  return text.replace(/\/[0-9abcdfghijklmnpqrsvwxyz]{32}-/g, BLANK);
}
