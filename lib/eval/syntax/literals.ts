// Literals: numbers, strings, paths and URLs. What stands in a literal's `${…}` is an expression, for the parser.

import { type Expr, Kind, PathBase } from "./ast.ts";
import type { Complaints } from "./complaints.ts";
import { type IndentedPart, stripIndentation } from "./indent.ts";
import { type Lexer, PartEnd } from "./lexer.ts";
import { Token } from "./token.ts";

const NO_PARTS: readonly Expr[] = [];
const LARGEST_INT = 2n ** 63n - 1n;
/** Float literals that are smaller but not zero are refused, as those that are too large. */
const SMALLEST_NORMAL = 2 ** -1022;

/** Reads literals: each method begins at the literal's token and ends behind it. */
export class Literals {
  private readonly lexer: Lexer;
  private readonly complaints: Complaints;
  private readonly expressions: { expression(): Expr };
  /** Whether the text has a NUL anywhere; string literals are searched for it only then. */
  private readonly hasNul: boolean;

  constructor(lexer: Lexer, complaints: Complaints, expressions: { expression(): Expr }, hasNul: boolean) {
    this.lexer = lexer;
    this.complaints = complaints;
    this.expressions = expressions;
    this.hasNul = hasNul;
  }

  /** `1` */
  int(): Expr {
    const { lexer } = this;
    const { start, end } = lexer;
    const text = lexer.text.slice(start, end);
    let value: number | bigint = Number(text);
    if (!Number.isSafeInteger(value)) {
      const digits = text.replace(/^0+/, "");
      value = digits.length > 19 ? LARGEST_INT + 1n : BigInt(digits);
      if (value > LARGEST_INT) this.complaints.fail("ERR_PARSE_INT", `invalid integer '${text}'`, lexer);
    }
    lexer.next();
    return { kind: Kind.Int, start, end, value };
  }

  /** `1.5` */
  float(): Expr {
    const { lexer } = this;
    const { start, end } = lexer;
    const text = lexer.text.slice(start, end);
    const value = Number(text);
    const vanishes = value < SMALLEST_NORMAL && /^[^eE]*[1-9]/.test(text);
    if (vanishes || !Number.isFinite(value)) this.complaints.fail("ERR_PARSE_FLOAT", `invalid float '${text}'`, lexer);
    lexer.next();
    return { kind: Kind.Float, start, end, value };
  }

  /** `http://…` without quotes. */
  uri(): Expr {
    const { lexer } = this;
    const { start, end } = lexer;
    const { value } = lexer;
    lexer.next();
    this.complaints.warn("WARN_URL_LITERAL", "URL literals are deprecated", { start, end }, "put the URL in quotes");
    return { kind: Kind.String, start, end, value };
  }

  /** `"…"`, as a {@link Kind.String} or {@link Kind.Interpolation}. */
  string(): Expr {
    const { lexer } = this;
    const { start } = lexer;
    let parts: Expr[] | undefined;
    let from = lexer.end;
    for (;;) {
      const ended = lexer.stringPart();
      const { value } = lexer;
      if (this.hasNul) this.refuseNul(from, value);
      if (ended === PartEnd.Close) {
        const { end } = lexer;
        if (parts === undefined) {
          lexer.next();
          return { kind: Kind.String, start, end, value };
        }
        if (value !== "") parts.push({ kind: Kind.String, start: from, end: end - 1, value });
        lexer.next();
        return { kind: Kind.Interpolation, start, end, parts };
      }
      if (ended !== PartEnd.Interpolation) return this.complaints.unterminated("'\"'", start);
      parts ??= [];
      if (value !== "") parts.push({ kind: Kind.String, start: from, end: lexer.end - 2, value });
      parts.push(this.interpolated());
      from = lexer.end;
    }
  }

  /** Nix strings have no NULs. */
  private refuseNul(start: number, value: string): void {
    if (!value.includes("\0")) return;
    const at = this.lexer.text.indexOf("\0", start);
    this.complaints.fail("ERR_PARSE_NUL", "a string cannot contain a null byte", { start: at, end: at + 1 });
  }

  /** After `${`: the expression; the current token is then the closing brace. */
  interpolated(): Expr {
    const opened = this.lexer.end - 2;
    this.lexer.next();
    const expr = this.expressions.expression();
    if (this.lexer.kind !== Token.CloseBrace) this.complaints.unclosed(opened, "'}'");
    return expr;
  }

  /** `''…''`, likewise, without its indentation. */
  indentedString(): Expr {
    const { lexer } = this;
    const { start } = lexer;
    const pieces: IndentedPart[] = [];
    lexer.end = this.afterBlankLine(lexer.end);
    for (;;) {
      const from = lexer.end;
      const ended = lexer.indentedPart();
      if (ended === PartEnd.EndOfFile) {
        return this.complaints.unterminated("indented string or '${' or end of an indented string", start);
      }
      const text = lexer.value;
      const end = from + text.length;
      if (this.hasNul) this.refuseNul(from, text);
      if (text !== "") pieces.push({ start: from, end, text, escaped: false, expr: undefined });
      if (ended === PartEnd.Close) break;
      if (ended === PartEnd.Escape) {
        const escape = lexer.escapePart();
        pieces.push({ start: end, end: lexer.end, text: escape, escaped: true, expr: undefined });
      } else {
        const expr = this.interpolated();
        pieces.push({ start: expr.start, end: expr.end, text: "", escaped: false, expr });
      }
    }
    const { end } = lexer;
    lexer.next();
    const parts = stripIndentation(pieces);
    const only = parts[0];
    if (only === undefined) return { kind: Kind.String, start, end, value: "" };
    if (parts.length === 1 && only.kind === Kind.String) {
      return { kind: Kind.String, start, end, value: only.value };
    }
    return { kind: Kind.Interpolation, start, end, parts };
  }

  /** The rest of the line that opens an indented string is dropped when it is only spaces. */
  private afterBlankLine(offset: number): number {
    let i = offset;
    while (this.lexer.at(i) === 32) i++;
    return this.lexer.at(i) === 10 ? i + 1 : offset;
  }

  /** A path, with its interpolations. */
  path(): Expr {
    const { lexer } = this;
    const { start, value: written } = lexer;
    const base =
      lexer.kind === Token.HomePath ? PathBase.Home : written.startsWith("/") ? PathBase.Absolute : PathBase.Relative;
    const text = base === PathBase.Home ? written.slice(1) : written;
    const parts: Expr[] = [];
    let interpolated = false;
    for (;;) {
      const from = lexer.end;
      const ended = lexer.pathPart();
      if (ended === PartEnd.Interpolation) {
        interpolated = true;
        parts.push(this.interpolated());
      } else if (ended === PartEnd.More) {
        parts.push({ kind: Kind.String, start: from, end: lexer.end, value: lexer.value });
        if (!interpolated && !lexer.text.startsWith("${", lexer.end)) this.doubledSlash(start);
      } else if (ended === PartEnd.TrailingSlash) {
        this.complaints.fail("ERR_PARSE_TRAILING_SLASH", "path has a trailing slash", { start, end: lexer.end });
      } else break;
    }
    const { end } = lexer;
    lexer.next();
    return { kind: Kind.Path, start, end, base, text, parts: parts.length === 0 ? NO_PARTS : parts };
  }

  private doubledSlash(start: number): never {
    const message = "syntax error, unexpected end of path, expecting '${'";
    const place = { start, end: this.lexer.end };
    return this.complaints.fail(
      "ERR_PARSE_UNEXPECTED",
      message,
      place,
      "a path literal may not have two slashes in a row",
    );
  }
}
