// The parser: source text to tree, by recursive descent with an operator stack.
//
// Precedence, from loose to tight: `|>` and `<|` · `->` · `||` · `&&` · `== !=` · `< <= > >=` · `//` · `!` · `+ -` ·
// `* /` · `++` · `?` · unary `-` · application · select. Infix operators are kept on an explicit stack, so a chain of
// any length costs no JavaScript stack; so are the long sides of `if … else if …`, `x: y: …`, `let … in let … in …`,
// `with` and `assert`. Real nesting (brackets, strings in interpolations, sets in sets) recurses, about four frames a
// level. When the JavaScript stack ends, the parse fails with a clean error: how deep that is depends on the stack that
// the caller gives to the thread (256 MiB take more than 100 000 levels).
//
// Formals and sets both begin with `{ name`: one token after the name tells them apart, without going back. Literals are
// read in literals.ts, operators ordered in operators.ts, sets put together in attrset.ts.

import type { Diagnostic } from "../diagnostic.ts";
import type { Source } from "../source.ts";
import {
  type AttrName,
  applied,
  attrNameOf,
  BindingKind,
  type Expr,
  type Formal,
  type Formals,
  type InheritSourceExpr,
  Kind,
  type LambdaExpr,
  type VariableExpr,
} from "./ast.ts";
import { Complaints, type Span } from "./complaints.ts";
import { Deferred, isDelayed, type ParseRange } from "./deferred.ts";
import { growingSet, type GrowingSet, SetBuilder } from "./attrset.ts";
import { Lexer } from "./lexer.ts";
import { Literals } from "./literals.ts";
import { OperatorStack, PRECEDENCE, PREFIX_MINUS, PREFIX_NOT } from "./operators.ts";
import { startsArgument, Token, TOKEN_NAMES } from "./token.ts";

/** What the language allows beyond its stable part. */
export interface ParseOptions {
  /** Accept `|>` and `<|` (Nix's experimental feature `pipe-operators`). */
  readonly pipeOperators?: boolean;
  /** Leave a {@link Deferred} for most values of large sets inside a `with`. */
  readonly defer?: boolean;
}

/** From so many attributes on, values are deferred. */
const DEFER_FROM = 32;

/** A parsed source: the expression it is, and warnings that the text alone justifies. */
export interface Parsed {
  readonly expr: Expr;
  readonly warnings: readonly Diagnostic[];
}

/**
 * Parses a whole source.
 *
 * Throws a {@link DiagnosticError} with a code `ERR_PARSE_…` and a label on the offending place.
 */
export function parse(source: Source, options: ParseOptions = {}): Parsed {
  return parsing(new Parser(source, options, 0, source.text.length));
}

function parsing(parser: Parser): Parsed {
  try {
    return parser.file();
  } catch (error) {
    if (error instanceof RangeError) throw parser.complaints.tooDeep();
    throw error;
  }
}

/** One step of a chain that ends in an expression: `if c then x else`, `x:`, `let … in`, `with e;`, `assert e;`. */
type Link = (body: Expr) => Expr;

class Parser {
  readonly complaints: Complaints;
  private readonly lexer: Lexer;
  private readonly pipes: boolean;
  private readonly sets: SetBuilder;
  private readonly operators: OperatorStack;
  private readonly literals: Literals;
  /** The end of the last `or` that was read as an identifier. */
  private orEnd = -1;
  /** How many `with`s are around what is being read. */
  private withs = 0;
  private readonly defers: boolean;
  private readonly range: ParseRange;

  constructor(source: Source, options: ParseOptions, from: number, to: number) {
    this.defers = options.defer ?? false;
    this.range = (start, end) => parsing(new Parser(source, options, start, end)).expr;
    this.lexer = new Lexer(source.text, from, to);
    this.complaints = new Complaints(source, this.lexer);
    // What is read again has no such literals, and the text may be a thousand times as long as what is read of it.
    const hasNul = to === source.text.length && source.text.includes("\0");
    this.literals = new Literals(this.lexer, this.complaints, this, hasNul);
    this.pipes = options.pipeOperators ?? false;
    this.sets = new SetBuilder((path, again, first) => this.complaints.duplicate(path, again, first));
    this.operators = new OperatorStack();
  }

  file(): Parsed {
    this.lexer.next();
    const expr = this.expression();
    if (!this.is(Token.EndOfFile)) this.complaints.unexpected("end of file");
    return { expr, warnings: this.complaints.warnings };
  }

  // Expressions.

  /**
   * A whole expression. What ends in another expression (a function, `let`, `with`, `assert`, `if`) is collected as a
   * link and closed over the final operation from the inside out, so that long runs of them cost no stack.
   */
  expression(): Expr {
    const { lexer } = this;
    let links: Link[] | undefined;
    let body: Expr | undefined;
    const { withs } = this;
    while (body === undefined) {
      let link: Link | undefined;
      switch (lexer.kind) {
        case Token.Name: {
          const { start, value } = lexer;
          lexer.next();
          if (this.is(Token.Colon) || this.is(Token.At)) link = this.functionHead(start, value, undefined);
          else body = this.operation(this.variable(start, lexer.before, value));
          break;
        }
        case Token.OpenBrace: {
          const { start } = lexer;
          const formalsOrSet = this.formalsOrSet();
          if ("items" in formalsOrSet) link = this.functionHead(start, undefined, formalsOrSet);
          else body = this.operation(formalsOrSet);
          break;
        }
        case Token.If:
          link = this.ifHead();
          break;
        case Token.With:
          link = this.withHead();
          break;
        case Token.Assert:
          link = this.assertHead();
          break;
        case Token.Let: {
          const head = this.letHead();
          if (typeof head === "function") link = head;
          else body = this.operation(head);
          break;
        }
        default:
          body = this.operation(undefined);
      }
      if (link !== undefined) {
        if (links === undefined) links = [link];
        else links.push(link);
      }
    }
    this.withs = withs;
    if (links === undefined) return body;
    for (let i = links.length - 1; i >= 0; i--) body = (links[i] as Link)(body);
    return body;
  }

  private variable(start: number, end: number, name: string): Expr {
    if (name === "__curPos") return { kind: Kind.CurPos, start, end };
    return { kind: Kind.Variable, start, end, name };
  }

  private ifHead(): Link {
    const { start } = this.lexer;
    this.lexer.next();
    const condition = this.expression();
    this.expect(Token.Then);
    const consequent = this.expression();
    this.expect(Token.Else);
    return (alternative) => ({ kind: Kind.If, start, end: alternative.end, condition, consequent, alternative });
  }

  private withHead(): Link {
    const { start } = this.lexer;
    this.lexer.next();
    const scope = this.expression();
    this.expect(Token.Semicolon);
    this.withs++;
    return (body) => ({ kind: Kind.With, start, end: body.end, scope, body });
  }

  private assertHead(): Link {
    const { start } = this.lexer;
    this.lexer.next();
    const condition = this.expression();
    this.expect(Token.Semicolon);
    return (body) => ({ kind: Kind.Assert, start, end: body.end, condition, body });
  }

  /** `let … in`, or the whole of the old form `let { … }`. */
  private letHead(): Link | Expr {
    const { lexer } = this;
    const { start } = lexer;
    lexer.next();
    if (this.is(Token.OpenBrace)) return this.legacyLet(start);
    const scope = growingSet(start, start, true);
    this.bindings(scope, Token.In);
    scope.end = lexer.before;
    const dynamic = scope.dynamics[0];
    if (dynamic) this.complaints.fail("ERR_PARSE_DYNAMIC_LET", "dynamic attributes not allowed in let", dynamic);
    lexer.next();
    if (scope.bindings.length === 0) {
      this.complaints.warn("WARN_EMPTY_LET", "this 'let' binds no names", { start, end: lexer.before });
    }
    return (body) => ({ kind: Kind.Let, start, end: body.end, scope, body });
  }

  private legacyLet(start: number): Expr {
    const scope = growingSet(this.lexer.start, start, true);
    this.braces(scope);
    const end = scope.end;
    this.complaints.warn("WARN_LEGACY_LET", "'let { …; body = …; }' is deprecated", { start, end }, "use 'let … in …'");
    return { kind: Kind.LegacyLet, start, end, scope };
  }

  // Functions.

  /** The rest of a function's head, from `:` or `@` on. */
  private functionHead(start: number, name: string | undefined, formals: Formals | undefined): Link {
    const { lexer } = this;
    let param = name;
    let pattern = formals;
    if (this.is(Token.At)) {
      lexer.next();
      if (pattern === undefined) pattern = this.formals();
      else {
        if (!this.is(Token.Name)) this.complaints.unexpected("identifier");
        param = lexer.value;
        lexer.next();
      }
    }
    this.expect(Token.Colon);
    if (pattern !== undefined) this.checkFormals(pattern, param, start);
    const fixed = pattern;
    return (body): LambdaExpr => ({ kind: Kind.Lambda, start, end: body.end, param, formals: fixed, body });
  }

  private checkFormals(formals: Formals, param: string | undefined, start: number): void {
    const seen = new Set<string>();
    for (const formal of formals.items) {
      if (seen.has(formal.name)) this.duplicateFormal(formal, formal.name);
      seen.add(formal.name);
    }
    if (param !== undefined && seen.has(param)) this.duplicateFormal({ start, end: formals.end }, param);
  }

  private duplicateFormal(place: Span, name: string): never {
    return this.complaints.fail("ERR_PARSE_DUPLICATE_FORMAL", `duplicate formal function argument '${name}'`, place);
  }

  /** Formals that must be formals: after `name@`. */
  private formals(): Formals {
    const { lexer } = this;
    const { start } = lexer;
    this.expect(Token.OpenBrace);
    return this.formalsFrom(start, []);
  }

  /** After `{` and perhaps some formals: the rest of them and `}`. */
  private formalsFrom(start: number, items: Formal[]): Formals {
    const { lexer } = this;
    let ellipsis = false;
    while (!this.is(Token.CloseBrace)) {
      if (this.is(Token.Ellipsis)) {
        ellipsis = true;
        lexer.next();
        break;
      }
      if (!this.is(Token.Name))
        this.complaints.unexpected(items.length === 0 ? "identifier" : "identifier or '...' or '}'");
      const { start: from, value } = lexer;
      lexer.next();
      items.push(this.formal(from, value));
    }
    this.expect(Token.CloseBrace);
    return { start, end: lexer.before, items, ellipsis };
  }

  /** The rest of a formal after its name, with the comma. */
  private formal(start: number, name: string): Formal {
    const { lexer } = this;
    const end = lexer.before;
    let fallback: Expr | undefined;
    if (this.is(Token.Question)) {
      lexer.next();
      fallback = this.expression();
    }
    if (this.is(Token.Comma)) lexer.next();
    else if (!this.is(Token.CloseBrace)) this.complaints.unexpected("',' or '}'");
    return { start, end, name, fallback };
  }

  private formalsOrSet(): Formals | GrowingSet {
    const { lexer } = this;
    const { start } = lexer;
    lexer.next();
    if (this.is(Token.Ellipsis)) return this.formalsFrom(start, []);
    const set = growingSet(start, start, false);
    if (this.is(Token.CloseBrace)) {
      lexer.next();
      return this.closedBraces(set, []);
    }
    if (this.is(Token.Name)) {
      const { start: from, value: name } = lexer;
      lexer.next();
      const { kind } = lexer;
      if (kind === Token.Comma || kind === Token.Question) return this.formalsFrom(start, [this.formal(from, name)]);
      const first: AttrName = { start: from, end: lexer.before, name, expr: undefined };
      if (kind === Token.CloseBrace) {
        const { start: at, end } = lexer;
        lexer.next();
        const formal: Formal = { start: from, end: first.end, name, fallback: undefined };
        if (this.is(Token.Colon) || this.is(Token.At)) return this.closedBraces(set, [formal]);
        return this.complaints.unexpectedAt(Token.CloseBrace, at, end, "'.' or '='");
      }
      this.pathBinding(set, first);
    }
    this.bindings(set, Token.CloseBrace);
    lexer.next();
    set.end = lexer.before;
    return set;
  }

  /** What `{ }` or `{ name }` is, once the brace is closed: formals before `:` and `@`, else the empty set. */
  private closedBraces(set: GrowingSet, items: Formal[]): Formals | GrowingSet {
    const { kind, before } = this.lexer;
    if (kind === Token.Colon || kind === Token.At) return { start: set.start, end: before, items, ellipsis: false };
    set.end = before;
    return set;
  }

  // Operators.

  /** Operators down to the pipes; `first` is the first operand's beginning when that has been read. */
  private operation(first: Expr | undefined): Expr {
    const left = this.infix(first);
    const { kind } = this.lexer;
    if (kind === Token.PipeInto) return this.pipeInto(left);
    if (kind === Token.PipeFrom) return this.pipeFrom(left);
    return left;
  }

  private pipeInto(first: Expr): Expr {
    let left = first;
    while (this.is(Token.PipeInto)) {
      this.pipe();
      const callee = this.infix(undefined);
      left = applied(callee, [left], left.start, callee.end);
    }
    if (this.is(Token.PipeFrom)) this.complaints.unexpected("");
    return left;
  }

  private pipeFrom(first: Expr): Expr {
    const stages = [first];
    while (this.is(Token.PipeFrom)) {
      this.pipe();
      stages.push(this.infix(undefined));
    }
    if (this.is(Token.PipeInto)) this.complaints.unexpected("");
    let value = stages.pop() as Expr;
    for (let callee = stages.pop(); callee !== undefined; callee = stages.pop()) {
      value = applied(callee, [value], callee.start, value.end);
    }
    return value;
  }

  private pipe(): void {
    if (!this.pipes) {
      this.complaints.fail(
        "ERR_PARSE_PIPE_OPERATORS",
        "experimental Nix feature 'pipe-operators' is disabled",
        this.lexer,
        "enable the feature 'pipe-operators', or write an application",
      );
    }
    this.lexer.next();
  }

  private infix(first: Expr | undefined): Expr {
    const { lexer } = this;
    const prefixed = first === undefined && (this.is(Token.Minus) || this.is(Token.Not));
    if (prefixed) return this.infixWithStack(undefined);
    const operand = this.application(first);
    return lexer.kind <= Token.Question ? this.infixWithStack(operand) : operand;
  }

  private infixWithStack(first: Expr | undefined): Expr {
    const { lexer, operators } = this;
    const base = operators.size;
    let operand = first ?? this.prefixed();
    for (;;) {
      const { kind } = lexer;
      if (kind > Token.Question) return operators.reduceAll(base, operand);
      const precedence = PRECEDENCE[kind] as number;
      operand = operators.reduce(base, precedence, operand);
      if (kind === Token.Question) {
        lexer.next();
        const path = this.attrPath();
        operand = { kind: Kind.HasAttr, start: operand.start, end: lexer.before, subject: operand, path };
        continue;
      }
      if (operators.clashes(base, precedence)) this.complaints.unexpected("");
      operators.push(kind, precedence, lexer.start, operand);
      lexer.next();
      operand = this.prefixed();
    }
  }

  /** An operand; the prefix operators before it go on the stack. */
  private prefixed(): Expr {
    const { lexer, operators } = this;
    for (;;) {
      if (this.is(Token.Minus)) operators.push(PREFIX_MINUS, PRECEDENCE[PREFIX_MINUS] as number, lexer.start);
      else if (this.is(Token.Not)) operators.push(PREFIX_NOT, PRECEDENCE[PREFIX_NOT] as number, lexer.start);
      else return this.application(undefined);
      lexer.next();
    }
  }

  /** A function with arguments, or a single operand. */
  private application(first: Expr | undefined): Expr {
    const { lexer } = this;
    const callee = this.select(first);
    if (lexer.kind < Token.Rec && !this.is(Token.Let)) return callee;
    if (!startsArgument(lexer.kind)) return callee;
    const args: Expr[] = [];
    do args.push(this.argument());
    while (startsArgument(lexer.kind));
    return applied(callee, args, callee.start, lexer.before);
  }

  /** `subject.path or fallback`, or the subject alone. */
  private select(first: Expr | undefined): Expr {
    const { lexer } = this;
    const subject = first ?? this.simple();
    if (this.is(Token.Dot)) {
      lexer.next();
      const path = this.attrPath();
      let fallback: Expr | undefined;
      if (this.is(Token.OrKeyword)) {
        lexer.next();
        fallback = this.fallback();
      }
      return { kind: Kind.Select, start: subject.start, end: lexer.before, subject, path, fallback };
    }
    return this.is(Token.OrKeyword) ? this.orArgument(subject) : subject;
  }

  /** What follows `or`: another select, whose own fallback may follow in turn. */
  private fallback(): Expr {
    const { lexer } = this;
    const pending: { subject: Expr; path: AttrName[] }[] = [];
    let value: Expr;
    for (;;) {
      const subject = this.simple();
      if (this.is(Token.OrKeyword)) {
        value = this.orArgument(subject);
        break;
      }
      if (!this.is(Token.Dot)) {
        value = subject;
        break;
      }
      lexer.next();
      const path = this.attrPath();
      if (!this.is(Token.OrKeyword)) {
        const { start } = subject;
        value = { kind: Kind.Select, start, end: lexer.before, subject, path, fallback: undefined };
        break;
      }
      lexer.next();
      pending.push({ subject, path });
    }
    for (let i = pending.length - 1; i >= 0; i--) {
      const { subject, path } = pending[i] as { subject: Expr; path: AttrName[] };
      value = { kind: Kind.Select, start: subject.start, end: value.end, subject, path, fallback: value };
    }
    return value;
  }

  /** An argument or list item; `f or` there is one of them now and may be two in the future. */
  private argument(): Expr {
    const { start } = this.lexer;
    const argument = this.select(undefined);
    if (this.orEnd === this.lexer.before) {
      const place = { start, end: this.lexer.before };
      const message = "this expression uses 'or' as an identifier in a way that will change in a future Nix release";
      this.complaints.warn("WARN_OR_IDENTIFIER", message, place, "wrap it in parentheses");
    }
    return argument;
  }

  /** `f or`: the historic form in which `or` is an argument. */
  private orArgument(callee: Expr): Expr {
    const { lexer } = this;
    const { start, end } = lexer;
    lexer.next();
    const or: VariableExpr = { kind: Kind.Variable, start, end, name: "or" };
    this.orEnd = end;
    return { kind: Kind.Apply, start: callee.start, end, callee, args: [or] };
  }

  // Operands.

  private simple(): Expr {
    const { lexer } = this;
    const { start, end } = lexer;
    switch (lexer.kind) {
      case Token.Name: {
        const name = lexer.value;
        lexer.next();
        return this.variable(start, end, name);
      }
      case Token.Quote:
        return this.literals.string();
      case Token.OpenBrace:
        return this.setLiteral(start, false);
      case Token.OpenParen: {
        lexer.next();
        const inner = this.expression();
        if (!this.is(Token.CloseParen)) this.complaints.unclosed(start, "')'");
        lexer.next();
        return inner;
      }
      case Token.OpenBracket:
        return this.list();
      case Token.IndentedQuote:
        return this.literals.indentedString();
      case Token.Int:
        return this.literals.int();
      case Token.Path:
      case Token.HomePath:
        return this.literals.path();
      default:
        return this.rareOperand();
    }
  }

  private rareOperand(): Expr {
    const { lexer } = this;
    const { start, end } = lexer;
    switch (lexer.kind) {
      case Token.Rec:
        lexer.next();
        return this.setLiteral(start, true);
      case Token.Let:
        lexer.next();
        if (!this.is(Token.OpenBrace)) this.complaints.unexpected("'{'");
        return this.legacyLet(start);
      case Token.Float:
        return this.literals.float();
      case Token.SearchPath: {
        const name = lexer.value;
        lexer.next();
        return { kind: Kind.SearchPath, start, end, name };
      }
      case Token.Uri:
        return this.literals.uri();
      default:
        return this.complaints.unexpected("");
    }
  }

  private list(): Expr {
    const { lexer } = this;
    const { start } = lexer;
    const items: Expr[] = [];
    lexer.next();
    while (!this.is(Token.CloseBracket)) {
      if (this.is(Token.EndOfFile)) this.complaints.unclosed(start, "']'");
      items.push(this.argument());
    }
    lexer.next();
    return { kind: Kind.List, start, end: lexer.before, items };
  }

  // Attribute sets.

  private setLiteral(start: number, recursive: boolean): Expr {
    if (!this.is(Token.OpenBrace)) this.complaints.unexpected("'{'");
    const set = growingSet(start, start, recursive);
    this.braces(set);
    return set;
  }

  /** `{ bindings }` from the opening brace on. */
  private braces(set: GrowingSet): void {
    this.lexer.next();
    this.bindings(set, Token.CloseBrace);
    this.lexer.next();
    set.end = this.lexer.before;
  }

  private bindings(set: GrowingSet, close: Token): void {
    const { lexer } = this;
    while (lexer.kind !== close) {
      if (this.is(Token.EndOfFile)) this.complaints.unclosed(set.start, close === Token.In ? "'in'" : "'}'");
      if (this.is(Token.Inherit)) this.inherit(set);
      else this.pathBinding(set, undefined);
    }
  }

  /** `path = value;`, whose first name may have been read. */
  private pathBinding(set: GrowingSet, first: AttrName | undefined): void {
    const { lexer } = this;
    const path = this.attrPath(first);
    if (!this.is(Token.Assign)) this.complaints.unexpected("'.' or '='");
    lexer.next();
    const { start } = lexer;
    const value = this.expression();
    if (!this.is(Token.Semicolon)) this.complaints.unfinished(value);
    const defers = this.withs > 0 && this.defers && set.bindings.length >= DEFER_FROM;
    const kept = defers && isDelayed(value) ? new Deferred(this.range, value, start, lexer.before) : value;
    lexer.next();
    this.sets.addPath(set, path, kept);
  }

  private inherit(set: GrowingSet): void {
    const { lexer } = this;
    const { start } = lexer;
    lexer.next();
    let source: InheritSourceExpr | undefined;
    if (this.is(Token.OpenParen)) {
      lexer.next();
      const expr = this.expression();
      this.expect(Token.CloseParen);
      source = { kind: Kind.InheritSource, start: expr.start, end: expr.end, index: set.sources.length };
      set.sources.push(expr);
    }
    let count = 0;
    while (!this.is(Token.Semicolon)) {
      this.inheritName(set, this.attrName(), source);
      count++;
    }
    lexer.next();
    if (count === 0)
      this.complaints.warn("WARN_EMPTY_INHERIT", "this 'inherit' names nothing", { start, end: lexer.before });
  }

  private inheritName(set: GrowingSet, attr: AttrName, source: InheritSourceExpr | undefined): void {
    const { start, end, name } = attr;
    if (name === undefined) {
      return this.complaints.fail("ERR_PARSE_DYNAMIC_INHERIT", "dynamic attributes not allowed in inherit", attr);
    }
    const value: Expr =
      source === undefined
        ? { kind: Kind.Variable, start, end, name }
        : { kind: Kind.Select, start, end, subject: source, path: [attr], fallback: undefined };
    const kind = source === undefined ? BindingKind.Inherited : BindingKind.InheritedFrom;
    this.sets.add(set, { kind, start, end, name, value }, [attr]);
  }

  private attrPath(first?: AttrName): AttrName[] {
    const path = [first ?? this.attrName()];
    while (this.is(Token.Dot)) {
      this.lexer.next();
      path.push(this.attrName());
    }
    return path;
  }

  private attrName(): AttrName {
    const { lexer } = this;
    const { start, kind } = lexer;
    if (kind === Token.Name || kind === Token.OrKeyword) {
      const { value: name, end } = lexer;
      lexer.next();
      return { start, end, name, expr: undefined };
    }
    if (kind === Token.Quote) return attrNameOf(this.literals.string(), start, lexer.before);
    if (kind === Token.DollarBrace) {
      const expr = this.literals.interpolated();
      lexer.next();
      return attrNameOf(expr, start, lexer.before);
    }
    return this.complaints.unexpected("identifier or 'or' or '${' or '\"'");
  }

  // Tokens.

  /** Whether this is the current token's kind. (A method: the type checker must not believe that it stays so.) */
  private is(kind: Token): boolean {
    return this.lexer.kind === kind;
  }

  private expect(kind: Token): void {
    if (!this.is(kind)) this.complaints.unexpected(TOKEN_NAMES[kind] as string);
    this.lexer.next();
  }
}
