// Strings: byte strings with one char (0…255) per byte, plain JS strings unless they carry a context.
//
// A context says which store paths a string depends on. Its elements are texts in the form that C++ Nix uses inside:
//   /nix/store/…         the path itself
//   !out!/nix/store/….drv   one output of a derivation
//   =/nix/store/….drv    a derivation with its whole closure

/** The store paths a string depends on; never changed once made. */
export type StringContext = ReadonlySet<string>;

/** The context of a string without one. */
export const NO_CONTEXT: StringContext = new Set();

/** A string with a non-empty context. */
export class ContextString {
  readonly text: string;
  readonly context: StringContext;

  constructor(text: string, context: StringContext) {
    this.text = text;
    this.context = context;
  }
}

/** A string value: plain when the context is empty. */
export function makeString(text: string, context: StringContext): string | ContextString {
  return context.size === 0 ? text : new ContextString(text, context);
}

/** The union of two contexts, sharing one of them when it holds the other. */
export function joinContexts(a: StringContext, b: StringContext): StringContext {
  if (a === b || b.size === 0) return a;
  if (a.size === 0) return b;
  if (a.size < b.size) return joinContexts(b, a);
  let union: Set<string> | undefined;
  for (const element of b) {
    if (a.has(element)) continue;
    union ??= new Set(a);
    union.add(element);
  }
  return union ?? a;
}

/** Collects contexts while a string is being built. */
export class ContextBuilder {
  private collected: StringContext = NO_CONTEXT;
  private owned: Set<string> | null = null;

  add(context: StringContext): void {
    if (context.size === 0 || context === this.collected) return;
    if (this.owned !== null) {
      for (const element of context) this.owned.add(element);
    } else if (this.collected.size === 0) {
      this.collected = context;
    } else {
      this.owned = new Set(this.collected);
      this.collected = this.owned;
      for (const element of context) this.owned.add(element);
    }
  }

  get context(): StringContext {
    return this.collected;
  }
}

/** One element of a context, taken apart. */
export type ContextElement =
  | { readonly kind: "path"; readonly path: string }
  | { readonly kind: "output"; readonly drv: string; readonly output: string }
  | { readonly kind: "deep"; readonly drv: string };

/** Takes a context element apart. */
export function parseContextElement(element: string): ContextElement {
  if (element.startsWith("=")) return { kind: "deep", drv: element.slice(1) };
  if (element.startsWith("!")) {
    const end = element.indexOf("!", 1);
    return { kind: "output", output: element.slice(1, end), drv: element.slice(end + 1) };
  }
  return { kind: "path", path: element };
}

/** The inverse of {@link parseContextElement}. */
export function formatContextElement(element: ContextElement): string {
  if (element.kind === "path") return element.path;
  return element.kind === "deep" ? `=${element.drv}` : `!${element.output}!${element.drv}`;
}
