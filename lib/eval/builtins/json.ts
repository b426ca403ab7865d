// toJSON and fromJSON.
import { type JsonBuilder, parseJson } from "../engine/json-parse.ts";
import { jsonFloat, JsonOutput } from "../engine/json-write.ts";
import { EvalError } from "../error.ts";
import { Attrs } from "../value/attrs.ts";
import { INT_MAX, makeInt, NixFloat } from "../value/number.ts";
import { compareSymbols, internShape, type Shape } from "../value/shape.ts";
import { ContextBuilder, ContextString, makeString } from "../value/string.ts";
import { symbol, symbolName, type Sym } from "../value/symbol.ts";
import { force } from "../value/thunk.ts";
import { isList, NixPath, type Value, type Whnf } from "../value/value.ts";
import { call1 } from "../vm/call.ts";
import { coerceToString, WEAK_COPY } from "../vm/coerce.ts";
import { forcePlainString } from "../vm/demand.ts";
import { describeType } from "../value/value.ts";
import type { Runtime } from "../vm/runtime.ts";
import { type BuiltinTable, define } from "./define.ts";

const TO_STRING = symbol("__toString");
const OUT_PATH = symbol("outPath");

/** The shape of an object, and which of its values go where; `null` when they are in order already. */
interface ObjectLayout {
  readonly shape: Shape;
  readonly take: readonly number[] | null;
}

/** Makes evaluator values of parsed texts. */
export const JSON_BUILDER: JsonBuilder<Value, ObjectLayout> = {
  null: null,
  true: true,
  false: false,
  integer: (value) => value,
  bigInteger(value) {
    if (value <= INT_MAX) return makeInt(value);
    throw new EvalError("ERR_EVAL_JSON", `unsigned json number ${value} outside of Nix integer range`);
  },
  float: (value) => new NixFloat(value),
  string: refuseNul,
  list: (items) => items,
  layout(names) {
    const slots = new Map<Sym, number>();
    names.forEach((name, i) => slots.set(symbol(refuseNul(name)), i));
    const keys = [...slots.keys()].sort(compareSymbols);
    const take = keys.map((key) => slots.get(key) as number);
    const inOrder = take.length === names.length && take.every((slot, i) => slot === i);
    return { shape: internShape(keys), take: inOrder ? null : take };
  },
  object({ shape, take }, values) {
    return new Attrs(shape, take === null ? values : take.map((slot) => values[slot] as Value), null, null);
  },
};

function refuseNul(text: string): string {
  if (!text.includes("\0")) return text;
  // Nix shows the NUL as U+2400, here in UTF-8.
  throw new EvalError(
    "ERR_EVAL_JSON",
    `input string '${text.replaceAll("\0", "\xe2\x90\x80")}' cannot be represented as Nix string because it contains null bytes`,
  );
}

/** The value of a JSON text. */
export function fromJson(text: string): Whnf {
  return force(parseJson(text, JSON_BUILDER));
}

/** The JSON text of a value; what its strings refer to is added to `context`. Computes everything in it. */
export function valueToJson(rt: Runtime, value: Value, context: ContextBuilder): string {
  const writer = new ValueWriter(rt, context);
  writer.write(value);
  return writer.out.text;
}

/** How sets of one shape are written. */
interface ShapeForm {
  readonly shape: Shape;
  /** Where `__toString` and `outPath` are, which stand for the whole set; -1 for nowhere. */
  readonly method: number;
  readonly outPath: number;
  /** What goes in front of each value: `{"a":`, `,"b":`. */
  readonly before: readonly string[];
}

const forms = new WeakMap<Shape, ShapeForm>();

function formOf(shape: Shape): ShapeForm {
  let form = forms.get(shape);
  if (form === undefined) {
    const before = shape.keys.map((key, i) => {
      const out = new JsonOutput();
      out.raw(i === 0 ? "{" : ",");
      out.string(symbolName(key));
      out.raw(":");
      return out.text;
    });
    form = { shape, method: shape.indexOf(TO_STRING), outPath: shape.indexOf(OUT_PATH), before };
    forms.set(shape, form);
  }
  return form;
}

class ValueWriter {
  readonly out: JsonOutput = new JsonOutput();
  readonly #rt: Runtime;
  readonly #context: ContextBuilder;
  /** The form used last: most sets are like those before them. */
  #form: ShapeForm | undefined;

  constructor(rt: Runtime, context: ContextBuilder) {
    this.#rt = rt;
    this.#context = context;
  }

  write(value: Value): void {
    const v = force(value);
    const out = this.out;
    if (typeof v === "string") out.string(v);
    else if (typeof v === "number") out.integer(v);
    else if (v === null || typeof v === "boolean" || typeof v === "bigint") out.raw(String(v));
    else if (v instanceof ContextString) {
      this.#context.add(v.context);
      out.string(v.text);
    } else if (v instanceof NixFloat) out.raw(jsonFloat(v.value));
    else if (isList(v)) this.#writeList(v);
    else if (v instanceof Attrs) this.#writeAttrs(v);
    else if (v instanceof NixPath) out.string(coerceToString(this.#rt, v, WEAK_COPY, this.#context));
    else throw new EvalError("ERR_EVAL_TYPE", `cannot convert ${describeType(v)} to JSON`);
  }

  #writeList(list: readonly Value[]): void {
    if (list.length === 0) return this.out.raw("[]");
    for (let i = 0; i < list.length; i++) {
      this.out.raw(i === 0 ? "[" : ",");
      this.write(list[i] as Value);
    }
    this.out.raw("]");
  }

  #writeAttrs(attrs: Attrs): void {
    const { shape, values } = attrs.flatten();
    if (values.length === 0) return this.out.raw("{}");
    const form = this.#form?.shape === shape ? this.#form : (this.#form = formOf(shape));
    if (form.method >= 0) {
      const text = coerceToString(this.#rt, call1(values[form.method] as Value, attrs), WEAK_COPY, this.#context);
      return this.out.string(text);
    }
    if (form.outPath >= 0) return this.write(values[form.outPath] as Value);
    const { before } = form;
    for (let i = 0; i < values.length; i++) {
      this.out.raw(before[i] as string);
      this.write(values[i] as Value);
    }
    this.out.raw("}");
  }
}

/** JSON. */
export const JSON_BUILTINS: BuiltinTable = [
  define("fromJSON", "!", "The value of a JSON text.", (_rt, text) =>
    fromJson(forcePlainString(text, "the first argument passed to builtins.fromJSON")),
  ),
  define("toJSON", "!", "A value as JSON text; paths are copied to the store.", (rt, value) => {
    const context = new ContextBuilder();
    const text = valueToJson(rt, value, context);
    return makeString(text, context.context);
  }),
];
