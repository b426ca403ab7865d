// Replacing any of several strings in one pass, as `builtins.replaceStrings` does.

/** Up to this many strings are looked for one by one, which V8 does many bytes at a time. */
const FEW = 4;

/** Strings to be replaced, prepared for many texts. */
export class Replacer {
  readonly #from: readonly string[];
  /** The first empty string; -1 when there is none. Those behind it never get their turn. */
  readonly #emptyAt: number;
  /** For each code of a first char, the indices to try in order. */
  #candidates: readonly (readonly number[] | undefined)[] | undefined;

  constructor(from: readonly string[]) {
    this.#from = from;
    this.#emptyAt = from.indexOf("");
  }

  /**
   * Goes through `text` from left to right; at each place the first string that is there is replaced. An empty one is
   * everywhere, also at the end, and keeps the char behind it. `to(i)` is asked at most once per index, when needed.
   */
  replace(text: string, to: (index: number) => string): string {
    const replacements: (string | undefined)[] = [];
    const replacement = (index: number): string => (replacements[index] ??= to(index));
    return this.#emptyAt === -1 && this.#from.length <= FEW
      ? this.#replaceFew(text, replacement)
      : this.#replaceMany(text, replacement);
  }

  #replaceFew(text: string, replacement: (index: number) => string): string {
    const from = this.#from;
    /** Where each string comes next. */
    const next = from.map((sought) => text.indexOf(sought));
    let out = "";
    let copied = 0;
    for (;;) {
      let found = -1;
      for (let i = 0; i < next.length; i++) {
        const at = next[i] as number;
        if (at !== -1 && (found === -1 || at < (next[found] as number))) found = i;
      }
      if (found === -1) return copied === 0 ? text : out + text.slice(copied);
      const at = next[found] as number;
      out += text.slice(copied, at) + replacement(found);
      copied = at + (from[found] as string).length;
      for (let i = 0; i < next.length; i++) {
        const known = next[i] as number;
        if (known !== -1 && known < copied) next[i] = text.indexOf(from[i] as string, copied);
      }
    }
  }

  #replaceMany(text: string, replacement: (index: number) => string): string {
    let out = "";
    let copied = 0;
    let at = 0;
    while (at <= text.length) {
      const found = this.#firstAt(text, at);
      if (found === -1) {
        at++;
        continue;
      }
      const { length } = this.#from[found] as string;
      out += text.slice(copied, at) + replacement(found);
      copied = at + length;
      at += length === 0 ? 1 : length;
    }
    return out + text.slice(copied);
  }

  #firstAt(text: string, at: number): number {
    if (at < text.length) {
      this.#candidates ??= byFirstChar(this.#from);
      const here = this.#candidates[text.charCodeAt(at)];
      if (here) for (const i of here) if (text.startsWith(this.#from[i] as string, at)) return i;
    }
    return this.#emptyAt;
  }
}

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
