// Values as the REPL shows them: laid out over several lines, one level deep unless more is asked for.
import { diagnose } from "../../eval/report.ts";
import { byteStringToText, textToByteString } from "../../eval/source.ts";
import { Attrs } from "../../eval/value/attrs.ts";
import { Lambda, PrimOp, PrimOpApp } from "../../eval/value/function.ts";
import { ContextString } from "../../eval/value/string.ts";
import { symbol, symbolName } from "../../eval/value/symbol.ts";
import { force } from "../../eval/value/thunk.ts";
import { isList, type List, type Value, type Whnf } from "../../eval/value/value.ts";
import { textOf } from "../../eval/vm/demand.ts";
import { showShort } from "../../eval/vm/describe.ts";
import { quoteName, quoteString } from "../../eval/text/quote.ts";

const TYPE = symbol("type");
const DRV_PATH = symbol("drvPath");

/** How much of a value is shown. */
export interface ShowOptions {
  /** Levels of lists and sets whose items are computed and shown. */
  readonly depth: number;
}

/** A value as text of one char per byte. Errors inside of it are shown where they are. */
export function showValue(value: Whnf, { depth }: ShowOptions): string {
  return new Show().value(value, depth, "");
}

class Show {
  /** What is being shown, from the outside in. */
  private readonly open = new Set<object>();

  value(v: Whnf, depth: number, indent: string): string {
    if (typeof v === "string") return quoteString(v);
    if (v instanceof ContextString) return quoteString(v.text);
    if (isList(v)) return this.nested(v, () => this.list(v, depth, indent));
    if (v instanceof Attrs) return this.nested(v, () => this.attrs(v, depth, indent));
    if (v instanceof Lambda) return angled(`lambda${v.info.name === "" ? "" : ` ${v.info.name}`}${placeOf(v)}`);
    if (v instanceof PrimOp) return angled(`primop ${v.builtin.name}`);
    if (v instanceof PrimOpApp) return angled(`partially applied primop ${v.op.builtin.name}`);
    return showShort(v, 1);
  }

  private nested(v: object, show: () => string): string {
    if (this.open.has(v)) return angled("repeated");
    this.open.add(v);
    const text = show();
    this.open.delete(v);
    return text;
  }

  private list(items: List, depth: number, indent: string): string {
    if (items.length === 0) return "[ ]";
    if (depth === 0) return "[ ... ]";
    const inner = `${indent}  `;
    return layOut(
      "[",
      "]",
      items.map((item) => this.item(item, depth - 1, inner)),
      indent,
    );
  }

  private attrs(set: Attrs, depth: number, indent: string): string {
    const { shape, values } = set.flatten();
    const path = derivationPath(set);
    if (path !== undefined) return path;
    if (values.length === 0) return "{ }";
    if (depth === 0) return "{ ... }";
    const inner = `${indent}  `;
    const items = shape.keys.map(
      (key, i) => `${quoteName(symbolName(key))} = ${this.item(values[i] as Value, depth - 1, inner)};`,
    );
    return layOut("{", "}", items, indent);
  }

  /** An item, computed. */
  private item(value: Value, depth: number, indent: string): string {
    let v: Whnf;
    try {
      v = force(value);
    } catch (error) {
      return angled(`error: ${messageOf(error)}`);
    }
    return this.value(v, depth, indent);
  }
}

/** Items on lines of their own, or a single short one beside its brackets. */
function layOut(open: string, close: string, items: readonly string[], indent: string): string {
  const [only = ""] = items;
  if (items.length === 1 && !only.includes("\n")) return `${open} ${only} ${close}`;
  return `${open}\n${items.map((item) => `${indent}  ${item}\n`).join("")}${indent}${close}`;
}

/** What stands for a derivation, when the set is one. */
function derivationPath(set: Attrs): string | undefined {
  const type = set.get(TYPE);
  const path = set.get(DRV_PATH);
  if (type === undefined || path === undefined) return undefined;
  try {
    if (force(type) !== "derivation") return undefined;
    return angled(`derivation ${textOf(force(path))}`);
  } catch (error) {
    return angled(`derivation: error: ${messageOf(error)}`);
  }
}

function placeOf({ info }: Lambda): string {
  const at = info.position(info.offset);
  return at === null ? "" : ` @ ${at.file}:${at.line}:${at.column}`;
}

function messageOf(error: unknown): string {
  const diagnostic = diagnose(error);
  if (diagnostic === undefined) throw error;
  return textToByteString(diagnostic.message);
}

function angled(text: string): string {
  return `\xc2\xab${text}\xc2\xbb`;
}

/** Text of one char per byte for a terminal. */
export const display: (text: string) => string = byteStringToText;
