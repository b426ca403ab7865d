// TOML 1.0 to values, accepting and refusing what Nix 2.34 does (toml11 in its strict form).
//
// Written here rather than taken from a package because the answers must be Nix's: 64-bit integers with an error
// beyond, floats apart from integers, dates as text or not at all, no TOML 1.1, text that need not be decoded. Texts and names are one
// char per byte; positions in errors count bytes.
import { EvalError } from "../error.ts";
import { encodeCodePoint, type JsonBuilder } from "./json-parse.ts";
import { canonicalTimestamp } from "./toml-time.ts";
import { utf8Fault } from "./utf8.ts";

/** How a table came to be, which decides what may still be added to it. */
type Origin =
  /** Named on the way to a table of a header. */
  | "implicit"
  /** `[header]` or an element of `[[header]]`. */
  | "header"
  /** The left part of a dotted key. */
  | "dotted"
  /** `{ … }`: complete. */
  | "inline";

class Table<V> {
  readonly entries: Map<string, Item<V>> = new Map();
  origin: Origin;

  constructor(origin: Origin) {
    this.origin = origin;
  }
}

/** `[[header]]`, as opposed to an array value. */
class TableArray<V> {
  readonly tables: Table<V>[] = [];
}

interface Leaf<V> {
  readonly value: V;
}

type Item<V> = Table<V> | TableArray<V> | Leaf<V>;

const DEPTH_LIMIT = 1000;
const ESCAPES: Readonly<Record<string, string>> = {
  b: "\b",
  t: "\t",
  n: "\n",
  f: "\f",
  r: "\r",
  '"': '"',
  "\\": "\\",
};
const DECIMAL = /^[+-]?(?:0|[1-9](?:_?[0-9])*)$/;
const PREFIXED = /^0(?:x[0-9a-fA-F](?:_?[0-9a-fA-F])*|o[0-7](?:_?[0-7])*|b[01](?:_?[01])*)$/;
const FLOAT = /^[+-]?(?:0|[1-9](?:_?[0-9])*)(?:\.[0-9](?:_?[0-9])*)?(?:[eE][+-]?[0-9](?:_?[0-9])*)?$/;
const SPECIAL_FLOAT = /^[+-]?(?:inf|nan)$/;
const DATE_OR_TIME = /^[0-9]{4}-[0-9]{2}-[0-9]{2}|^[0-9]{2}:[0-9]{2}/;
const DATE = /^[0-9]{4}-[0-9]{2}-[0-9]{2}$/;

/** How TOML is read. */
export interface TomlOptions {
  /** Dates and times become sets `{ _type = "timestamp"; value = …; }`; otherwise they are refused. */
  readonly timestamps?: boolean;
}

/** Parses a whole document; throws `ERR_EVAL_TOML` with line and column (in bytes) of the fault. */
export function parseToml<V, L>(text: string, builder: JsonBuilder<V, L>, options: TomlOptions = {}): V {
  return new TomlParser(text, builder, options).parse();
}

class TomlParser<V, L> {
  readonly #text: string;
  readonly #builder: JsonBuilder<V, L>;
  readonly #options: TomlOptions;
  #at = 0;
  #depth = 0;

  constructor(text: string, builder: JsonBuilder<V, L>, options: TomlOptions) {
    this.#text = text;
    this.#builder = builder;
    this.#options = options;
  }

  parse(): V {
    if (this.#text.startsWith("\u00ef\u00bb\u00bf")) this.#at = 3;
    const root = new Table<V>("header");
    let current = root;
    for (;;) {
      this.#skipBlankLines();
      if (this.#at >= this.#text.length) return this.#build(root);
      if (this.#text[this.#at] === "[") current = this.#header(root);
      else this.#pair(current);
      this.#endOfLine();
    }
  }

  #fail(what: string, at = this.#at): never {
    const before = this.#text.slice(0, at);
    const line = before.split("\n").length;
    const column = at - before.lastIndexOf("\n");
    throw new EvalError("ERR_EVAL_TOML", `while parsing TOML: ${what} at line ${line}, column ${column}`);
  }

  #skipSpace(): void {
    while (this.#text[this.#at] === " " || this.#text[this.#at] === "\t") this.#at++;
  }

  /** Skips spaces, comments and line ends. */
  #skipBlankLines(): void {
    do this.#skipSpace();
    while (this.#comment() || this.#newline());
  }

  #comment(): boolean {
    if (this.#text[this.#at] !== "#") return false;
    const start = this.#at;
    while (this.#at < this.#text.length && !this.#atNewline()) {
      if (isControl(this.#text.charCodeAt(this.#at))) this.#fail("a control character in a comment");
      this.#at++;
    }
    this.#checkUtf8(start, this.#at);
    return true;
  }

  #atNewline(): boolean {
    return this.#text[this.#at] === "\n" || this.#text.startsWith("\r\n", this.#at);
  }

  #newline(): boolean {
    if (!this.#atNewline()) return false;
    this.#at += this.#text[this.#at] === "\n" ? 1 : 2;
    return true;
  }

  #endOfLine(): void {
    this.#skipSpace();
    this.#comment();
    if (this.#at < this.#text.length && !this.#newline()) this.#fail("the end of the line was expected");
  }

  #expect(token: string): void {
    if (!this.#text.startsWith(token, this.#at)) this.#fail(`'${token}' was expected`);
    this.#at += token.length;
  }

  /** `[a.b]` or `[[a.b]]`: the table that the lines below it belong to. */
  #header(root: Table<V>): Table<V> {
    const start = this.#at;
    const array = this.#text.startsWith("[[", start);
    this.#at += array ? 2 : 1;
    const keys = this.#dottedKey();
    this.#expect(array ? "]]" : "]");
    const last = keys.pop() as string;
    let table = root;
    for (const key of keys) {
      const item = table.entries.get(key);
      if (item === undefined) {
        const next = new Table<V>("implicit");
        table.entries.set(key, next);
        table = next;
      } else if (item instanceof TableArray) table = item.tables.at(-1) as Table<V>;
      else if (item instanceof Table && item.origin !== "inline") table = item;
      else this.#fail(`'${key}' is already defined and cannot hold a table`, start);
    }
    return array ? this.#tableOfArray(table, last, start) : this.#tableOfHeader(table, last, start);
  }

  #tableOfHeader(parent: Table<V>, key: string, start: number): Table<V> {
    const known = parent.entries.get(key);
    if (known === undefined) {
      const table = new Table<V>("header");
      parent.entries.set(key, table);
      return table;
    }
    if (!(known instanceof Table) || known.origin !== "implicit") this.#fail(`'${key}' is already defined`, start);
    known.origin = "header";
    return known;
  }

  #tableOfArray(parent: Table<V>, key: string, start: number): Table<V> {
    const array = parent.entries.get(key) ?? new TableArray<V>();
    if (!(array instanceof TableArray)) this.#fail(`'${key}' is already defined`, start);
    parent.entries.set(key, array);
    const table = new Table<V>("header");
    array.tables.push(table);
    return table;
  }

  /** `key = value`, put into a table. */
  #pair(into: Table<V>): void {
    const start = this.#at;
    const keys = this.#dottedKey();
    this.#expect("=");
    this.#skipSpace();
    const item = this.#value();
    const last = keys.pop() as string;
    let table = into;
    for (const key of keys) {
      let next = table.entries.get(key);
      if (next === undefined) {
        next = new Table<V>("dotted");
        table.entries.set(key, next);
      }
      if (!(next instanceof Table) || next.origin !== "dotted") {
        this.#fail(`'${key}' is already defined and cannot be added to`, start);
      }
      table = next;
    }
    if (table.entries.has(last)) this.#fail(`'${last}' is already defined`, start);
    table.entries.set(last, item);
  }

  #dottedKey(): string[] {
    const keys: string[] = [];
    for (;;) {
      this.#skipSpace();
      keys.push(this.#key());
      if (keys.length > DEPTH_LIMIT) this.#fail(`a key of more than ${DEPTH_LIMIT} parts`);
      this.#skipSpace();
      if (this.#text[this.#at] !== ".") return keys;
      this.#at++;
    }
  }

  #key(): string {
    const quote = this.#text[this.#at];
    if (quote === '"') return this.#basicString();
    if (quote === "'") return this.#literalString();
    const start = this.#at;
    while (/^[A-Za-z0-9_-]$/.test(this.#text.charAt(this.#at))) this.#at++;
    if (this.#at === start) this.#fail("a key was expected: bare, with ASCII letters, digits, '_' and '-', or quoted");
    return this.#text.slice(start, this.#at);
  }

  #value(): Item<V> {
    switch (this.#text[this.#at]) {
      case '"':
        return this.#string(this.#text.startsWith('"""', this.#at) ? this.#longBasicString() : this.#basicString());
      case "'":
        return this.#string(this.#text.startsWith("'''", this.#at) ? this.#longLiteralString() : this.#literalString());
      case "[":
        return this.#nested(() => this.#array());
      case "{":
        return this.#nested(() => this.#inlineTable());
      default:
        return { value: this.#scalar() };
    }
  }

  #string(text: string): Leaf<V> {
    return { value: this.#builder.string(text) };
  }

  #nested<T>(parse: () => T): T {
    if (++this.#depth > DEPTH_LIMIT) this.#fail(`values are nested more than ${DEPTH_LIMIT} deep`);
    const result = parse();
    this.#depth--;
    return result;
  }

  #array(): Leaf<V> {
    const items: V[] = [];
    this.#at++;
    for (;;) {
      this.#skipBlankLines();
      if (this.#text[this.#at] === "]") break;
      items.push(this.#build(this.#value()));
      this.#skipBlankLines();
      if (this.#text[this.#at] === ",") this.#at++;
      else if (this.#text[this.#at] !== "]") this.#fail("',' or ']' was expected");
    }
    this.#at++;
    return { value: this.#builder.list(items) };
  }

  #inlineTable(): Table<V> {
    const table = new Table<V>("inline");
    this.#at++;
    this.#skipSpace();
    if (this.#text[this.#at] !== "}") {
      for (;;) {
        this.#pair(table);
        this.#skipSpace();
        if (this.#text[this.#at] !== ",") break;
        this.#at++;
      }
    }
    this.#expect("}");
    return table;
  }

  #scalar(): V {
    const start = this.#at;
    const token = /^[^\s,\]}#]*/.exec(this.#text.slice(start, start + 4096))?.[0] ?? "";
    this.#at += token.length;
    if (token === "true") return this.#builder.true;
    if (token === "false") return this.#builder.false;
    if (DECIMAL.test(token) || PREFIXED.test(token)) return this.#integer(token, start);
    if (FLOAT.test(token)) {
      const value = Number(token.replaceAll("_", ""));
      if (!Number.isFinite(value)) this.#fail(`'${token}' does not fit a float`, start);
      return this.#builder.float(value);
    }
    if (SPECIAL_FLOAT.test(token)) {
      const value = token.endsWith("nan") ? Number.NaN : Number.POSITIVE_INFINITY;
      return this.#builder.float(token.startsWith("-") ? -value : value);
    }
    if (DATE_OR_TIME.test(token)) return this.#timestamp(token, start);
    return this.#fail("a value was expected", start);
  }

  /** A date, a time or both, of which a space may stand between. */
  #timestamp(token: string, start: number): V {
    const time = DATE.test(token) ? /^ [0-9][0-9:.Zz+-]*/.exec(this.#text.slice(this.#at, this.#at + 4096)) : null;
    this.#at += time?.[0].length ?? 0;
    const value = canonicalTimestamp(token + (time?.[0] ?? ""));
    if (value === undefined) this.#fail("a date or time that there is not", start);
    if (this.#options.timestamps !== true) {
      throw new EvalError("ERR_EVAL_TOML", "while parsing TOML: Dates and times are not supported");
    }
    const builder = this.#builder;
    return builder.object(builder.layout(["_type", "value"]), [builder.string("timestamp"), builder.string(value)]);
  }

  #integer(token: string, start: number): V {
    const digits = token.replaceAll("_", "");
    if (digits.length < 15) return this.#builder.integer(Number(digits) + 0);
    const value = digits.startsWith("-") ? -BigInt(digits.slice(1)) : BigInt(digits.replace("+", ""));
    if (BigInt.asIntN(64, value) !== value) this.#fail(`'${token}' does not fit 64 bits`, start);
    return Number.isSafeInteger(Number(value)) ? this.#builder.integer(Number(value)) : this.#builder.bigInteger(value);
  }

  #basicString(): string {
    const start = this.#at++;
    let out = "";
    for (;;) {
      const char = this.#text.charAt(this.#at);
      if (char === '"') break;
      if (char === "\\") out += this.#escape();
      else {
        this.#textChar(start);
        out += char;
        this.#at++;
      }
    }
    this.#checkUtf8(start, this.#at);
    this.#at++;
    return out;
  }

  #literalString(): string {
    const start = this.#at++;
    while (this.#text[this.#at] !== "'") {
      this.#textChar(start);
      this.#at++;
    }
    this.#checkUtf8(start, this.#at);
    return this.#text.slice(start + 1, this.#at++);
  }

  /** Checks that the string that began at `start` goes on here with a char of text. */
  #textChar(start: number): void {
    if (this.#at >= this.#text.length || this.#atNewline()) this.#fail("a string is not closed", start);
    if (isControl(this.#text.charCodeAt(this.#at))) this.#fail("a control character in a string must be escaped");
  }

  #longBasicString(): string {
    const start = this.#openLong();
    let out = "";
    for (;;) {
      const quotes = this.#closeLong('"');
      if (quotes !== undefined) {
        this.#checkUtf8(start, this.#at);
        return out + quotes;
      }
      const char = this.#text.charAt(this.#at);
      if (char === "\\") {
        if (!this.#lineContinuation()) out += this.#escape();
      } else {
        out += this.#longChar(start);
      }
    }
  }

  #longLiteralString(): string {
    const start = this.#openLong();
    let out = "";
    for (;;) {
      const quotes = this.#closeLong("'");
      if (quotes !== undefined) {
        this.#checkUtf8(start, this.#at);
        return out + quotes;
      }
      out += this.#longChar(start);
    }
  }

  #openLong(): number {
    const start = this.#at;
    this.#at += 3;
    this.#newline();
    return start;
  }

  /** At the end of a long string, steps over it; up to two quotes in front of the closing three belong to the text. */
  #closeLong(quote: string): string | undefined {
    if (!this.#text.startsWith(quote.repeat(3), this.#at)) return undefined;
    let more = 0;
    while (more < 2 && this.#text[this.#at + 3 + more] === quote) more++;
    this.#at += 3 + more;
    return quote.repeat(more);
  }

  #longChar(start: number): string {
    if (this.#at >= this.#text.length) this.#fail("a string is not closed", start);
    const from = this.#at;
    if (this.#newline()) return this.#text.slice(from, this.#at);
    if (isControl(this.#text.charCodeAt(from))) this.#fail("a control character in a string must be escaped");
    this.#at++;
    return this.#text.charAt(from);
  }

  /** A backslash at the end of a line, which removes all space up to the next text. */
  #lineContinuation(): boolean {
    const found = /^\\[ \t]*\r?\n(?:[ \t]|\r?\n)*/.exec(this.#text.slice(this.#at));
    if (found === null) return false;
    this.#at += found[0].length;
    return true;
  }

  #escape(): string {
    const at = this.#at;
    const char = this.#text.charAt(at + 1);
    const simple = ESCAPES[char];
    if (simple !== undefined) {
      this.#at += 2;
      return simple;
    }
    const length = char === "u" ? 4 : char === "U" ? 8 : 0;
    const digits = this.#text.slice(at + 2, at + 2 + length);
    if (length === 0 || digits.length !== length || !/^[0-9a-fA-F]+$/.test(digits)) {
      this.#fail(`'\\${char}' is not an escape`, at);
    }
    const point = Number.parseInt(digits, 16);
    if (point > 0x10ffff || (point >= 0xd800 && point <= 0xdfff)) this.#fail(`U+${digits} is not a character`, at);
    this.#at += 2 + length;
    return encodeCodePoint(point);
  }

  #checkUtf8(from: number, to: number): void {
    const fault = utf8Fault(this.#text, from, to);
    if (fault !== -1) this.#fail("text that is not UTF-8", fault);
  }

  #build(item: Item<V>): V {
    if (item instanceof Table) {
      const values: V[] = [];
      for (const entry of item.entries.values()) values.push(this.#build(entry));
      return this.#builder.object(this.#builder.layout([...item.entries.keys()]), values);
    }
    if (item instanceof TableArray) return this.#builder.list(item.tables.map((table) => this.#build(table)));
    return item.value;
  }
}

function isControl(code: number): boolean {
  return (code < 0x20 && code !== 0x09) || code === 0x7f;
}
