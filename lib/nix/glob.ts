// Patterns for names, as fnmatch(3) reads them without flags: `*`, `?`, `[a-z]`, `[!a]`, and `\` before what means itself.

/** What one character of a name may be; `undefined` stands for a `*`. */
type Step = ((char: string) => boolean) | undefined;

/** Character classes that brackets may name, as POSIX does. */
const CLASSES: Readonly<Record<string, RegExp>> = {
  alnum: /[A-Za-z0-9]/,
  alpha: /[A-Za-z]/,
  blank: /[ \t]/,
  digit: /[0-9]/,
  lower: /[a-z]/,
  punct: /[!-/:-@[-`{-~]/,
  space: /\s/,
  upper: /[A-Z]/,
  xdigit: /[0-9A-Fa-f]/,
};

/** Answers whether a name fits a pattern as a whole. Takes no longer than the product of their lengths. */
export function globMatcher(pattern: string): (name: string) => boolean {
  const steps = parseGlob(Array.from(pattern));
  return (name) => matches(steps, Array.from(name));
}

function matches(steps: readonly Step[], chars: readonly string[]): boolean {
  let step = 0;
  let at = 0;
  // The last `*` and where what follows it is tried: an earlier one need not be looked at again.
  let star = -1;
  let tried = 0;
  while (at < chars.length) {
    if (step < steps.length && steps[step] === undefined) {
      star = step++;
      tried = at;
    } else if (step < steps.length && steps[step]?.(chars[at] as string)) {
      step++;
      at++;
    } else if (star >= 0) {
      step = star + 1;
      at = ++tried;
    } else return false;
  }
  while (step < steps.length && steps[step] === undefined) step++;
  return step === steps.length;
}

function parseGlob(pattern: readonly string[]): Step[] {
  const steps: Step[] = [];
  for (let i = 0; i < pattern.length; i++) {
    const char = pattern[i] as string;
    if (char === "*") steps.push(undefined);
    else if (char === "?") steps.push(() => true);
    else if (char === "[") {
      const bracket = parseBracket(pattern, i);
      steps.push(bracket?.accepts ?? ((other) => other === "["));
      if (bracket !== undefined) i = bracket.last;
    } else {
      const literal = char === "\\" ? pattern[++i] : char;
      steps.push((other) => other === literal);
    }
  }
  return steps;
}

/** Reads a bracket expression; `undefined` when it has no end, and the bracket means itself. */
function parseBracket(
  pattern: readonly string[],
  start: number,
): { readonly accepts: (char: string) => boolean; readonly last: number } | undefined {
  let i = start + 1;
  const negated = pattern[i] === "!" || pattern[i] === "^";
  if (negated) i++;
  const members: ((char: string) => boolean)[] = [];
  for (const first = i; ; i++) {
    const char = pattern[i];
    if (char === undefined) return undefined;
    if (char === "]" && i > first) break;
    const named = char === "[" ? /^\[:([a-z]+):\]/.exec(pattern.slice(i, i + 12).join("")) : null;
    if (named !== null) {
      const kind = CLASSES[named[1] as string];
      members.push((other) => kind?.test(other) ?? false);
      i += named[0].length - 1;
      continue;
    }
    const from = char === "\\" ? pattern[++i] : char;
    let to = from;
    if (pattern[i + 1] === "-" && pattern[i + 2] !== "]" && pattern[i + 2] !== undefined) {
      i += 2;
      to = pattern[i] === "\\" ? pattern[++i] : pattern[i];
    }
    if (from === undefined || to === undefined) return undefined;
    members.push((other) => from <= other && other <= to);
  }
  return { accepts: (char) => members.some((member) => member(char)) !== negated, last: i };
}
