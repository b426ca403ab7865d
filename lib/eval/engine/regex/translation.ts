// Patterns as JavaScript regular expressions, for those where the two provably agree.
//
// V8 compiles its regular expressions to machine code, which no loop of ours can match. But JavaScript differs from
// libstdc++ in four ways, and a pattern is translated only where none of them can show:
//
// 1. JavaScript forgets the groups inside a loop at each turn; libstdc++ keeps them. So a group inside a loop must be
//    one that every turn sets.
// 2. JavaScript refuses a loop turn that consumes nothing; libstdc++ takes one. So no loop body may be nullable.
// 3. When searching, libstdc++ takes the longest over all alternatives. So when searching, at most one branch of an
//    alternation may be viable at any byte. Then the empty match is the last that either tries, after all longer ones.
// 4. Both backtrack, and some patterns take exponential time. So the number of ways in which a subject of n bytes can
//    be divided is bounded by `factor · n^exponent` below, and longer subjects go to the automaton, which is linear.
import { addSet, type ByteSet, emptySet, intersects, isEmptySet, isFullSet, rangesOf } from "./bracket.ts";
import { isNullable, type RegexNode, type RegexSyntax } from "./syntax.ts";

/** A JavaScript regular expression that stands for the pattern on subjects up to some length. */
export interface Translation {
  readonly script: RegExp;
  readonly maxLength: number;
}

/** Larger patterns are slow to compile for V8, which also has limits on size that it reports late. */
const STATES_LIMIT = 2_000;
/** Steps that we let V8 backtrack for one subject; about ten milliseconds. */
const BUDGET = 4_000_000;

/**
 * Translates the pattern for anchored matching (`match`) or for searching (`search`);
 * `undefined` where the answers could differ.
 */
export function translateRegex(syntax: RegexSyntax, purpose: "match" | "search"): Translation | undefined {
  if (syntax.states > STATES_LIMIT) return undefined;
  const judge = new Judge(purpose === "search");
  judge.visit(syntax.root, emptySet(), true, 1);
  if (!judge.agrees) return undefined;
  const maxLength = judge.maxLength();
  if (maxLength < 16) return undefined;
  const source = sourceOf(syntax.root);
  try {
    const script = purpose === "match" ? new RegExp(`^(?:${source})$`, "s") : new RegExp(source, "gs");
    return { script, maxLength };
  } catch {
    return undefined; // V8 has limits of its own on the number of groups and on nesting.
  }
}

const firsts = new WeakMap<RegexNode, ByteSet>();

/** The bytes that a match of the node can begin with. */
export function firstBytes(node: RegexNode): ByteSet {
  if (node.kind === "set") return node.set;
  const known = firsts.get(node);
  if (known) return known;
  const first = emptySet();
  if (node.kind === "group") addSet(first, firstBytes(node.body));
  if (node.kind === "repeat" && node.max > 0) addSet(first, firstBytes(node.body));
  if (node.kind === "alternation") for (const branch of node.branches) addSet(first, firstBytes(branch));
  if (node.kind === "concat") {
    for (const item of node.items) {
      addSet(first, firstBytes(item));
      if (!isNullable(item)) break;
    }
  }
  firsts.set(node, first);
  return first;
}

/** Walks a pattern with what may follow each node, counting the choices that one byte of lookahead does not settle. */
class Judge {
  agrees = true;
  /** Choices of one loop against what follows it: each multiplies the work by the subject's length. */
  #exponent = 0;
  /** Choices between alternatives: each multiplies the work by their number. */
  #factor = 1;
  #loops = 0;
  /** Whether a loop can run far and still lead to failure, so that a search tries it from every start. */
  #wasted = false;
  readonly #searching: boolean;

  constructor(searching: boolean) {
    this.#searching = searching;
  }

  maxLength(): number {
    let exponent = this.#exponent;
    if (this.#loops > this.#exponent && this.#exponent > 0) exponent++;
    exponent = Math.max(1, exponent);
    if (this.#searching && this.#wasted) exponent++;
    if (exponent === 1 && this.#factor <= 64) return Number.POSITIVE_INFINITY;
    return Math.floor((BUDGET / this.#factor) ** (1 / exponent));
  }

  /**
   * `follow`: bytes that may come after the node; `atEnd`: whether the whole pattern may be over after it;
   * `turns`: how often it can be entered in one match.
   */
  visit(node: RegexNode, follow: ByteSet, atEnd: boolean, turns: number): void {
    switch (node.kind) {
      case "group":
        return this.visit(node.body, follow, atEnd, turns);
      case "concat":
        return this.#visitConcat(node.items, follow, atEnd, turns);
      case "alternation":
        return this.#visitAlternation(node.branches, follow, atEnd, turns);
      case "repeat":
        return this.#visitRepeat(node, follow, atEnd, turns);
      default:
    }
  }

  #visitConcat(items: readonly RegexNode[], follow: ByteSet, atEnd: boolean, turns: number): void {
    let after = follow;
    let ends = atEnd;
    for (let i = items.length - 1; i >= 0; i--) {
      const item = items[i] as RegexNode;
      this.visit(item, after, ends, turns);
      const nullable = isNullable(item);
      const next = new Uint32Array(firstBytes(item));
      if (nullable) addSet(next, after);
      // What stands before `$` can fail there.
      ends = ends && nullable && !(this.#searching && item.kind === "end");
      after = next;
    }
  }

  #visitAlternation(branches: readonly RegexNode[], follow: ByteSet, atEnd: boolean, turns: number): void {
    const seen = emptySet();
    let clash = false;
    for (const branch of branches) {
      this.visit(branch, follow, atEnd, turns);
      const begins = new Uint32Array(firstBytes(branch));
      if (isNullable(branch)) {
        addSet(begins, follow);
        if (this.#searching) clash = true;
      }
      if (intersects(seen, begins)) clash = true;
      addSet(seen, begins);
    }
    if (!clash) return;
    if (this.#searching || turns === Number.POSITIVE_INFINITY) this.agrees = false;
    else this.#factor *= branches.length ** turns;
  }

  #visitRepeat(node: Extract<RegexNode, { kind: "repeat" }>, follow: ByteSet, atEnd: boolean, turns: number): void {
    const { body, min, max } = node;
    if (isNullable(body) || (max > 1 && !setsEveryGroup(body))) {
      this.agrees = false;
      return;
    }
    const after = new Uint32Array(follow);
    if (max > 1) addSet(after, firstBytes(body));
    const many = max === Number.POSITIVE_INFINITY || max > 8;
    // `.*` at the very end takes all there is and cannot fail.
    const fails = !(atEnd && isEmptySet(follow) && body.kind === "set" && isFullSet(body.set));
    if (many && fails) {
      this.#loops++;
      if (!atEnd) this.#wasted = true;
    }
    if (min !== max && intersects(firstBytes(body), follow)) {
      if (turns === Number.POSITIVE_INFINITY) this.agrees = false;
      else if (many) this.#exponent += turns;
      else this.#factor *= (max - min + 1) ** turns;
    }
    this.visit(body, after, atEnd, turns * Math.max(1, max));
  }
}

/** Whether every match of the node sets all groups in it. */
function setsEveryGroup(node: RegexNode): boolean {
  switch (node.kind) {
    case "group":
      return setsEveryGroup(node.body);
    case "concat":
      return node.items.every(setsEveryGroup);
    case "alternation":
      return node.branches.every((branch) => !hasGroup(branch));
    case "repeat":
      return node.min > 0 ? setsEveryGroup(node.body) : !hasGroup(node.body);
    default:
      return true;
  }
}

function hasGroup(node: RegexNode): boolean {
  switch (node.kind) {
    case "group":
      return true;
    case "concat":
      return node.items.some(hasGroup);
    case "alternation":
      return node.branches.some(hasGroup);
    case "repeat":
      return hasGroup(node.body);
    default:
      return false;
  }
}

function sourceOf(node: RegexNode): string {
  switch (node.kind) {
    case "empty":
      return "";
    case "begin":
      return "^";
    case "end":
      return "$";
    case "set":
      return setSource(node.set);
    case "group":
      return `(${sourceOf(node.body)})`;
    case "concat":
      return node.items.map(sourceOf).join("");
    case "alternation":
      return `(?:${node.branches.map(sourceOf).join("|")})`;
    default:
      return `(?:${sourceOf(node.body)})${quantifierSource(node.min, node.max)}`;
  }
}

function quantifierSource(min: number, max: number): string {
  if (max === Number.POSITIVE_INFINITY) return min === 0 ? "*" : min === 1 ? "+" : `{${min},}`;
  return min === 0 && max === 1 ? "?" : `{${min},${max}}`;
}

/** A class of escaped bytes, so that nothing of the pattern reaches JavaScript's own syntax. */
function setSource(set: ByteSet): string {
  const ranges = rangesOf(set);
  const only = ranges[0];
  if (ranges.length === 1 && only && only[0] === only[1]) return escapeByte(only[0]);
  return `[${ranges.map(rangeSource).join("")}]`;
}

function rangeSource([from, to]: readonly [number, number]): string {
  return from === to ? escapeByte(from) : `${escapeByte(from)}-${escapeByte(to)}`;
}

function escapeByte(byte: number): string {
  return `\\x${byte.toString(16).padStart(2, "0")}`;
}
