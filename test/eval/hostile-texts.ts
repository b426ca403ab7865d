// Texts of a size and depth that nobody writes, for whoever reads or runs source.

/** How often each construct is repeated or nested. */
export const DEPTH = 100_000;

/** Runs of a construct, by name. */
export const RUNS: Readonly<Record<string, string>> = {
  "left operators": `1${" + 1".repeat(DEPTH)}`,
  "operators that are calls": `1${" - 1".repeat(DEPTH)}`,
  "right operators": `1${" ++ 1".repeat(DEPTH)}`,
  implications: `${"1 -> ".repeat(DEPTH)}1`,
  "prefix operators": `${"!".repeat(DEPTH)}1`,
  "minus signs": `${"- ".repeat(DEPTH)}1`,
  functions: `${"x: ".repeat(DEPTH)}1`,
  "functions of sets": `${"{ a, ... }: ".repeat(DEPTH)}1`,
  "else if": `${"if 1 then 2 else ".repeat(DEPTH)}3`,
  lets: `${"let a = 1; in ".repeat(DEPTH)}a`,
  withs: `${"with a; ".repeat(DEPTH)}a`,
  asserts: `${"assert a; ".repeat(DEPTH)}a`,
  arguments: `f${" a".repeat(DEPTH)}`,
  "path of a select": `a${".b".repeat(DEPTH)}`,
  "path of a binding": `{ ${"b.".repeat(500)}c = 1; }`,
  "interpolations in a row": `"${"${a}".repeat(DEPTH)}"`,
  items: `[${" 1".repeat(DEPTH)} ]`,
  bindings: `{ ${Array.from({ length: DEPTH }, (_, i) => `a${i} = 1;`).join(" ")} }`,
  dots: "a.".repeat(DEPTH) + "a",
  pipes: `1${" |> f".repeat(500)}`,
};

/** A construct in itself, by name. */
export const NESTED: Readonly<Record<string, string>> = {
  parentheses: "(".repeat(DEPTH) + "1" + ")".repeat(DEPTH),
  lists: "[".repeat(DEPTH) + "1" + "]".repeat(DEPTH),
  sets: "{a=".repeat(DEPTH) + "1" + ";}".repeat(DEPTH),
  interpolations: '"${'.repeat(DEPTH) + "1" + '}"'.repeat(DEPTH),
  "indented interpolations": "''${".repeat(DEPTH) + "1" + "}''".repeat(DEPTH),
  conditions: `${"if ".repeat(DEPTH)}1${" then 2 else 3".repeat(DEPTH)}`,
  defaults: `${"{ a ? ".repeat(DEPTH)}1${"}: 1".repeat(DEPTH)}`,
  "inherited sources": `${"{ inherit (".repeat(DEPTH)}1${"); }".repeat(DEPTH)}`,
  "dynamic names": `${"{ ${".repeat(DEPTH)}1${"} = 1; }".repeat(DEPTH)}`,
  "old lets": `${"let { body = ".repeat(DEPTH)}1${"; }".repeat(DEPTH)}`,
};
