// JSON text to values, accepting and refusing exactly what Nix's JSON library (nlohmann) does, with its messages.
//
// The text is one char per byte and must be UTF-8 inside strings. Values are handed to a builder as soon as they are
// complete, so that nothing is built twice. Nesting is kept on a stack of our own: depth is bounded by memory only.
//
// Integers are those numbers without fraction and exponent that fit 64 bits, signed or (above 2^63, for the builder to
// refuse) unsigned; any further number is a float, and one too large for a float is an error.
import { EvalError } from "../error.ts";
import { utf8Fault } from "./utf8.ts";

/** Makes values of what has been read. Strings are one char per byte. `L` is what is worked out once per kind of object. */
export interface JsonBuilder<V, L> {
  readonly null: V;
  readonly true: V;
  readonly false: V;
  /** A safe integer. */
  integer(value: number): V;
  /** An integer from -2^63 to 2^64 - 1 that is not safe. */
  bigInteger(value: bigint): V;
  float(value: number): V;
  string(text: string): V;
  list(items: V[]): V;
  /** For names in the order of the text, repeated where the text repeats them; the last of them counts. */
  layout(names: readonly string[]): L;
  object(layout: L, values: V[]): V;
}

/** Parses a whole text; throws `ERR_EVAL_JSON` with line and column (in bytes) of the fault. */
export function parseJson<V, L>(text: string, builder: JsonBuilder<V, L>): V {
  return new JsonParser(text, builder).parse();
}

const TAB = 0x09;
const LINE_FEED = 0x0a;
const CARRIAGE_RETURN = 0x0d;
const SPACE = 0x20;
const QUOTE = 0x22;
const COMMA = 0x2c;
const MINUS = 0x2d;
const DOT = 0x2e;
const ZERO = 0x30;
const NINE = 0x39;
const COLON = 0x3a;
/** The closing brackets are two codes behind the opening ones. */
const OPEN_LIST = 0x5b;
const BACKSLASH = 0x5c;
const CLOSE_LIST = 0x5d;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;

const CONTROL_NAMES =
  "NUL SOH STX ETX EOT ENQ ACK BEL BS HT LF VT FF CR SO SI DLE DC1 DC2 DC3 DC4 NAK SYN ETB CAN EM SUB ESC FS GS RS US".split(
    " ",
  );
const CONTROL_ESCAPES: Readonly<Record<number, string>> = { 8: "b", 9: "t", 10: "n", 12: "f", 13: "r" };
const LITERAL_OR_VALUE = "'[', '{', or a literal";

/** The powers of ten that are floats without rounding. */
const POWERS_OF_TEN = [1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17];

function isDigit(code: number): boolean {
  return code >= ZERO && code <= NINE;
}

/** Nodes of the tree of name sequences; objects beyond it get a layout each. */
const NODE_LIMIT = 20_000;

/**
 * The names of an object so far. Objects of one kind have the same names in the same order, so each node remembers
 * which name came next the last time: it is compared in place, and the layout is made once.
 */
class NameNode<L> {
  readonly parent: NameNode<L> | null;
  readonly name: string;
  /** The name with its closing quote as it stands in the text; "" if it cannot be compared in place. */
  readonly spelling: string;
  likely: NameNode<L> | null = null;
  readonly next: Map<string, NameNode<L>> = new Map();
  layout: L | undefined = undefined;

  constructor(parent: NameNode<L> | null, name: string) {
    this.parent = parent;
    this.name = name;
    this.spelling = /^[ !#-[\]-~]*$/.test(name) ? `${name}"` : "";
  }
}

function namesOf<L>(last: NameNode<L>): string[] {
  const names: string[] = [];
  for (let node = last; node.parent !== null; node = node.parent) names.push(node.name);
  return names.reverse();
}

/** An open list (`node` null) or object. */
interface Frame<L> {
  /** Where its values begin on the stack of values. */
  readonly base: number;
  node: NameNode<L> | null;
}

class JsonParser<V, L> {
  readonly #text: string;
  readonly #builder: JsonBuilder<V, L>;
  readonly #root: NameNode<L> = new NameNode(null, "");
  #nodes = 0;
  /** The complete values of all open lists and objects: those below `#depth`. It never shrinks, which V8 makes dear. */
  readonly #values: V[] = [];
  #depth = 0;
  #at = 0;
  /** Where the last string or number began: nlohmann shows all text from there for a word that is no literal. */
  #shownFrom = 0;
  /** What is being read, for messages. */
  #context = "value";
  #expected = "";

  constructor(text: string, builder: JsonBuilder<V, L>) {
    this.#text = text;
    this.#builder = builder;
  }

  parse(): V {
    this.#skipByteOrderMark();
    const frames: Frame<L>[] = [];
    let frame: Frame<L> | undefined;
    for (;;) {
      // A value begins here.
      const code = this.#skipSpace();
      let value: V;
      if (code === OPEN_OBJECT || code === OPEN_LIST) {
        this.#at++;
        const inner: Frame<L> = { base: this.#depth, node: code === OPEN_OBJECT ? this.#root : null };
        if (this.#skipSpace() !== code + 2) {
          if (frame) frames.push(frame);
          frame = inner;
          if (frame.node) frame.node = this.#name(frame.node);
          continue;
        }
        this.#at++;
        value = this.#close(inner);
      } else {
        value = this.#scalar(code);
      }
      // A value is complete: close what it completes.
      for (;;) {
        if (frame === undefined) return this.#end(value);
        this.#values[this.#depth++] = value;
        const after = this.#skipSpace();
        if (after === COMMA) {
          this.#at++;
          if (frame.node) frame.node = this.#name(frame.node);
          break;
        }
        if (after !== (frame.node ? CLOSE_OBJECT : CLOSE_LIST)) {
          this.#unexpected(frame.node ? "object" : "array", frame.node ? "'}'" : "']'");
        }
        this.#at++;
        value = this.#close(frame);
        frame = frames.pop();
      }
    }
  }

  /** The value of a list or object whose closing bracket has been read. */
  #close(frame: Frame<L>): V {
    const values = this.#values.slice(frame.base, this.#depth);
    this.#depth = frame.base;
    const node = frame.node;
    if (node === null) return this.#builder.list(values);
    const layout = node.layout ?? this.#builder.layout(namesOf(node));
    node.layout = layout;
    return this.#builder.object(layout, values);
  }

  #end(value: V): V {
    if (!Number.isNaN(this.#skipSpace())) this.#unexpected("value", "end of input");
    return value;
  }

  #skipByteOrderMark(): void {
    const text = this.#text;
    if (text.charCodeAt(0) !== 0xef) return;
    if (text.charCodeAt(1) === 0xbb && text.charCodeAt(2) === 0xbf) this.#at = 3;
    else this.#fault("invalid BOM; must be 0xEF 0xBB 0xBF if given", 0, text.charCodeAt(1) === 0xbb ? 3 : 2);
  }

  #skipSpace(): number {
    for (;;) {
      const code = this.#text.charCodeAt(this.#at);
      if (code !== SPACE && code !== LINE_FEED && code !== CARRIAGE_RETURN && code !== TAB) return code;
      this.#at++;
    }
  }

  /** An attribute name and the colon behind it; answers the node of the names so far. */
  #name(before: NameNode<L>): NameNode<L> {
    if (this.#skipSpace() !== QUOTE) this.#unexpected("object key", "string literal");
    const likely = before.likely;
    let node: NameNode<L>;
    if (likely !== null && likely.spelling !== "" && this.#text.startsWith(likely.spelling, this.#at + 1)) {
      this.#shownFrom = this.#at;
      this.#at += likely.spelling.length + 1;
      node = likely;
    } else {
      node = this.#otherName(before);
    }
    if (this.#skipSpace() !== COLON) this.#unexpected("object separator", "':'");
    this.#at++;
    return node;
  }

  #otherName(before: NameNode<L>): NameNode<L> {
    this.#context = "object key";
    this.#expected = "string literal";
    const name = this.#string();
    this.#context = "value";
    this.#expected = "";
    let node = before.next.get(name);
    if (node === undefined) {
      node = new NameNode(before, name);
      // A node beyond the limit serves this object only.
      if (this.#nodes++ > NODE_LIMIT) return node;
      before.next.set(name, node);
    }
    before.likely = node;
    return node;
  }

  #scalar(code: number): V {
    switch (code) {
      case QUOTE:
        return this.#builder.string(this.#string());
      case 0x74:
        this.#literal("true");
        return this.#builder.true;
      case 0x66:
        this.#literal("false");
        return this.#builder.false;
      case 0x6e:
        this.#literal("null");
        return this.#builder.null;
      default:
        if (code === MINUS || (code >= ZERO && code <= NINE)) return this.#number();
        return this.#unexpected("value", LITERAL_OR_VALUE);
    }
  }

  #literal(word: string): void {
    const start = this.#at;
    if (!this.#text.startsWith(word, start)) {
      let read = 1;
      while (this.#text[start + read] === word[read]) read++;
      this.#fault("invalid literal", this.#shownFrom, start + read + 1);
    }
    this.#at = start + word.length;
  }

  #number(): V {
    const text = this.#text;
    const start = this.#at;
    this.#shownFrom = start;
    let at = start;
    let code = text.charCodeAt(at);
    if (code === MINUS) code = text.charCodeAt(++at);
    let value = 0;
    if (code === ZERO) {
      code = text.charCodeAt(++at);
    } else {
      if (!(code > ZERO && code <= NINE)) this.#fault("invalid number; expected digit after '-'", start, at + 1);
      while (isDigit(code)) {
        value = value * 10 + (code - ZERO);
        code = text.charCodeAt(++at);
      }
    }
    if (code === DOT || (code | 0x20) === 0x65) return this.#float(start, at, code, value);
    this.#at = at;
    const negative = text.charCodeAt(start) === MINUS;
    // A sum of less than 2^53 was computed without rounding.
    if (value <= Number.MAX_SAFE_INTEGER) return this.#builder.integer(negative && value !== 0 ? -value : value);
    const exact = at - start < 22 ? BigInt(text.slice(start, at)) : 0n;
    if (exact !== 0n && (negative ? exact >= -(2n ** 63n) : exact < 2n ** 64n)) return this.#builder.bigInteger(exact);
    return this.#finite(text.slice(start, at));
  }

  /** The rest of a number from its dot or exponent, which is at `from`; `whole` is what stands before it. */
  #float(start: number, from: number, first: number, whole: number): V {
    const text = this.#text;
    let at = from;
    let code = first;
    let mantissa = whole;
    if (code === DOT) {
      code = text.charCodeAt(++at);
      if (!isDigit(code)) this.#fault("invalid number; expected digit after '.'", start, at + 1);
      while (isDigit(code)) {
        mantissa = mantissa * 10 + (code - ZERO);
        code = text.charCodeAt(++at);
      }
    }
    if ((code | 0x20) === 0x65) {
      at = this.#exponent(start, at);
    } else if (mantissa <= Number.MAX_SAFE_INTEGER && at - from <= POWERS_OF_TEN.length) {
      // Both are exact, so the quotient is the nearest float.
      const value = mantissa / (POWERS_OF_TEN[at - from - 1] as number);
      this.#at = at;
      return this.#builder.float(text.charCodeAt(start) === MINUS ? -value : value);
    }
    this.#at = at;
    return this.#finite(text.slice(start, at));
  }

  /** Where the exponent ends whose `e` is at `from`. */
  #exponent(start: number, from: number): number {
    const text = this.#text;
    let at = from + 1;
    let fault = "invalid number; expected '+', '-', or digit after exponent";
    if (text.charCodeAt(at) === MINUS || text.charCodeAt(at) === 0x2b) {
      at++;
      fault = "invalid number; expected digit after exponent sign";
    }
    if (!isDigit(text.charCodeAt(at))) this.#fault(fault, start, at + 1);
    while (isDigit(text.charCodeAt(at))) at++;
    return at;
  }

  #finite(digits: string): V {
    const value = Number(digits);
    if (Number.isFinite(value)) return this.#builder.float(value);
    throw new EvalError("ERR_EVAL_JSON", `[json.exception.out_of_range.406] number overflow parsing '${digits}'`);
  }

  /** A string, its quote being next. */
  #string(): string {
    const text = this.#text;
    this.#shownFrom = this.#at;
    const start = this.#at + 1;
    let at = start;
    let seen = 0;
    for (;;) {
      const code = text.charCodeAt(at);
      if (code === QUOTE) break;
      if (code === BACKSLASH || !(code >= SPACE)) return this.#longString(start, at);
      seen |= code;
      at++;
    }
    if (seen >= 0x80) this.#checkUtf8(start, at, start - 1);
    this.#at = at + 1;
    return text.slice(start, at);
  }

  /** A string with an escape, which is at `firstEscape`, or a fault there. */
  #longString(start: number, firstEscape: number): string {
    const end = this.#endOfSimpleString(firstEscape);
    if (end === -1) return this.#stringInPieces(start, firstEscape);
    this.#checkUtf8(start, end, start - 1);
    this.#at = end + 1;
    // What has only escapes of one char means the same to JavaScript.
    return JSON.parse(this.#text.slice(start - 1, end + 1)) as string;
  }

  /** Where the string ends that goes on at `from`; -1 if it has faults or escapes of more than one char. */
  #endOfSimpleString(from: number): number {
    const text = this.#text;
    for (let at = from; ; at++) {
      const code = text.charCodeAt(at);
      if (code === QUOTE) return at;
      if (code === BACKSLASH) {
        at++;
        if (!'"\\/bfnrt'.includes(text.charAt(at)) || at >= text.length) return -1;
      } else if (!(code >= SPACE)) {
        return -1;
      }
    }
  }

  #stringInPieces(start: number, firstEscape: number): string {
    const text = this.#text;
    let out = "";
    let from = start;
    let at = firstEscape;
    for (;;) {
      const code = text.charCodeAt(at);
      if (code === QUOTE || code === BACKSLASH || !(code >= SPACE)) {
        this.#checkUtf8(from, at, start - 1);
        out += text.slice(from, at);
        if (code === QUOTE) break;
        if (code !== BACKSLASH) this.#badStringByte(code, start - 1, at);
        out += this.#escape(start - 1, at);
        at = from = this.#at;
      } else {
        at++;
      }
    }
    this.#at = at + 1;
    return out;
  }

  #badStringByte(code: number, token: number, at: number): never {
    if (Number.isNaN(code)) this.#fault("invalid string: missing closing quote", token, at + 1);
    const escape = `\\u${code.toString(16).toUpperCase().padStart(4, "0")}`;
    const short = CONTROL_ESCAPES[code] === undefined ? "" : ` or \\${CONTROL_ESCAPES[code]}`;
    const name = `U+${escape.slice(2)} (${CONTROL_NAMES[code]})`;
    return this.#fault(`invalid string: control character ${name} must be escaped to ${escape}${short}`, token, at + 1);
  }

  #checkUtf8(from: number, to: number, token: number): void {
    const fault = utf8Fault(this.#text, from, to);
    if (fault !== -1) this.#fault("invalid string: ill-formed UTF-8 byte", token, fault + 1);
  }

  /** The bytes of the escape whose backslash is at `at`; leaves the position behind it. */
  #escape(token: number, at: number): string {
    const char = this.#text.charAt(at + 1);
    this.#at = at + 2;
    switch (char) {
      case '"':
      case "\\":
      case "/":
        return char;
      case "b":
        return "\b";
      case "f":
        return "\f";
      case "n":
        return "\n";
      case "r":
        return "\r";
      case "t":
        return "\t";
      case "u":
        return this.#unicode(token, at);
      default:
        return this.#fault("invalid string: forbidden character after backslash", token, at + 2);
    }
  }

  #unicode(token: number, at: number): string {
    const first = this.#hex(token, at + 2);
    this.#at = at + 6;
    if (first >= 0xdc00 && first <= 0xdfff) {
      this.#fault("invalid string: surrogate U+DC00..U+DFFF must follow U+D800..U+DBFF", token, at + 6);
    }
    if (first < 0xd800 || first > 0xdbff) return encodeCodePoint(first);
    const alone = "invalid string: surrogate U+D800..U+DBFF must be followed by U+DC00..U+DFFF";
    if (this.#text[at + 6] !== "\\") this.#fault(alone, token, at + 7);
    if (this.#text[at + 7] !== "u") this.#fault(alone, token, at + 8);
    const second = this.#hex(token, at + 8);
    if (second < 0xdc00 || second > 0xdfff) this.#fault(alone, token, at + 12);
    this.#at = at + 12;
    return encodeCodePoint(0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00));
  }

  #hex(token: number, at: number): number {
    for (let i = at; i < at + 4; i++) {
      if (!/^[0-9a-fA-F]$/.test(this.#text.charAt(i))) {
        this.#fault("invalid string: '\\u' must be followed by 4 hex digits", token, i + 1);
      }
    }
    return Number.parseInt(this.#text.slice(at, at + 4), 16);
  }

  /** Refuses the token at the position, having found out what it is. */
  #unexpected(context: string, expected: string): never {
    const start = this.#at;
    const code = this.#text.charCodeAt(start);
    this.#context = context;
    this.#expected = context === "value" && expected === LITERAL_OR_VALUE ? "" : expected;
    if (Number.isNaN(code) || code === 0) {
      if (start === 0) {
        const hint =
          "attempting to parse an empty input; check that your input string or stream contains the expected JSON";
        this.#raise(hint, 1);
      }
      this.#raise(this.#message("unexpected end of input", expected), start + 1);
    }
    const name = this.#tokenName(code);
    return this.#raise(this.#message(`unexpected ${name}`, expected), Math.max(this.#at, start + 1));
  }

  /** What the token at the position is; the position moves behind it. A token that is none is a fault itself. */
  #tokenName(code: number): string {
    if ("[]{}:,".includes(String.fromCharCode(code))) return `'${String.fromCharCode(code)}'`;
    if (code === QUOTE) {
      this.#string();
      return "string literal";
    }
    if (code === MINUS || (code >= ZERO && code <= NINE)) {
      this.#number();
      return "number literal";
    }
    for (const word of ["true", "false", "null"]) {
      if (code === word.charCodeAt(0)) {
        this.#literal(word);
        return `${word} literal`;
      }
    }
    return this.#fault("invalid literal", this.#shownFrom, this.#at + 1);
  }

  #message(what: string, expected: string): string {
    return `syntax error while parsing ${this.#context} - ${what}${expected === "" ? "" : `; expected ${expected}`}`;
  }

  /** A fault inside a token that begins at `token`, found when the bytes before `read` had been read. */
  #fault(what: string, token: number, read: number): never {
    const shown = this.#text
      .slice(token, read)
      .replace(/[\0-\x1f]/g, (char) => `<U+${char.charCodeAt(0).toString(16).toUpperCase().padStart(4, "0")}>`);
    return this.#raise(this.#message(`${what}; last read: '${shown}'`, this.#expected), read);
  }

  #raise(message: string, read: number): never {
    const before = this.#text.slice(0, read);
    const line = before.split("\n").length;
    const column = read - (before.lastIndexOf("\n") + 1);
    throw new EvalError(
      "ERR_EVAL_JSON",
      `[json.exception.parse_error.101] parse error at line ${line}, column ${column}: ${message}`,
    );
  }
}

/** UTF-8 of a code point, one char per byte. */
export function encodeCodePoint(point: number): string {
  if (point < 0x80) return String.fromCharCode(point);
  const tail = (shift: number): number => 0x80 | ((point >> shift) & 0x3f);
  if (point < 0x800) return String.fromCharCode(0xc0 | (point >> 6), tail(0));
  if (point < 0x10000) return String.fromCharCode(0xe0 | (point >> 12), tail(6), tail(0));
  return String.fromCharCode(0xf0 | (point >> 18), tail(12), tail(6), tail(0));
}
