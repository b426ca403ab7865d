// Random patterns and subjects, the oracle's answers to them, and our own in the same form.
import { TvixError } from "../../../lib/base/error.ts";
import { Regex } from "../../../lib/eval/engine/regex/regex.ts";
import { askOracle, nixString, type Printed } from "./oracle.ts";

/** Pattern, subject, and the results of `match` and `split`; or a pattern and how it is refused. */
export type RegexCase = [string, string, Printed, Printed] | [string, "invalid" | "limit"];

/** A small generator of numbers (mulberry32), so that a seed names a run. */
export function random(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return Math.floor((((t ^ (t >>> 14)) >>> 0) / 2 ** 32) * below);
  };
}

const BRACKETS = [
  ..."[ab] [^a] [a-c] [[:alpha:]] [[:digit:]x] [^[:space:]] []a] [a-] [-b] [[=a=]] [[.a.]] [b\\] [--0] [[.b.]-c]".split(
    " ",
  ),
  ..."[a-c-] [^]] [[:ALPHA:]] [[:w:]-] [[:upper:][:lower:]] [\\n] [[] [.*]".split(" "),
];
const FAULTS = [
  ..."[ [a [] [^] [[:foo:]] [b-a] [[:alpha:]-z] [a-c-e] [[.-.]] [[.ab.]] [[=ab=]] [a-[.c.]] [[:alpha] [[ [a--] [---a]".split(
    " ",
  ),
  ..."\\d \\n \\] \\} \\/ \\- \\a \\1 * +a ?a {2} a{ a{2 a{,2} a{2,1} a{x} a{2x} (*a) a|* ^* $+ ( ) (a a) (?:a) (?=a) \\ {".split(
    " ",
  ),
];
const QUANTIFIERS = "* + ? {0} {1} {2} {0,1} {1,2} {2,} {0,} {1,} {0,2} {2,3} ** +? ?? *? ++".split(" ");

/** A pattern over few letters, so that subjects often match; `depth` bounds its nesting. */
export function randomPattern(below: (n: number) => number, depth: number): string {
  const branches = 1 + Math.max(0, below(5) - 2);
  const out: string[] = [];
  for (let i = 0; i < branches; i++) {
    let branch = "";
    for (let items = below(4); items > 0; items--) branch += randomItem(below, depth);
    out.push(branch);
  }
  return out.join("|");
}

function randomItem(below: (n: number) => number, depth: number): string {
  const kind = below(20);
  if (kind === 0) return below(2) === 0 ? "^" : "$";
  let atom = "ab"[below(2)] as string;
  if (kind >= 3 && kind < 9 && depth > 0) atom = `(${randomPattern(below, depth - 1)})`;
  else if (kind === 1) atom = ".";
  else if (kind === 2) atom = BRACKETS[below(BRACKETS.length)] as string;
  else if (kind === 9) atom = ["\\.", "\\(", "c", "-", "]", "}", ",", "\u00e9"][below(8)] as string;
  return below(5) < 2 ? atom + (QUANTIFIERS[below(QUANTIFIERS.length)] as string) : atom;
}

/** A short string of the letters that the patterns use. */
export function randomSubject(below: (n: number) => number): string {
  let out = "";
  const letters = below(4) === 0 ? "abc.-(]\n A0\u00e9" : "ab";
  for (let length = below(9); length > 0; length--) out += letters[below(letters.length)] as string;
  return out;
}

/** `count` cases, one in `faults` (if not 0) with a fault put in. */
export function randomCases(seed: number, count: number, faults = 10): [string, string][] {
  const below = random(seed);
  return Array.from({ length: count }, () => {
    let pattern = randomPattern(below, 3);
    if (faults > 0 && below(faults) === 0) {
      const at = below(pattern.length + 1);
      pattern = pattern.slice(0, at) + (FAULTS[below(FAULTS.length)] as string) + pattern.slice(at);
    }
    return [pattern, randomSubject(below)];
  });
}

/** Our answer to a case; `automaton` keeps V8's regular expressions out of it. */
export function ourAnswer(pattern: string, subject: string, automaton = false): RegexCase {
  try {
    const regex = new Regex(pattern, { translate: !automaton });
    return [pattern, subject, regex.match(subject) ?? null, regex.split(subject)];
  } catch (error) {
    if (error instanceof TvixError) return [pattern, error.message.startsWith("invalid") ? "invalid" : "limit"];
    throw error;
  }
}

/** The oracle's answers: all cases at once, leaving out those whose patterns it turns out to refuse. */
export function oracleAnswers(cases: readonly [string, string][]): RegexCase[] {
  const answers: RegexCase[] = [];
  let rest = [...cases];
  while (rest.length > 0) {
    const list = rest.map(([pattern, subject]) => `(f ${nixString(pattern)} ${nixString(subject)})`).join("\n");
    const answer = askOracle(`let f = p: s: [ (builtins.match p s) (builtins.split p s) ]; in [\n${list}\n]`);
    if ("value" in answer) {
      (answer.value as [Printed, Printed][]).forEach(([match, split], i) => {
        const [pattern, subject] = rest[i] as [string, string];
        answers.push([pattern, subject, match, split]);
      });
      break;
    }
    if (answer.error.startsWith("the oracle did not finish")) return answers; // libstdc++ can take exponential time
    const [, what, refused] =
      /(invalid|memory limit exceeded by) regular expression '([^]*?)'(?:,? at |\n|$)/.exec(answer.error) ?? [];
    if (refused === undefined) throw new Error(`unexpected answer of the oracle: ${answer.error}`);
    const before = rest.length;
    rest = rest.filter(([pattern]) => pattern !== refused);
    if (rest.length === before) throw new Error(`the oracle refuses a pattern not asked for: ${refused}`);
    answers.push([refused, what === "invalid" ? "invalid" : "limit"]);
  }
  return answers;
}

/** Hand-made cases: every class, name and range end, limits, and everything a pattern can be refused for. */
export function chosenCases(): [string, string][] {
  const all = Array.from({ length: 255 }, (_, i) => String.fromCharCode(i + 1)).join("");
  const classes = "alnum alpha blank cntrl digit graph lower print punct space upper xdigit d w s".split(" ");
  const sets = [
    ".",
    ...classes.map((name) => `[[:${name}:]]`),
    ..."[\x80-a] [a-\x80] [\xf0-\xff] [\xff-\x01] [[=z=]] [[=zero=]] [^\x80-\xff]"
      .split(" ")
      .map((text) => text.replace(/\\x(..)/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)))),
    ..."NUL alert tab newline vertical-tab DC4 IS1 space hyphen period slash zero nine colon A Z a z DEL tilde"
      .split(" ")
      .map((name) => `[[.${name}.]]`),
    ..."grave-accent circumflex underscore backslash left-square-bracket right-square-bracket low-line 0 _"
      .split(" ")
      .map((name) => `[[.${name}.]]`),
  ];
  const cases: [string, string][] = sets.map((set) => [`(${set})`, all]);
  for (const fault of FAULTS) cases.push([fault, ""], [`a${fault}b`, "ab"], [`(${fault})`, "a"]);
  for (const [pattern, subject] of [
    ["a{99993}", "a"],
    ["a{99995}", "a"],
    ["a{99997}", "a"],
    ["(ab|c){10,}{100,200}", "c"],
    ["(ab|c){10,}{100,300}", "c"],
    ["a{200000}b\\d", "a"],
    ["a{200000}\\d", "a"],
    ["a{200000}", "a"],
    ["a{2147483647}", "a"],
    ["a{2147483648}", "a"],
    ["a{3,99999999999999999999}", "a"],
    ["a{200000,1}", "a"],
    ["(a*)*{3}", "aa"],
    ["(([ab]*)c?)*", "abcab"],
    ["((((a?)*)*)*)*", "aa"],
    ["[[:alnum:]+_?=-][[:alnum:]+._?=-]*", "hello-1.2"],
    ["([0-9]+)(.*)", "12ab"],
    ["(.*)-([0-9].*)", "foo-bar-1.2-3"],
    ["([^/]*)/([^/]*)(/SHA256:(.*))?", "a/b/SHA256:x"],
    ["[a-zA-Z_][a-zA-Z0-9_'-]*", "x-y'"],
    ["(^|\\.)([a-z]+)", "a.b.c"],
    ["^a|b$|$", "aabb"],
  ] as const) {
    cases.push([pattern, subject]);
  }
  return cases;
}
