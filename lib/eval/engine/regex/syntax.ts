// Patterns to trees: the POSIX extended syntax exactly as far as libstdc++ accepts it, and its limit on size.
//
// Nix hands patterns to `std::regex(…, std::regex::extended)`, so what that class rejects is what Nix rejects.
// The scanner below looks one token ahead, as libstdc++'s does, because that decides which of two faults in one
// pattern is met first; and states are counted as libstdc++ would make them, because it refuses a pattern of more
// than 100 000 states with a message of its own.
import { EvalError } from "../../error.ts";
import {
  addByte,
  addSet,
  byteRange,
  type ByteSet,
  classNamed,
  collatingElement,
  complement,
  emptySet,
  equivalents,
  singleton,
} from "./bracket.ts";

/** A parsed pattern. Groups are numbered from 1 in order of their opening parentheses. */
export type RegexNode =
  | { readonly kind: "empty" }
  | { readonly kind: "set"; readonly set: ByteSet }
  | { readonly kind: "begin" }
  | { readonly kind: "end" }
  | { readonly kind: "group"; readonly index: number; readonly body: RegexNode }
  | { readonly kind: "concat"; readonly items: readonly RegexNode[] }
  | { readonly kind: "alternation"; readonly branches: readonly RegexNode[] }
  | { readonly kind: "repeat"; readonly body: RegexNode; readonly min: number; readonly max: number };

/** The tree of a pattern, how many groups it has, and how many states libstdc++ makes of it. */
export interface RegexSyntax {
  readonly root: RegexNode;
  readonly groups: number;
  readonly states: number;
}

/** libstdc++'s `_GLIBCXX_REGEX_STATE_LIMIT`. */
const STATE_LIMIT = 100_000;
/** Nesting of groups and quantifiers that we follow; a C++ stack gives up somewhere above. */
const DEPTH_LIMIT = 1_500;
const INT_MAX = 2 ** 31 - 1;
/** Characters with a meaning outside of brackets; only these may follow a backslash. */
const SPECIAL = ".[\\()*+?{|^$";
const ANY_BUT_NUL = complement(singleton(0));

type TokenKind =
  | "char"
  | "any"
  | "begin"
  | "end"
  | "*"
  | "+"
  | "?"
  | "|"
  | "("
  | ")"
  | "["
  | "[^"
  | "{"
  | "count"
  | ","
  | "}"
  | "]"
  | "-"
  | "collating"
  | "class"
  | "equivalence"
  | "eof";

const PLAIN_TOKENS: ReadonlyMap<string, TokenKind> = new Map<string, TokenKind>([
  ["^", "begin"],
  ["$", "end"],
  [".", "any"],
  ["*", "*"],
  ["+", "+"],
  ["?", "?"],
  ["|", "|"],
  ["(", "("],
  [")", ")"],
]);

class Scanner {
  readonly pattern: string;
  kind: TokenKind = "eof";
  /** The character, digits or name of the current token. */
  text = "";
  at = 0;
  #mode: "normal" | "bracket" | "brace" = "normal";
  #bracketStart = false;

  constructor(pattern: string) {
    this.pattern = pattern;
    this.advance();
  }

  /** If the current token is of this kind, steps over it and returns its text. */
  take(kind: TokenKind): string | undefined {
    if (this.kind !== kind) return undefined;
    const text = this.text;
    this.advance();
    return text;
  }

  fail(reason: string): never {
    throw new EvalError("ERR_EVAL_REGEX", `invalid regular expression '${this.pattern}'`, {
      notes: [`${reason} (at byte ${this.at})`],
    });
  }

  advance(): void {
    if (this.at >= this.pattern.length) this.#set("eof", "");
    else if (this.#mode === "normal") this.#scanNormal();
    else if (this.#mode === "bracket") this.#scanBracket();
    else this.#scanBrace();
  }

  #set(kind: TokenKind, text: string): void {
    this.kind = kind;
    this.text = text;
  }

  #scanNormal(): void {
    const char = this.pattern[this.at++] as string;
    if (char === "\0") this.fail("a NUL cannot be part of a pattern");
    if (char === "\\") {
      const escaped = this.pattern[this.at];
      if (escaped === undefined) this.fail("a backslash at the end escapes nothing");
      if (!SPECIAL.includes(escaped)) this.fail(`'\\${escaped}' means nothing here; only ${SPECIAL} can be escaped`);
      this.at++;
      this.#set("char", escaped);
    } else if (char === "[") {
      this.#mode = "bracket";
      this.#bracketStart = true;
      const negated = this.pattern[this.at] === "^";
      if (negated) this.at++;
      this.#set(negated ? "[^" : "[", char);
    } else if (char === "{") {
      this.#mode = "brace";
      this.#set("{", char);
    } else {
      this.#set(PLAIN_TOKENS.get(char) ?? "char", char);
    }
  }

  #scanBracket(): void {
    const char = this.pattern[this.at++] as string;
    const first = this.#bracketStart;
    this.#bracketStart = false;
    if (char === "-") {
      this.#set("-", char);
    } else if (char === "[") {
      const next = this.pattern[this.at];
      if (next === undefined) this.fail("unfinished bracket expression");
      if (next === ".") this.#scanNamed("collating", next);
      else if (next === ":") this.#scanNamed("class", next);
      else if (next === "=") this.#scanNamed("equivalence", next);
      else this.#set("char", char);
    } else if (char === "]" && !first) {
      this.#mode = "normal";
      this.#set("]", char);
    } else {
      this.#set("char", char);
    }
  }

  /** `[:name:]` and its like, the mark being the next character. */
  #scanNamed(kind: TokenKind, mark: string): void {
    const start = ++this.at;
    const end = this.pattern.indexOf(mark, start);
    if (end === -1 || this.pattern[end + 1] !== "]") this.fail(`'[${mark}' is not closed by '${mark}]'`);
    this.at = end + 2;
    this.#set(kind, this.pattern.slice(start, end));
  }

  #scanBrace(): void {
    const start = this.at++;
    const char = this.pattern[start] as string;
    if (char >= "0" && char <= "9") {
      while (/^[0-9]$/.test(this.pattern.charAt(this.at))) this.at++;
      this.#set("count", this.pattern.slice(start, this.at));
    } else if (char === ",") {
      this.#set(",", char);
    } else if (char === "}") {
      this.#mode = "normal";
      this.#set("}", char);
    } else {
      this.fail(`'${char}' cannot be part of a repeat count`);
    }
  }
}

/** A node while it is built, with the number of libstdc++ states that a copy of it would add. */
interface Built {
  readonly node: RegexNode;
  readonly states: number;
  readonly depth: number;
}

/** One open parenthesis, or the whole pattern. */
interface Level {
  readonly group: number;
  readonly branches: Built[];
  items: Built[];
}

/**
 * Parses a POSIX extended regular expression given as one char per byte.
 * Throws `ERR_EVAL_REGEX`, with one message for what is not a pattern and another past libstdc++'s limit on states.
 */
export function parseRegex(pattern: string): RegexSyntax {
  return new Parser(pattern).parse();
}

class Parser {
  readonly #scan: Scanner;
  #states = 0;
  #groups = 0;

  constructor(pattern: string) {
    this.#scan = new Scanner(pattern);
  }

  parse(): RegexSyntax {
    const scan = this.#scan;
    const levels: Level[] = [];
    let level: Level = { group: 0, branches: [], items: [] };
    this.#count(1);
    for (;;) {
      const atom = this.#atom();
      if (atom) {
        level.items.push(atom);
      } else if (scan.take("(") !== undefined) {
        this.#count(1);
        levels.push(level);
        if (levels.length > DEPTH_LIMIT) this.#tooLarge("its groups are nested too deeply");
        level = { group: ++this.#groups, branches: [], items: [] };
      } else {
        this.#endBranch(level);
        if (scan.take("|") !== undefined) continue;
        const outer = levels.pop();
        if (outer === undefined) break;
        if (scan.take(")") === undefined) scan.fail("a parenthesis is not closed");
        this.#count(1);
        outer.items.push(this.#quantified(groupOf(level)));
        level = outer;
      }
    }
    if (scan.kind !== "eof") {
      scan.fail(scan.kind === ")" ? "a parenthesis is not opened" : `nothing that '${scan.text}' could repeat`);
    }
    this.#count(2);
    return { root: alternationOf(level.branches).node, groups: this.#groups, states: this.#states };
  }

  /** Closes the branch that has been read: libstdc++ ends each with a state of its own, and joins two with two. */
  #endBranch(level: Level): void {
    const items = level.items;
    level.items = [];
    this.#count(1);
    if (level.branches.length > 0) this.#count(2);
    level.branches.push({
      node: concatOf(items.map((item) => item.node)),
      states: items.reduce((sum, item) => sum + item.states, 1),
      depth: items.reduce((depth, item) => Math.max(depth, item.depth), 0),
    });
  }

  #atom(): Built | undefined {
    const scan = this.#scan;
    if (scan.take("begin") !== undefined) return this.#leaf({ kind: "begin" });
    if (scan.take("end") !== undefined) return this.#leaf({ kind: "end" });
    if (scan.take("any") !== undefined) return this.#quantified(this.#leaf({ kind: "set", set: ANY_BUT_NUL }));
    const char = scan.take("char");
    if (char !== undefined) return this.#quantified(this.#leaf({ kind: "set", set: singleton(char.charCodeAt(0)) }));
    if (scan.kind !== "[" && scan.kind !== "[^") return undefined;
    const negated = scan.kind === "[^";
    scan.advance();
    const listed = parseBracket(scan);
    return this.#quantified(this.#leaf({ kind: "set", set: negated ? complement(listed) : listed }));
  }

  #leaf(node: RegexNode): Built {
    this.#count(1);
    return { node, states: 1, depth: 0 };
  }

  /** Reads the quantifiers, any number of them, after an atom. */
  #quantified(atom: Built): Built {
    const scan = this.#scan;
    let built = atom;
    for (;;) {
      if (scan.take("*") !== undefined) built = this.#repeat(built, 0, Number.POSITIVE_INFINITY, 1);
      else if (scan.take("+") !== undefined) built = this.#repeat(built, 1, Number.POSITIVE_INFINITY, 1);
      else if (scan.take("?") !== undefined) built = this.#repeat(built, 0, 1, 2);
      else if (scan.take("{") !== undefined) built = this.#interval(built);
      else return built;
      if (built.depth > DEPTH_LIMIT) this.#tooLarge("its quantifiers are nested too deeply");
    }
  }

  #repeat(body: Built, min: number, max: number, added: number): Built {
    this.#count(added);
    return repeated(body, min, max, body.states + added);
  }

  #interval(body: Built): Built {
    const scan = this.#scan;
    const min = this.#number() ?? scan.fail("a repeat count must begin with a number");
    let max = min;
    if (scan.take(",") !== undefined) max = this.#number() ?? Number.POSITIVE_INFINITY;
    if (scan.take("}") === undefined) scan.fail("a repeat count is not closed");
    let states = 1 + min * body.states;
    this.#count(states);
    if (max === Number.POSITIVE_INFINITY) states += this.#count(body.states + 1);
    else if (max < min) scan.fail(`a repeat count from ${min} to ${max}`);
    else states += this.#count(1 + (max - min) * (body.states + 1));
    return repeated(body, min, max, states);
  }

  #number(): number | undefined {
    const digits = this.#scan.take("count");
    if (digits === undefined) return undefined;
    const value = Number(digits);
    if (value > INT_MAX) this.#scan.fail(`repeat count ${digits} does not fit 32 bits`);
    return value;
  }

  #count(states: number): number {
    this.#states += states;
    if (this.#states > STATE_LIMIT) this.#tooLarge(`it needs more than ${STATE_LIMIT} states`);
    return states;
  }

  #tooLarge(reason: string): never {
    throw regexLimit(this.#scan.pattern, reason);
  }
}

/** The error of a pattern that is too large, or too large for its subject. */
export function regexLimit(pattern: string, reason: string): EvalError {
  return new EvalError("ERR_EVAL_REGEX", `memory limit exceeded by regular expression '${pattern}'`, {
    notes: [reason],
  });
}

function concatOf(items: readonly RegexNode[]): RegexNode {
  if (items.length === 0) return { kind: "empty" };
  return items.length === 1 ? (items[0] as RegexNode) : { kind: "concat", items };
}

function alternationOf(branches: readonly Built[]): Built {
  const only = branches[0] as Built;
  if (branches.length === 1) return only;
  return {
    node: { kind: "alternation", branches: branches.map((branch) => branch.node) },
    states: branches.reduce((sum, branch) => sum + branch.states, 2 * (branches.length - 1)),
    depth: branches.reduce((depth, branch) => Math.max(depth, branch.depth), 0),
  };
}

function groupOf(level: Level): Built {
  const body = alternationOf(level.branches);
  return {
    node: { kind: "group", index: level.group, body: body.node },
    states: body.states + 2,
    depth: body.depth + 1,
  };
}

function repeated(body: Built, min: number, max: number, states: number): Built {
  const node = repeatOf(body.node, min, max);
  const deeper = node.kind === "repeat" && node.body === body.node;
  return { node, states, depth: body.depth + (deeper ? 1 : 0) };
}

/** A repeat; `x**`, `x+?` and their like become one where that cannot show. */
function repeatOf(body: RegexNode, min: number, max: number): RegexNode {
  if (min === 1 && max === 1) return body;
  const plain = min <= 1 && (max === 1 || max === Number.POSITIVE_INFINITY);
  if (plain && body.kind === "repeat" && body.min <= 1 && (body.max === 1 || body.max === Number.POSITIVE_INFINITY)) {
    if (!isNullable(body.body)) return { kind: "repeat", body: body.body, min: min * body.min, max: max * body.max };
  }
  return { kind: "repeat", body, min, max };
}

const nullables = new WeakMap<RegexNode, boolean>();

/** Whether the node can match without consuming a byte. */
export function isNullable(node: RegexNode): boolean {
  switch (node.kind) {
    case "set":
      return false;
    case "empty":
    case "begin":
    case "end":
      return true;
    default: {
      let answer = nullables.get(node);
      if (answer === undefined) {
        answer = inspectNullable(node);
        nullables.set(node, answer);
      }
      return answer;
    }
  }
}

function inspectNullable(node: Extract<RegexNode, { kind: "group" | "concat" | "alternation" | "repeat" }>): boolean {
  switch (node.kind) {
    case "group":
      return isNullable(node.body);
    case "concat":
      return node.items.every(isNullable);
    case "alternation":
      return node.branches.some(isNullable);
    default:
      return node.min === 0 || isNullable(node.body);
  }
}

/** What came last inside brackets: it may be the start of a range, or stand in the way of one. */
type Last = number | "class" | undefined;

/** Reads a bracket expression whose opening has been taken, to behind its closing bracket. */
function parseBracket(scan: Scanner): ByteSet {
  const set = emptySet();
  let last: Last;
  const char = scan.take("char") ?? scan.take("-");
  if (char !== undefined) last = char.charCodeAt(0);
  const settle = (next: Last): void => {
    if (typeof last === "number") addByte(set, last);
    last = next;
  };
  while (scan.take("]") === undefined) {
    const dash = scan.take("-");
    if (dash === undefined) {
      settle(bracketItem(scan, set));
    } else if (scan.take("]") !== undefined) {
      settle(0x2d);
      break;
    } else if (typeof last === "number") {
      const to = scan.take("char") ?? scan.take("-");
      if (to === undefined) scan.fail("the end of a range must be a single character");
      const range = byteRange(last, to.charCodeAt(0));
      if (range === undefined) scan.fail(`the range '${String.fromCharCode(last)}-${to}' is empty`);
      addSet(set, range);
      last = undefined;
    } else {
      scan.fail("a '-' inside brackets must be first, last, or between two characters");
    }
  }
  settle(undefined);
  return set;
}

/** One class, name or character inside brackets; a character is returned rather than added. */
function bracketItem(scan: Scanner, set: ByteSet): Last {
  const char = scan.take("char");
  if (char !== undefined) return char.charCodeAt(0);
  const kind = scan.kind;
  const name = scan.text;
  if (kind === "eof") scan.fail("unfinished bracket expression");
  scan.advance();
  if (kind === "class") {
    const named = classNamed(name);
    if (named === undefined) scan.fail(`there is no character class '[:${name}:]'`);
    addSet(set, named);
    return "class";
  }
  const element = collatingElement(name);
  if (element === undefined) scan.fail(`there is no character named '${name}'`);
  if (kind === "collating") return element;
  addSet(set, equivalents(element));
  return "class";
}
