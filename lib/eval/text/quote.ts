// Nix text of strings and attribute names, as Nix prints them.

const KEYWORDS: ReadonlySet<string> = new Set(["if", "then", "else", "assert", "with", "let", "in", "rec", "inherit"]);

const IDENTIFIER = /^[A-Za-z_][A-Za-z0-9_'-]*$/;
const SPECIAL = /["\\\n\r\t]|\$\{/;

/** A string literal with this value. */
export function quoteString(text: string): string {
  if (!SPECIAL.test(text)) return `"${text}"`;
  return `"${text
    .replace(/["\\]|\$\{/g, "\\$&")
    .replaceAll("\n", "\\n")
    .replaceAll("\r", "\\r")
    .replaceAll("\t", "\\t")}"`;
}

/** An attribute name: quoted unless it is an identifier. */
export function quoteName(name: string): string {
  return IDENTIFIER.test(name) && !KEYWORDS.has(name) ? name : quoteString(name);
}
