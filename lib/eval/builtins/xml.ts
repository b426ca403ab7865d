// toXML, and the XML output of the command line.
import { type XmlAttributes, XmlWriter } from "../engine/xml-write.ts";
import { type AttrPosition, Attrs } from "../value/attrs.ts";
import { Lambda } from "../value/function.ts";
import { NixFloat } from "../value/number.ts";
import { ContextBuilder, ContextString, makeString } from "../value/string.ts";
import { symbol, symbolName, type Sym } from "../value/symbol.ts";
import { force, peek, Thunk } from "../value/thunk.ts";
import { isFunction, isInt, isList, isString, NixPath, type Value } from "../value/value.ts";
import { textOf } from "../vm/demand.ts";
import { isDerivation } from "../vm/equal.ts";
import { formatFloat } from "../text/float.ts";
import { type BuiltinTable, define } from "./define.ts";

const DRV_PATH = symbol("drvPath");
const OUT_PATH = symbol("outPath");

/** How a value is written. */
export interface XmlOptions {
  /** Compute everything in it; otherwise what is not computed is `<unevaluated />`. */
  readonly strict: boolean;
  /** Say where attributes and functions are defined. */
  readonly locations: boolean;
}

/** The XML document of a value; what its strings refer to is added to `context`. */
export function valueToXml(value: Value, options: XmlOptions, context: ContextBuilder): string {
  const printer = new ValuePrinter(options, context);
  printer.out.element("expr", [], () => printer.print(value));
  return printer.out.text;
}

class ValuePrinter {
  readonly out: XmlWriter = new XmlWriter();
  readonly #options: XmlOptions;
  readonly #context: ContextBuilder;
  /** The derivations that were written out; further ones are `<repeated />`. */
  readonly #seen = new Set<string>();

  constructor(options: XmlOptions, context: ContextBuilder) {
    this.#options = options;
    this.#context = context;
  }

  print(value: Value): void {
    const v = this.#known(value);
    if (v instanceof Thunk) this.out.empty("unevaluated");
    else if (v === null) this.out.empty("null");
    else if (typeof v === "boolean") this.out.empty("bool", ["value", String(v)]);
    else if (isInt(v)) this.out.empty("int", ["value", String(v)]);
    else if (v instanceof NixFloat) this.out.empty("float", ["value", formatFloat(v.value)]);
    else if (isString(v)) {
      if (v instanceof ContextString) this.#context.add(v.context);
      this.out.empty("string", ["value", textOf(v)]);
    } else if (v instanceof NixPath) this.out.empty("path", ["value", v.text]);
    else if (isList(v)) {
      this.out.element("list", [], () => {
        for (const item of v) this.print(item);
      });
    } else if (v instanceof Attrs) this.#printSet(v);
    else if (isFunction(v) && v instanceof Lambda) this.#printLambda(v);
    else this.out.empty("unevaluated");
  }

  #known(value: Value): Value {
    return this.#options.strict ? force(value) : peek(value);
  }

  #printSet(set: Attrs): void {
    if (!isDerivation(set)) {
      this.out.element("attrs", [], () => this.#printAttrs(set));
      return;
    }
    const drvPath = this.#textOfAttr(set, DRV_PATH);
    const outPath = this.#textOfAttr(set, OUT_PATH);
    const attributes: XmlAttributes = [
      ...(drvPath === undefined ? [] : ["drvPath", drvPath]),
      ...(outPath === undefined ? [] : ["outPath", outPath]),
    ];
    this.out.element("derivation", attributes, () => {
      if (drvPath === undefined || drvPath === "" || this.#seen.has(drvPath)) {
        this.out.empty("repeated");
      } else {
        this.#seen.add(drvPath);
        this.#printAttrs(set);
      }
    });
  }

  #textOfAttr(set: Attrs, key: Sym): string | undefined {
    const value = set.get(key);
    if (value === undefined) return undefined;
    const known = this.#known(value);
    return !(known instanceof Thunk) && isString(known) ? textOf(known) : undefined;
  }

  #printAttrs(set: Attrs): void {
    const { shape, values } = set.flatten();
    shape.keys.forEach((key, i) => {
      const position = this.#options.locations ? (set.positions?.find(i) ?? null) : null;
      this.out.element("attr", placeAttributes(position, symbolName(key)), () => this.print(values[i] as Value));
    });
  }

  #printLambda(lambda: Lambda): void {
    const { info } = lambda;
    const position = this.#options.locations ? info.position(info.offset) : null;
    this.out.element("function", placeAttributes(position), () => {
      if (info.formals === null) {
        this.out.empty("varpat", ["name", info.param]);
        return;
      }
      const names = info.formals.map((formal) => formal.name).sort();
      const attributes: XmlAttributes = [
        ...(info.ellipsis ? ["ellipsis", "1"] : []),
        ...(info.param === "" ? [] : ["name", info.param]),
      ];
      this.out.element("attrspat", attributes, () => {
        for (const name of names) this.out.empty("attr", ["name", name]);
      });
    });
  }
}

/** Where something is, and its name when it has one. */
function placeAttributes(position: AttrPosition | null, name?: string): XmlAttributes {
  const named = name === undefined ? [] : ["name", name];
  if (position === null) return named;
  const { column, line, file } = position;
  // Text that came from no file has a pseudo-name, which is not a path.
  const path = file.startsWith("/") ? ["path", file] : [];
  return ["column", String(column), "line", String(line), ...named, ...path];
}

/** XML. */
export const XML_BUILTINS: BuiltinTable = [
  define("toXML", "!", "A value as an XML document.", (_rt, value) => {
    const context = new ContextBuilder();
    const text = valueToXml(value, { strict: true, locations: false }, context);
    return makeString(text, context.context);
  }),
];
