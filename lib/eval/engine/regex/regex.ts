// `match` and `split` on byte strings: which engine serves a pattern, and a cache of compiled patterns.
//
// A pattern that JavaScript reads the same way runs as a JavaScript regular expression (translation.ts); all others,
// and long subjects of those that could backtrack for long, run on the automaton (automaton.ts).
import { type Automaton, buildAutomaton, Run } from "./automaton.ts";
import { parseRegex, type RegexSyntax } from "./syntax.ts";
import { type Translation, translateRegex } from "./translation.ts";

/** The groups of a match, `null` where a group took no part. */
export type RegexGroups = (string | null)[];

/** A compiled POSIX extended regular expression. Patterns and subjects are one char (0…255) per byte. */
export class Regex {
  readonly pattern: string;
  /** The number of groups. */
  readonly groups: number;
  readonly #syntax: RegexSyntax;
  #automaton: Automaton | undefined;
  /** `null` where there is no translation. */
  #matcher: Translation | null | undefined;
  #searcher: Translation | null | undefined;

  /** `translate: false` keeps every subject on the automaton. */
  constructor(pattern: string, options: { readonly translate?: boolean } = {}) {
    this.pattern = pattern;
    this.#syntax = parseRegex(pattern);
    this.groups = this.#syntax.groups;
    if (options.translate === false) this.#matcher = this.#searcher = null;
  }

  /** The groups if the pattern matches the whole subject, else `undefined`. */
  match(subject: string): RegexGroups | undefined {
    if (this.#matcher === undefined) this.#matcher = translateRegex(this.#syntax, "match") ?? null;
    const translation = this.#matcher;
    if (translation && subject.length <= translation.maxLength) {
      const found = execute(translation.script, subject);
      if (found !== "overflow") return found === null ? undefined : groupsOf(found);
    }
    const slots = new Run(this.#compiled(), subject, true).matchAt(0, true);
    return slots && this.#groupsAt(subject, slots);
  }

  /**
   * The subject cut at each match: texts and groups in turn, beginning and ending with a text.
   * The list of a subject without a match is that subject alone.
   */
  split(subject: string): (string | RegexGroups)[] {
    if (this.#searcher === undefined) this.#searcher = translateRegex(this.#syntax, "search") ?? null;
    const translation = this.#searcher;
    const quick = translation && subject.length <= translation.maxLength && splitByScript(translation.script, subject);
    return quick || this.#splitByAutomaton(subject);
  }

  #splitByAutomaton(subject: string): (string | RegexGroups)[] {
    const run = new Run(this.#compiled(), subject, false);
    const parts: (string | RegexGroups)[] = [];
    let last = 0;
    let slots = run.search(0);
    while (slots) {
      const start = slots[0] as number;
      const end = slots[1] as number;
      parts.push(subject.slice(last, start), this.#groupsAt(subject, slots));
      last = end;
      if (start < end) slots = run.search(end);
      else if (end === subject.length) break;
      else slots = run.matchAt(end, false) ?? run.search(end + 1);
    }
    parts.push(subject.slice(last));
    return parts;
  }

  #groupsAt(subject: string, slots: Int32Array): RegexGroups {
    const groups: RegexGroups = [];
    for (let i = 2; i < slots.length; i += 2) {
      groups.push(slots[i + 1] === -1 ? null : subject.slice(slots[i], slots[i + 1]));
    }
    return groups;
  }

  #compiled(): Automaton {
    return (this.#automaton ??= buildAutomaton(this.pattern, this.#syntax));
  }
}

/** V8 keeps what it may have to come back to on a stack of its own, and gives up when that is full. */
function execute(script: RegExp, subject: string): RegExpExecArray | null | "overflow" {
  try {
    return script.exec(subject);
  } catch (error) {
    if (error instanceof RangeError) return "overflow";
    throw error;
  }
}

function splitByScript(script: RegExp, subject: string): (string | RegexGroups)[] | undefined {
  const parts: (string | RegexGroups)[] = [];
  let last = 0;
  script.lastIndex = 0;
  for (;;) {
    const found = execute(script, subject);
    if (found === "overflow") return undefined;
    if (found === null) break;
    parts.push(subject.slice(last, found.index), groupsOf(found));
    last = script.lastIndex;
    if (found.index < last) continue;
    // An empty match means that no other begins there.
    if (last === subject.length) break;
    script.lastIndex = last + 1;
  }
  parts.push(subject.slice(last));
  return parts;
}

function groupsOf(found: RegExpExecArray): RegexGroups {
  const groups: RegexGroups = [];
  for (let i = 1; i < found.length; i++) groups.push(found[i] ?? null);
  return groups;
}

const CACHE_LIMIT = 1024;
const cache = new Map<string, Regex>();

/**
 * Compiles a pattern, or returns the compiled one if it was used recently.
 * Throws `ERR_EVAL_REGEX` for what is not a pattern or is too large.
 */
export function compileRegex(pattern: string): Regex {
  let regex = cache.get(pattern);
  if (regex) {
    if (cache.size > CACHE_LIMIT / 2) {
      cache.delete(pattern);
      cache.set(pattern, regex);
    }
    return regex;
  }
  regex = new Regex(pattern);
  cache.set(pattern, regex);
  if (cache.size > CACHE_LIMIT) cache.delete(cache.keys().next().value as string);
  return regex;
}
