// The lexer: reads one token at a time from a byte string, allocating only names.
//
// Nix's lexical grammar is "longest match wins" over patterns that overlap: `a.b/c` is one path, `a.b:c` one URI, and
// `a.b c` three tokens. Both questions depend on where a run of path characters (or scheme characters) ends, and the
// same run is asked about once for each token in it. `pathRun` and `schemeRun` remember the end of the last run, which
// keeps the lexer linear on any input.
//
// What stands inside strings and interpolated paths is not tokens: the parser calls `stringPart`, `indentedPart` and
// `pathPart` there, and comes back to `next` for what is between `${` and `}`.

import { CHAR_FLAGS, DIGIT, NAME_PART, NAME_START, PATH_PART, SCHEME_PART, SPACE, URI_PART } from "./chars.ts";
import { Token } from "./token.ts";

/** What ended a part of a string or path. */
export const PartEnd = {
  /** The closing quote (consumed), or for a path anything that is not part of it (left alone). */
  Close: 0,
  /** `${`, consumed. */
  Interpolation: 1,
  /** In an indented string: an escape, whose text comes as the next part. */
  Escape: 2,
  /** The text ended inside the string. */
  EndOfFile: 3,
  /** A path ended in a slash. */
  TrailingSlash: 4,
  /** More text of the same path follows (after a doubled slash). */
  More: 5,
} as const;
export type PartEnd = (typeof PartEnd)[keyof typeof PartEnd];

const LF = 10;
const CR = 13;
const SPACE_CHAR = 32;
const QUOTE = 34;
const HASH = 35;
const DOLLAR = 36;
const APOSTROPHE = 39;
const STAR = 42;
const PLUS = 43;
const DOT = 46;
const SLASH = 47;
const ZERO = 48;
const COLON = 58;
const LESS = 60;
const EQUALS = 61;
const GREATER = 62;
const BACKSLASH = 92;
const BRACE = 123;
const BAR = 124;
const TILDE = 126;

/** Tokens of one char that never begin a longer one, by char; 0 for the rest. */
const SINGLE = new Uint8Array(128);
for (const [char, token] of [
  [";", Token.Semicolon],
  [",", Token.Comma],
  ["@", Token.At],
  [":", Token.Colon],
  ["?", Token.Question],
  ["*", Token.Star],
  ["(", Token.OpenParen],
  [")", Token.CloseParen],
  ["[", Token.OpenBracket],
  ["]", Token.CloseBracket],
  ["{", Token.OpenBrace],
  ["}", Token.CloseBrace],
  ['"', Token.Quote],
] as const) {
  SINGLE[char.charCodeAt(0)] = token;
}

/** A position in a text and the token there. Everything is public to the parser and to nobody else. */
export class Lexer {
  readonly text: string;
  readonly length: number;
  /** The current token: kind, first offset, offset after it. */
  kind: Token = Token.EndOfFile;
  start = 0;
  end = 0;
  /** The end of the token before the current one: where a construct that ends before the current token ends. */
  before = 0;
  /** The name of a {@link Token.Name}, and the decoded text after `stringPart`, `indentedPart` and `pathPart`. */
  value = "";
  private readonly names = new Map<string, string>();
  private pathRun = 0;
  private schemeRun = 0;

  /** Reads what stands between two offsets. */
  constructor(text: string, from: number, to: number) {
    this.text = text;
    this.length = to;
    this.end = from;
  }

  /** Moves to the next token. */
  next(): void {
    this.before = this.end;
    const text = this.text;
    let i = this.end;
    let char: number;
    for (;;) {
      if (i >= this.length) {
        this.kind = Token.EndOfFile;
        this.start = this.end = this.length;
        return;
      }
      char = text.charCodeAt(i);
      if (char === SPACE_CHAR || char === LF) i++;
      else if (char === HASH) i = this.lineCommentEnd(i + 1);
      else if (char === SLASH && i + 1 < this.length && text.charCodeAt(i + 1) === STAR) {
        const close = text.indexOf("*/", i + 2);
        if (close < 0) break;
        i = close + 2;
      } else if (char < 32 && flags(char) & SPACE) i++;
      else break;
    }
    this.start = i;
    const flag = flags(char);
    if (flag & NAME_START) this.scanName(i);
    else if (flag & DIGIT) this.scanNumber(i);
    else if (char < 128 && SINGLE[char] !== 0) this.accept(SINGLE[char] as Token, i + 1);
    else if ((char === DOT || char === SLASH || flag & PATH_PART) && this.startsPath(i)) this.scanPath(Token.Path, i);
    else this.scanSymbol(i, char);
  }

  /** The char at an offset, or 256 after the end. */
  at(i: number): number {
    return i < this.length ? this.text.charCodeAt(i) : 256;
  }

  private accept(kind: Token, end: number): void {
    this.kind = kind;
    this.end = end;
  }

  private lineCommentEnd(i: number): number {
    const text = this.text;
    while (i < this.length) {
      const char = text.charCodeAt(i);
      if (char === LF || char === CR) break;
      i++;
    }
    return i;
  }

  private scanName(start: number): void {
    const text = this.text;
    let i = start + 1;
    while (i < this.length && flags(text.charCodeAt(i)) & NAME_PART) i++;
    const after = this.at(i);
    if (after === DOT || after === SLASH || after === COLON || after === PLUS) {
      if (this.startsPath(start)) return this.scanPath(Token.Path, start);
      const uri = this.uriEnd(start);
      if (uri > 0) {
        this.value = text.slice(start, uri);
        return this.accept(Token.Uri, uri);
      }
    }
    this.end = i;
    const keyword = i - start <= 7 ? this.keyword(start, i - start) : Token.Name;
    this.kind = keyword;
    if (keyword === Token.Name || keyword === Token.OrKeyword) this.value = this.intern(text.slice(start, i));
  }

  private intern(name: string): string {
    const known = this.names.get(name);
    if (known !== undefined) return known;
    this.names.set(name, name);
    return name;
  }

  private keyword(start: number, length: number): Token {
    switch (this.text.charCodeAt(start)) {
      case 97:
        return this.is(start, length, "assert") ? Token.Assert : Token.Name;
      case 101:
        return this.is(start, length, "else") ? Token.Else : Token.Name;
      case 105:
        if (length === 2) {
          const second = this.text.charCodeAt(start + 1);
          return second === 102 ? Token.If : second === 110 ? Token.In : Token.Name;
        }
        return this.is(start, length, "inherit") ? Token.Inherit : Token.Name;
      case 108:
        return this.is(start, length, "let") ? Token.Let : Token.Name;
      case 111:
        return this.is(start, length, "or") ? Token.OrKeyword : Token.Name;
      case 114:
        return this.is(start, length, "rec") ? Token.Rec : Token.Name;
      case 116:
        return this.is(start, length, "then") ? Token.Then : Token.Name;
      case 119:
        return this.is(start, length, "with") ? Token.With : Token.Name;
      default:
        return Token.Name;
    }
  }

  private is(start: number, length: number, word: string): boolean {
    if (length !== word.length) return false;
    for (let i = 1; i < length; i++) if (this.text.charCodeAt(start + i) !== word.charCodeAt(i)) return false;
    return true;
  }

  /** `[0-9]+`, `[1-9][0-9]*\.[0-9]*` or `0\.[0-9]+` with an exponent, or a path that starts with a digit. */
  private scanNumber(start: number): void {
    let i = this.digitsEnd(start);
    const after = this.at(i);
    if (flags(after) & PATH_PART || after === SLASH) {
      if (this.startsPath(start)) return this.scanPath(Token.Path, start);
    }
    if (after === DOT) {
      const zero = this.text.charCodeAt(start) === ZERO;
      if (!zero || (i === start + 1 && flags(this.at(i + 1)) & DIGIT)) {
        i = this.exponentEnd(this.digitsEnd(i + 1));
        return this.accept(Token.Float, i);
      }
    }
    this.accept(Token.Int, i);
  }

  private digitsEnd(i: number): number {
    while (flags(this.at(i)) & DIGIT) i++;
    return i;
  }

  private exponentEnd(i: number): number {
    const e = this.at(i);
    if (e !== 69 && e !== 101) return i;
    const sign = this.at(i + 1);
    const digits = sign === PLUS || sign === 45 ? i + 2 : i + 1;
    const end = this.digitsEnd(digits);
    return end > digits ? end : i;
  }

  /** Operators, and what starts with the same chars: `<…>`, `~/…`, `''`, `${`, `...`, `.5`. */
  private scanSymbol(i: number, char: number): void {
    const second = this.at(i + 1);
    switch (char) {
      case DOT:
        if (second === DOT && this.at(i + 2) === DOT) return this.accept(Token.Ellipsis, i + 3);
        if (flags(second) & DIGIT) return this.accept(Token.Float, this.exponentEnd(this.digitsEnd(i + 1)));
        return this.accept(Token.Dot, i + 1);
      case EQUALS:
        return second === EQUALS ? this.accept(Token.Equal, i + 2) : this.accept(Token.Assign, i + 1);
      case DOLLAR:
        return second === BRACE ? this.accept(Token.DollarBrace, i + 2) : this.accept(Token.Invalid, i + 1);
      case APOSTROPHE:
        return second === APOSTROPHE ? this.accept(Token.IndentedQuote, i + 2) : this.accept(Token.Invalid, i + 1);
      case PLUS:
        return second === PLUS ? this.accept(Token.Concat, i + 2) : this.accept(Token.Plus, i + 1);
      case SLASH:
        return second === SLASH ? this.accept(Token.Update, i + 2) : this.accept(Token.Slash, i + 1);
      case 45:
        return second === GREATER ? this.accept(Token.Implies, i + 2) : this.accept(Token.Minus, i + 1);
      case 33:
        return second === EQUALS ? this.accept(Token.NotEqual, i + 2) : this.accept(Token.Not, i + 1);
      case LESS:
        return this.scanLess(i, second);
      case GREATER:
        return second === EQUALS ? this.accept(Token.GreaterEqual, i + 2) : this.accept(Token.Greater, i + 1);
      case 38:
        return second === 38 ? this.accept(Token.And, i + 2) : this.accept(Token.Invalid, i + 1);
      case BAR:
        if (second === BAR) return this.accept(Token.Or, i + 2);
        return second === GREATER ? this.accept(Token.PipeInto, i + 2) : this.accept(Token.Invalid, i + 1);
      case TILDE:
        if (second === SLASH && (flags(this.at(i + 2)) & PATH_PART || this.interpolates(i + 2))) {
          return this.scanPath(Token.HomePath, i + 1);
        }
        return this.accept(Token.Invalid, i + 1);
      default:
        return this.accept(Token.Invalid, i + 1);
    }
  }

  private scanLess(start: number, second: number): void {
    if (second === EQUALS) return this.accept(Token.LessEqual, start + 2);
    if (second === BAR) return this.accept(Token.PipeFrom, start + 2);
    if (flags(second) & PATH_PART) {
      let i = start + 1;
      let segment = 0;
      for (;;) {
        const char = this.at(i);
        if (flags(char) & PATH_PART) segment++;
        else if (char === SLASH && segment > 0) segment = 0;
        else if (char === GREATER && segment > 0) {
          this.value = this.text.slice(start + 1, i);
          return this.accept(Token.SearchPath, i + 1);
        } else break;
        i++;
      }
    }
    this.accept(Token.Less, start + 1);
  }

  private interpolates(i: number): boolean {
    return this.at(i) === DOLLAR && this.at(i + 1) === BRACE;
  }

  /** Whether the run of path chars at `i` (perhaps empty) goes on with a slash and a path char or `${`. */
  private startsPath(i: number): boolean {
    let end = i;
    if (i < this.pathRun) end = this.pathRun;
    else {
      while (flags(this.at(end)) & PATH_PART) end++;
      this.pathRun = end;
    }
    return this.at(end) === SLASH && ((flags(this.at(end + 1)) & PATH_PART) !== 0 || this.interpolates(end + 1));
  }

  /** The end of the URI at `start`, or 0. */
  private uriEnd(start: number): number {
    if (this.text.charCodeAt(start) === 95) return 0;
    let end = start;
    if (start < this.schemeRun) end = this.schemeRun;
    else {
      while (flags(this.at(end)) & SCHEME_PART) end++;
      this.schemeRun = end;
    }
    if (this.at(end) !== COLON || !(flags(this.at(end + 1)) & URI_PART)) return 0;
    end += 2;
    while (flags(this.at(end)) & URI_PART) end++;
    return end;
  }

  /** The first literal text of a path, which `startsPath` has found at `from` (after the `~` of a home path). */
  private scanPath(kind: Token, from: number): void {
    const end = this.segmentsEnd(from);
    this.value = this.text.slice(from, end);
    this.accept(kind, end);
  }

  /** The end of the longest `PART*(/PART+)*` and a slash, from `i`. */
  private segmentsEnd(i: number): number {
    for (;;) {
      while (flags(this.at(i)) & PATH_PART) i++;
      if (this.at(i) !== SLASH) return i;
      i++;
      if (!(flags(this.at(i)) & PATH_PART)) return i;
    }
  }

  /**
   * What follows a literal text of a path: an interpolation, more text (in `value`), or its end. The current token's
   * `end` is moved behind what was read.
   */
  pathPart(): PartEnd {
    const start = this.end;
    if (this.interpolates(start)) {
      this.end = start + 2;
      return PartEnd.Interpolation;
    }
    const end = this.segmentsEnd(start);
    if (end > start) {
      this.start = start;
      this.value = this.text.slice(start, end);
      this.end = end;
      return PartEnd.More;
    }
    return this.at(start - 1) === SLASH ? PartEnd.TrailingSlash : PartEnd.Close;
  }

  /** Reads text inside `"…"` from the end of the current token up to what ends it; the decoded text is in `value`. */
  stringPart(): PartEnd {
    const { text, length } = this;
    const start = this.end;
    let i = start;
    let plain = true;
    let ended: PartEnd = PartEnd.EndOfFile;
    while (i < length) {
      const char = text.charCodeAt(i);
      if (char === QUOTE) {
        ended = PartEnd.Close;
        break;
      }
      if (char === BACKSLASH) {
        plain = false;
        i += 2;
      } else if (char === DOLLAR) {
        const second = this.at(i + 1);
        if (second === BRACE) {
          ended = PartEnd.Interpolation;
          break;
        }
        if (second === CR) plain = false;
        i += second === QUOTE || second === BACKSLASH ? 1 : 2;
      } else {
        if (char === CR) plain = false;
        i++;
      }
    }
    if (ended === PartEnd.EndOfFile) {
      this.start = this.end = length;
      return ended;
    }
    this.value = plain ? text.slice(start, i) : unescape(text.slice(start, i));
    this.end = ended === PartEnd.Close ? i + 1 : i + 2;
    return ended;
  }

  /**
   * Reads text inside `''…''` up to an escape, an interpolation or the end. After {@link PartEnd.Escape}, `value` is
   * still the text before the escape: `escapePart` reads the escape itself.
   */
  indentedPart(): PartEnd {
    const { text, length } = this;
    const start = this.end;
    let i = start;
    let ended: PartEnd = PartEnd.EndOfFile;
    while (i < length) {
      const char = text.charCodeAt(i);
      if (char === DOLLAR) {
        const second = this.at(i + 1);
        if (second === BRACE) {
          ended = PartEnd.Interpolation;
          break;
        }
        if (second === APOSTROPHE || second === 256) {
          ended = PartEnd.Escape;
          break;
        }
        i += 2;
      } else if (char === APOSTROPHE) {
        const second = this.at(i + 1);
        if (second === APOSTROPHE) {
          const third = this.at(i + 2);
          const escapes = third === DOLLAR || third === APOSTROPHE || (third === BACKSLASH && i + 3 < length);
          ended = escapes ? PartEnd.Escape : PartEnd.Close;
          break;
        }
        if (second === DOLLAR || second === 256) {
          ended = PartEnd.Escape;
          break;
        }
        i += 2;
      } else i++;
    }
    this.value = text.slice(start, i);
    if (ended === PartEnd.EndOfFile) this.start = this.end = length;
    else this.end = ended === PartEnd.Escape ? i : i + 2;
    return ended;
  }

  /** Reads one escape inside `''…''`: `''$`, `'''`, `''\c`, or a `$` or `'` that stands for itself. */
  escapePart(): string {
    const i = this.end;
    if (this.text.charCodeAt(i) === DOLLAR || this.at(i + 1) !== APOSTROPHE) {
      this.end = i + 1;
      return this.text.slice(i, i + 1);
    }
    const third = this.at(i + 2);
    this.end = third === BACKSLASH ? i + 4 : i + 3;
    if (third === BACKSLASH) return unescape(this.text.slice(i + 2, i + 4));
    return third === DOLLAR ? "$" : "''";
  }
}

function flags(char: number): number {
  return CHAR_FLAGS[char] as number;
}

/** Decodes backslash escapes, and turns CR and CR LF into LF. */
function unescape(raw: string): string {
  const parts: string[] = [];
  let from = 0;
  for (let i = 0; i < raw.length; i++) {
    const char = raw.charCodeAt(i);
    if (char === BACKSLASH) {
      const decoded = ESCAPES.get(raw.charCodeAt(i + 1));
      parts.push(raw.slice(from, i));
      if (decoded === undefined) from = i + 1;
      else {
        parts.push(decoded);
        from = i + 2;
      }
      i++;
    } else if (char === CR) {
      parts.push(raw.slice(from, i), "\n");
      if (raw.charCodeAt(i + 1) === LF) i++;
      from = i + 1;
    }
  }
  parts.push(raw.slice(from));
  return parts.join("");
}

const ESCAPES: ReadonlyMap<number, string> = new Map([
  [110, "\n"],
  [114, "\r"],
  [116, "\t"],
]);
