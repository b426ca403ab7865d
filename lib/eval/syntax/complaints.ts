// What the parser has to say about a text: errors that point at the place and often at a second one, and warnings.
//
// The first line of a message follows Nix's ("syntax error, unexpected X, expecting Y"); labels and help say more.

import { type Diagnostic, DiagnosticError, type Label, locate } from "../diagnostic.ts";
import { byteStringToText, type Source } from "../source.ts";
import { quoteName } from "../text/quote.ts";
import { type AttrName, type Binding, type Expr, Kind } from "./ast.ts";
import type { Lexer } from "./lexer.ts";
import { Token, TOKEN_NAMES } from "./token.ts";

/** A piece of the source text. */
export interface Span {
  readonly start: number;
  readonly end: number;
}

/** Errors at the lexer's current token or at a given place, and the warnings so far. One per parse. */
export class Complaints {
  readonly warnings: Diagnostic[] = [];
  private readonly source: Source;
  private readonly lexer: Lexer;

  constructor(source: Source, lexer: Lexer) {
    this.source = source;
    this.lexer = lexer;
  }

  /** The current token is not what has to stand there; `expected` is empty when that is a long list. */
  unexpected(expected: string): never {
    const { kind, start, end } = this.lexer;
    return this.unexpectedAt(kind, start, end, expected);
  }

  /** The same for a token that has been passed. */
  unexpectedAt(kind: Token, start: number, end: number, expected: string): never {
    const help = adviceFor(kind, this.source.text.slice(start, end));
    return this.fail("ERR_PARSE_UNEXPECTED", unexpectedMessage(kind, expected), { start, end }, help);
  }

  /** Something else than the end of what was opened at an offset. */
  unclosed(opened: number, expected: string): never {
    const { kind } = this.lexer;
    const { text } = this.source;
    const length = text.startsWith("let", opened) || text.startsWith("rec", opened) ? 3 : text[opened] === "$" ? 2 : 1;
    const opening = { source: this.source, start: opened, end: opened + length, text: "opened here" };
    const help = adviceFor(kind, text.slice(this.lexer.start, this.lexer.end));
    throw new DiagnosticError({
      severity: "error",
      code: "ERR_PARSE_UNEXPECTED",
      message: unexpectedMessage(kind, expected),
      labels: [this.label(this.lexer), opening],
      ...(help === undefined ? {} : { help }),
    });
  }

  /** Something else than the semicolon after a binding's value; `a = 1 b = 2` is taken for `a = (1 b)`. */
  unfinished(value: Expr): never {
    const last = value.kind === Kind.Apply ? value.args.at(-1) : undefined;
    if (this.lexer.kind !== Token.Assign || last?.kind !== Kind.Variable) return this.unexpected("';'");
    const help = `is a ';' missing before '${byteStringToText(last.name)}'?`;
    return this.fail("ERR_PARSE_UNEXPECTED", unexpectedMessage(Token.Assign, "';'"), this.lexer, help);
  }

  /** A string without an end. */
  unterminated(expected: string, opened: number): never {
    const { length, text } = this.lexer;
    const opening = { source: this.source, start: opened, end: opened + (text[opened] === '"' ? 1 : 2) };
    throw new DiagnosticError({
      severity: "error",
      code: "ERR_PARSE_UNTERMINATED",
      message: `syntax error, unexpected end of file, expecting ${expected}`,
      labels: [this.label({ start: length, end: length }), { ...opening, text: "the string starts here" }],
    });
  }

  /** An attribute defined twice; `path` leads to it from the outermost set. */
  duplicate(path: readonly AttrName[], again: Binding, first: Binding): never {
    const name = byteStringToText(
      path.map((step) => (step.name === undefined ? '"${…}"' : quoteName(step.name))).join("."),
    );
    const defined = { source: this.source, start: first.start, end: first.end, text: "first defined here" };
    throw new DiagnosticError({
      severity: "error",
      code: "ERR_PARSE_DUPLICATE_ATTRIBUTE",
      message: `attribute '${name}' already defined at ${locate(defined)}`,
      labels: [{ source: this.source, start: again.start, end: again.end, text: "defined again here" }, defined],
    });
  }

  private label(place: Span): Label {
    return { source: this.source, start: place.start, end: place.end, text: "" };
  }

  fail(code: string, message: string, place: Span, help?: string): never {
    const labels = [this.label(place)];
    throw new DiagnosticError({ severity: "error", code, message, labels, ...(help === undefined ? {} : { help }) });
  }

  warn(code: string, message: string, place: Span, help?: string): void {
    const labels = [this.label(place)];
    this.warnings.push({ severity: "warning", code, message, labels, ...(help === undefined ? {} : { help }) });
  }

  /** The error for a JavaScript stack that ended. */
  tooDeep(): DiagnosticError {
    return new DiagnosticError({
      severity: "error",
      code: "ERR_PARSE_TOO_DEEP",
      message: "the expression is nested too deeply for the stack",
      labels: [this.label(this.lexer)],
      help: "parse on a thread with a larger stack, or nest less",
    });
  }
}

function unexpectedMessage(kind: Token, expected: string): string {
  return `syntax error, unexpected ${TOKEN_NAMES[kind]}${expected === "" ? "" : `, expecting ${expected}`}`;
}

/** What to do about tokens that people stumble over. */
function adviceFor(kind: Token, text: string): string | undefined {
  if (kind === Token.OrKeyword) return "'or' is a keyword; quote it to use it as a name: \"or\"";
  if (kind !== Token.Invalid) return undefined;
  if (text === "&") return "the operator is '&&'";
  if (text === "|") return "the operator is '||'";
  if (text === "'") return "strings are written with double quotes or with two apostrophes";
  if (text === "$") return "a dollar sign stands before '{' only, inside a string or attribute path";
  return undefined;
}
