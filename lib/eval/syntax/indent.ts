// Indented strings: taking the common indentation away from the parts of a `''…''`.
//
// The indentation is the smallest number of spaces (tabs are content) before the first other char over all lines that
// have one; an interpolation or an escape counts as content. Escaped text and interpolated values keep all their chars,
// except that escaped text at the start of a line is a line's beginning like any other.

import { type Expr, Kind, type StringExpr } from "./ast.ts";

/** Text as written, decoded text of an escape, or an interpolated expression. */
export interface IndentedPart {
  readonly start: number;
  readonly end: number;
  readonly text: string;
  readonly escaped: boolean;
  readonly expr: Expr | undefined;
}

const LF = 10;
const SPACE = 32;

/** The parts without indentation and without empty texts, in order; adjacent texts stay apart. */
export function stripIndentation(parts: readonly IndentedPart[]): Expr[] {
  const width = commonIndentation(parts);
  const stripper = new Stripper(width);
  const out: Expr[] = [];
  for (let i = 0; i < parts.length; i++) {
    const part = parts[i] as IndentedPart;
    if (part.expr !== undefined) {
      stripper.atLineStart = false;
      stripper.dropped = 0;
      out.push(part.expr);
      continue;
    }
    let text = stripper.strip(part.text);
    if (i === parts.length - 1) text = withoutBlankLastLine(text);
    if (text !== "") {
      const string: StringExpr = { kind: Kind.String, start: part.start, end: part.end, value: text };
      out.push(string);
    }
  }
  return out;
}

function commonIndentation(parts: readonly IndentedPart[]): number {
  let atLineStart = true;
  let smallest = Number.POSITIVE_INFINITY;
  let current = 0;
  for (const part of parts) {
    if (part.expr !== undefined || part.escaped) {
      if (atLineStart && current < smallest) smallest = current;
      atLineStart = false;
      continue;
    }
    const text = part.text;
    let i = 0;
    while (i < text.length) {
      if (!atLineStart) {
        const newline = text.indexOf("\n", i);
        if (newline < 0) break;
        i = newline + 1;
        atLineStart = true;
        current = 0;
        continue;
      }
      const char = text.charCodeAt(i);
      if (char === SPACE) current++;
      else if (char === LF) current = 0;
      else {
        atLineStart = false;
        if (current < smallest) smallest = current;
      }
      i++;
    }
  }
  return smallest;
}

class Stripper {
  atLineStart = true;
  /** Spaces dropped from the current line so far. */
  dropped = 0;
  private readonly width: number;

  constructor(width: number) {
    this.width = width;
  }

  strip(text: string): string {
    let out = "";
    let from = 0;
    let i = 0;
    while (i < text.length) {
      if (!this.atLineStart) {
        const newline = text.indexOf("\n", i);
        if (newline < 0) break;
        i = newline + 1;
        this.atLineStart = true;
        continue;
      }
      const char = text.charCodeAt(i);
      if (char === SPACE && this.dropped < this.width) {
        this.dropped++;
        out += text.slice(from, i);
        from = i + 1;
      } else if (char === LF) this.dropped = 0;
      else if (char !== SPACE) {
        this.atLineStart = false;
        this.dropped = 0;
      }
      i++;
    }
    return from === 0 ? text : out + text.slice(from);
  }
}

function withoutBlankLastLine(text: string): string {
  const newline = text.lastIndexOf("\n");
  if (newline < 0) return text;
  for (let i = newline + 1; i < text.length; i++) if (text.charCodeAt(i) !== SPACE) return text;
  return text.slice(0, newline + 1);
}
