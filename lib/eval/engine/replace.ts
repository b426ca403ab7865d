// Replacing any of several strings in one pass, as `builtins.replaceStrings` does.

/**
 * Goes through `text` from left to right; at each place the first of `from` that is there is replaced. An empty one
 * is everywhere, also at the end, and keeps the char behind it. `to(i)` is asked at most once per index, when needed.
 */
export function replaceStrings(text: string, from: readonly string[], to: (index: number) => string): string {
  const candidates = byFirstChar(from);
  const emptyAt = from.indexOf("");
  const replacements: (string | undefined)[] = [];
  let out = "";
  let copied = 0;
  let at = 0;
  while (at <= text.length) {
    const found = firstAt(text, at, from, candidates, emptyAt);
    if (found === -1) {
      at++;
      continue;
    }
    const replacement = (replacements[found] ??= to(found));
    const length = (from[found] as string).length;
    out += text.slice(copied, at) + replacement;
    copied = at + length;
    at += length === 0 ? 1 : length;
  }
  return out + text.slice(copied);
}

/** For each code of a first char, the indices to try in order; those behind an empty string never get their turn. */
function byFirstChar(from: readonly string[]): (number[] | undefined)[] {
  const table: (number[] | undefined)[] = Array.from({ length: 256 }, () => undefined);
  for (let i = 0; i < from.length && from[i] !== ""; i++) {
    const first = (from[i] as string).charCodeAt(0);
    const known = table[first];
    if (known) known.push(i);
    else table[first] = [i];
  }
  return table;
}

function firstAt(
  text: string,
  at: number,
  from: readonly string[],
  candidates: readonly (number[] | undefined)[],
  emptyAt: number,
): number {
  if (at < text.length) {
    const here = candidates[text.charCodeAt(at)];
    if (here) for (const i of here) if (text.startsWith(from[i] as string, at)) return i;
  }
  return emptyAt;
}
