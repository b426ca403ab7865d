// The JavaScript back end, first half: writes instructions as JavaScript text.
//
// Every function of the program becomes a function at the top of one big wrapper, so none of them is made anew while
// the program runs: `function t7(e)` for a thunk, `function l7(v0,e)` for a lambda, where `e` is the frame of the
// enclosing function. A variable that nested functions use lives in its function's frame, an array whose entry 0 is
// the enclosing frame; all variables are JavaScript locals besides. Functions without captured variables have no
// frame, and functions of which only parameters are captured make theirs when it is first needed.

import { AssertionError } from "../../base/error.ts";
import type { BinaryNode, Constant, Fn, FormalSlot, Node, Place } from "../ir/program.ts";
import { countsOf } from "./counting.ts";
import { type Emitted, type InfoEntry, literal, mark, OPERATIONS, resolveMarks } from "./emitted.ts";
import { declarations, envOf, frameOf, type Level, openLevel, takeTemp } from "./level.ts";

/** Writes a program as JavaScript, which counts what it does if asked. Throws a RangeError for too deep expressions. */
export function emitProgram(root: Fn, counting = false): Emitted {
  return new Emitter(counting).program(root);
}

const MAX = "9007199254740991";
/** V8 compiles deeply nested expressions slowly or not at all; such a program is left to the closures. */
const DEPTH_LIMIT = 1000;
/** The thunks of sets with at least this many attributes … */
const GROUP_MIN = 64;
/** … are written in groups of so many. */
const GROUP_SIZE = 12;

class Table<T> {
  readonly items: T[] = [];
  private readonly known = new Map<string, number>();

  index(key: string, item: T): number {
    let at = this.known.get(key);
    if (at === undefined) {
      at = this.items.length;
      this.known.set(key, at);
      this.items.push(item);
    }
    return at;
  }
}

class Emitter {
  private functions: string[] = [];
  private groups = 0;
  private readonly names = new Table<string>();
  private readonly shapes = new Table<number[]>();
  private readonly positions: (readonly number[])[] = [];
  private readonly infos: InfoEntry[] = [];
  private readonly globals = new Table<string>();
  private readonly constants = new Table<string>();
  private readonly ids = new Map<Fn, number>();
  private readonly counting: boolean;

  constructor(counting: boolean) {
    this.counting = counting;
  }

  /** An expression that also adds to a count, in code that counts; `times` the node stands for so many. */
  private counted(node: Node, text: string, times = 1): string {
    const steps = this.counting ? countsOf(node).map(([count, n]) => `C.${count}+=${n * times},`) : [];
    return steps.length === 0 ? text : `(${steps.join("")}${text})`;
  }

  program(root: Fn): Emitted {
    const main = this.thunk(root, null);
    const vars: string[] = [];
    const tables: [string, number][] = [
      ["y", this.names.items.length],
      ["g", this.globals.items.length],
    ];
    for (const [letter, count] of tables) {
      for (let i = 0; i < count; i++) vars.push(`${letter}${i}=L.${letter}[${i}]`);
    }
    const head = `(function(R,L){"use strict";var {${OPERATIONS.join(",")}}=R,rt=L.rt,C=L.c,attrs=L.attrs,places=L.places,info=L.info,path=L.path,float=L.float,I=new Array(${this.infos.length}),K=new Array(${this.constants.items.length})${vars.map((v) => `,${v}`).join("")};`;
    const marked = `${head}\n${this.functions.join("")}\nreturn ${main};})`;
    const { text, lines } = resolveMarks(marked);
    const details = { positions: this.positions, infos: this.infos, lines };
    return {
      text,
      tables: {
        names: this.names.items,
        shapes: this.shapes.items,
        globals: this.globals.items,
        sets: this.positions.length,
      },
      details: () => details,
    };
  }

  private id(fn: Fn): number {
    let id = this.ids.get(fn);
    if (id === undefined) {
      id = this.ids.size;
      this.ids.set(fn, id);
    }
    return id;
  }

  private name(name: string): string {
    return `y${this.names.index(name, name)}`;
  }

  /** Writes a function without parameters; answers its name. */
  private thunk(fn: Fn, outer: Level | null): string {
    const name = `t${this.id(fn)}`;
    const level = openLevel(fn, outer, 0);
    const body = this.tail(fn.body, level);
    this.functions.push(`${mark(fn.at)}function ${name}(e){${declarations(level, 0)}${body}}`);
    return name;
  }

  /**
   * The values of a large set. Its thunks are functions inside functions, one for each group: V8 makes nothing of a
   * group before one of it is needed, and of a package set few are. One loop makes all the thunks.
   */
  private manyValues(values: readonly Node[], level: Level): string {
    const others = values.flatMap((value, i) => (value.op === "thunk" ? [] : [`${i},${this.lazy(value, level)}`]));
    const id = this.groups++;
    const outer = this.functions;
    const makers: string[] = [];
    for (let from = 0; from < values.length; from += GROUP_SIZE) {
      this.functions = [];
      const group = values.slice(from, from + GROUP_SIZE);
      const members = group.map((value) => (value.op === "thunk" ? this.thunk(value.fn, level) : "0"));
      makers.push(`function(){${this.functions.join("")}\nreturn[${members.join(",")}]}`);
    }
    this.functions = outer;
    outer.push(
      `\nvar G${id}=[],M${id}=[${makers.join(",\n")}];`,
      `\nfunction q${id}(e,k){var g=k/${GROUP_SIZE}|0;return(G${id}[g]||(G${id}[g]=M${id}[g]()))[k%${GROUP_SIZE}](e)}`,
    );
    const text = `delayAll(q${id},${envOf(level)},${values.length},[${others.join(",")}])`;
    const first = values.find((value) => value.op === "thunk");
    return first === undefined ? text : this.counted(first, text, values.length - others.length);
  }

  /** Writes a lambda; answers the expression that makes its closure. */
  private lambda(fn: Fn, outer: Level): string {
    const id = this.id(fn);
    const params = fn.arity === 2 ? 2 : 1;
    const level = openLevel(fn, outer, params);
    const info = this.info(fn.name, fn.param, fn.formals ?? null, fn.ellipsis, fn.at);
    const made = once("I", info, `info(${info},${fn.immediate})`);
    // The info was made together with the closure that is being called.
    const count = this.counting ? "C.calls++;" : "";
    const prologue = count + (fn.formals === undefined ? "" : this.pattern(fn, fn.formals, level, `I[${info}]`));
    const body = prologue + this.tail(fn.body, level);
    const env = envOf(outer);
    if (fn.arity === 2) {
      const inner = fn.inner as { param: string; at: number };
      const innerInfo = this.info(fn.name, inner.param, null, false, inner.at);
      this.functions.push(`${mark(fn.at)}function l${id}(v0,v1,e){${declarations(level, 2)}${body}}`);
      this.functions.push(`${mark(fn.at)}function b${id}(v1,p){return l${id}(p[1],v1,p[0])}`);
      this.functions.push(
        `${mark(fn.at)}function a${id}(v0,e){return new Lambda(b${id},[e,v0],${once("I", innerInfo, `info(${innerInfo},false)`)},null)}`,
      );
      return `new Lambda(a${id},${env},${made},l${id})`;
    }
    this.functions.push(`${mark(fn.at)}function l${id}(v0,e){${declarations(level, 1)}${body}}`);
    return `new Lambda(l${id},${env},${made},null)`;
  }

  /** Keeps the offsets of the attributes of a set; answers the number of the entry. */
  private places(offsets: readonly number[]): number {
    return this.positions.push(offsets) - 1;
  }

  private info(
    name: string,
    param: string,
    formals: readonly FormalSlot[] | null,
    ellipsis: boolean,
    at: number,
  ): number {
    const entries =
      formals === null
        ? null
        : formals.map(
            (formal) =>
              [this.names.index(formal.name, formal.name), formal.fallback === undefined ? 0 : 1, formal.at] as const,
          );
    this.infos.push({ name, param, formals: entries, ellipsis, at });
    return this.infos.length - 1;
  }

  /** Statements that take the argument of a set pattern apart. */
  private pattern(fn: Fn, formals: readonly FormalSlot[], level: Level, info: string): string {
    let out = `${mark(fn.at)}var s=demandPattern(v0,${info}),n=0;`;
    for (const formal of formals) {
      const target = `v${formal.slot}`;
      const fallback =
        formal.fallback === undefined
          ? `${mark(fn.at)}missingArgument(${info},${literal(formal.name)})`
          : this.lazy(formal.fallback, level);
      const store = level.fn.captured[formal.slot] ? `F[${level.index[formal.slot]}]=${target};` : "";
      out += `if((${target}=s.get(${this.name(formal.name)}))!==undefined)n++;else ${target}=${fallback};${store}`;
    }
    if (!fn.ellipsis) out += `if(n!==s.size)${mark(fn.at)}checkUnexpected(s,n,${info});`;
    return out;
  }

  /** Statements that return the value of a node. */
  private tail(node: Node, level: Level): string {
    if (++level.depth > DEPTH_LIMIT) throw new RangeError("an expression is nested too deeply for a script");
    let out = "";
    let at = node;
    for (;;) {
      switch (at.op) {
        case "let":
          for (const { slot, value } of at.bindings) out += `${this.store(slot, value, level)};`;
          at = at.body;
          continue;
        case "assert":
          out += `if(!${this.condition(at.condition, level)})${mark(at.at)}assertionFailed(${literal(at.text)});`;
          at = at.body;
          continue;
        case "if": {
          const condition = this.condition(at.condition, level);
          const known = new Set(level.known);
          out += `if(${condition}){${this.tail(at.yes, level)}}`;
          level.known = known;
          at = at.no;
          continue;
        }
        default:
          // Parentheses, because a line break after `return` would end the statement.
          out += `return(${this.strict(at, level)});`;
          level.depth--;
          return out;
      }
    }
  }

  /** Stores a value in a variable; an expression. */
  private store(slot: number, value: Node, level: Level): string {
    const text = this.lazy(value, level);
    if (isImmediate(value)) level.known.add(slot);
    return level.fn.captured[slot] ? `v${slot}=F[${level.index[slot]}]=${text}` : `v${slot}=${text}`;
  }

  /** A variable as it is stored. */
  private read(place: Place, level: Level): string {
    if (place.up === 0) return `v${place.slot}`;
    let target = level;
    for (let i = 0; i < place.up; i++) target = target.outer as Level;
    return `${frameOf(target, level)}[${target.index[place.slot]}]`;
  }

  /** An expression whose result is stored. */
  private lazy(node: Node, level: Level): string {
    switch (node.op) {
      case "local":
        return this.read(node.place, level);
      case "thunk":
        return this.counted(node, `new Thunk(${this.thunk(node.fn, level)},${envOf(level)})`);
      case "global":
        return `g${this.globals.index(node.name, node.name)}`;
      case "eager":
        return this.eager(node, level);
      default:
        return this.strict(node, level);
    }
  }

  /** An expression in weak head normal form. */
  private strict(node: Node, level: Level): string {
    if (++level.depth > DEPTH_LIMIT) throw new RangeError("an expression is nested too deeply for a script");
    const text = this.counted(node, this.strictText(node, level));
    level.depth--;
    return text;
  }

  private strictText(node: Node, level: Level): string {
    switch (node.op) {
      case "const":
        return this.constant(node.value);
      case "force":
        return this.force(node.of, level);
      case "lambda":
        return this.lambda(node.fn, level);
      case "position":
        return `L.position(${node.at})`;
      case "ambient":
        return `select(L.ambient,${this.name(node.name)})`;
      case "let": {
        const stores = node.bindings.map(({ slot, value }) => this.store(slot, value, level));
        return `(${stores.join(",")},${this.strict(node.body, level)})`;
      }
      case "overrides":
        return this.overrides(node, level);
      case "call":
        return this.call(node, level);
      case "select":
        return this.select(node, level);
      case "has":
        return this.has(node, level);
      case "attrs":
        return this.attrs(node, level);
      case "list":
        return `[${node.items.map((item) => this.lazy(item, level)).join(",")}]`;
      case "with": {
        const sets = node.scopes.map((place) => this.read(place, level));
        return `${mark(node.at)}lookupWith([${sets.join(",")}],${this.name(node.name)})`;
      }
      case "if": {
        const condition = this.condition(node.condition, level);
        const yes = this.branch(node.yes, level);
        return `(${condition}?${yes}:${this.branch(node.no, level)})`;
      }
      case "assert": {
        const condition = this.condition(node.condition, level);
        return `(${condition}||${mark(node.at)}assertionFailed(${literal(node.text)}),${this.strict(node.body, level)})`;
      }
      case "not":
      case "and":
      case "or":
      case "implies":
      case "equal":
      case "differ":
      case "less":
        return this.condition(node, level);
      case "interpolate":
        return `${mark(node.at)}interpolate(rt,[${this.parts(node.parts, "interpolated", node.at, level)}])`;
      case "append": {
        const parts = this.parts(node.parts, "appended", node.at, level);
        return `${mark(node.at)}append(rt,${this.strict(node.base, level)},[${parts}])`;
      }
      case "add":
      case "sub":
      case "mul":
        return this.arithmetic(node, level);
      case "update": {
        const right = this.strict(node.right, level);
        const set = node.right.op === "attrs" ? right : `override(${right})`;
        return `${mark(node.at)}update(${set},${this.strict(node.left, level)})`;
      }
      case "div":
      case "concat":
        return `${mark(node.at)}${node.op}(${this.strict(node.left, level)},${this.strict(node.right, level)})`;
      default:
        return `force(${this.lazy(node, level)})`;
    }
  }

  /** An operand that may not be evaluated: what it forces is not known afterwards. */
  private branch(node: Node, level: Level): string {
    const known = new Set(level.known);
    const text = this.strict(node, level);
    level.known = known;
    return text;
  }

  private constant(value: Constant): string {
    switch (typeof value) {
      case "string":
        return literal(value);
      case "bigint":
        return `${value}n`;
      case "number":
      case "boolean":
        return String(value);
      default:
    }
    if (value === null) return "null";
    if (typeof value !== "object") throw new AssertionError(`constant of type ${typeof value}`);
    const made =
      "float" in value
        ? `float(${literal(Object.is(value.float, -0) ? "-0" : String(value.float))})`
        : `path(${literal(value.path)},${value.base},${value.open})`;
    return `(${once("K", this.constants.index(made, made), made)})`;
  }

  private force(of: Node, level: Level): string {
    if (of.op === "local" && of.place.up === 0) {
      const { slot } = of.place;
      const text = `v${slot}`;
      if (level.known.has(slot)) return text;
      level.known.add(slot);
      return `(${text} instanceof Thunk?${text}=${text}.force():${text})`;
    }
    return `force(${this.lazy(of, level)})`;
  }

  /** An expression that is a JavaScript Boolean. */
  private condition(node: Node, level: Level): string {
    switch (node.op) {
      case "not":
        return `!${this.condition(node.of, level)}`;
      case "and": {
        const left = this.condition(node.left, level);
        return `(${left}&&${this.conditionBranch(node.right, level)})`;
      }
      case "or": {
        const left = this.condition(node.left, level);
        return `(${left}||${this.conditionBranch(node.right, level)})`;
      }
      case "implies": {
        const left = this.condition(node.left, level);
        return `(!${left}||${this.conditionBranch(node.right, level)})`;
      }
      case "equal":
        return this.equal(node.left, node.right, level);
      case "differ":
        return `!${this.equal(node.left, node.right, level)}`;
      case "less":
        return this.operands(node.left, node.right, undefined, level, (a, b, numbers) => {
          return `(${numbers}?${a}<${b}:${mark(node.at)}less(${a},${b}))`;
        });
      case "has":
        return this.has(node, level);
      case "const":
        if (typeof node.value === "boolean") return String(node.value);
        break;
      default:
    }
    return `${mark(placeOf(node))}bool(${this.strict(node, level)})`;
  }

  private conditionBranch(node: Node, level: Level): string {
    const known = new Set(level.known);
    const text = this.condition(node, level);
    level.known = known;
    return text;
  }

  private equal(left: Node, right: Node, level: Level): string {
    const constant = right.op === "const" ? right : left.op === "const" ? left : undefined;
    if (constant !== undefined) {
      const other = constant === right ? left : right;
      const { value } = constant;
      if (value === null || typeof value === "boolean") return `(${this.strict(other, level)}===${value})`;
      if (typeof value === "string") {
        const temp = takeTemp(level);
        const text = this.strict(other, level);
        level.temps--;
        const constantText = literal(value);
        return `((${temp}=${text})===${constantText}||typeof ${temp}==="object"&&equal(${temp},${constantText}))`;
      }
    }
    return `equal(${this.strict(left, level)},${this.strict(right, level)})`;
  }

  /** The parts of a string or path: what one fails with comes before the next is computed. */
  private parts(parts: readonly Node[], coerce: "interpolated" | "appended", at: number, level: Level): string {
    const isText = (part: Node): boolean => part.op === "const" && typeof part.value === "string";
    const last = parts.findLastIndex((part) => !isText(part));
    return parts
      .map((part, i) => {
        const text = this.strict(part, level);
        return i < last && !isText(part) ? `${mark(at)}${coerce}(rt,${text})` : text;
      })
      .join(",");
  }

  /**
   * Evaluates two operands in order and hands their names, and a test whether both are small integers, to `use`.
   * `between` says what to do with the left one, which is a copy then, before the right one is evaluated.
   */
  private operands(
    left: Node,
    right: Node,
    between: ((left: string) => string) | undefined,
    level: Level,
    use: (a: string, b: string, numbers: string) => string,
  ): string {
    const before = level.temps;
    const stores: string[] = [];
    const tests: string[] = [];
    const name = (node: Node): string => {
      if (node.op === "const" && typeof node.value === "number") return String(node.value);
      const text = this.strict(node, level);
      let operand = text;
      if (!/^v\d+$/.test(text) || (node === left && between !== undefined)) {
        operand = takeTemp(level);
        stores.push(`${operand}=${text}`);
      }
      tests.push(`typeof ${operand}==="number"`);
      return operand;
    };
    const a = name(left);
    if (between !== undefined) stores.push(between(a));
    const b = name(right);
    const out = use(a, b, tests.length === 0 ? "true" : tests.join("&&"));
    level.temps = before;
    return stores.length === 0 ? out : `(${stores.join(",")},${out})`;
  }

  private arithmetic(node: BinaryNode, level: Level): string {
    const { op, at, left, right } = node as { op: "add" | "sub" | "mul"; at: number; left: Node; right: Node };
    const slow = op === "add" ? "add(rt," : `${op}(`;
    const guard = (a: string): string =>
      `typeof ${a}==="number"||typeof ${a}==="string"||${mark(at)}(${a}=addend(rt,${a}))`;
    const between = op === "add" && needsGuard(left, right) ? guard : undefined;
    return this.operands(left, right, between, level, (a, b, numbers) => {
      const result = takeTemp(level);
      const sign = op === "add" ? "+" : op === "sub" ? "-" : "*";
      // `+0` turns the -0 that a product may be into 0.
      const value = op === "mul" ? `${a}*${b}+0` : `${a}${sign}${b}`;
      const strings = op === "add" ? `typeof ${a}==="string"&&typeof ${b}==="string"?${a}+${b}:` : "";
      const test = `${numbers}&&(${result}=${value})<=${MAX}&&${result}>=-${MAX}`;
      return `(${test}?${result}:${strings}${mark(at)}${slow}${a},${b}))`;
    });
  }

  private eager(node: Extract<Node, { op: "eager" }>, level: Level): string {
    const { op, left, right } = node.sum;
    const before = level.temps;
    const tests: string[] = [];
    const operand = (of: Node): string => {
      if (of.op === "const" && typeof of.value === "number") return String(of.value);
      const text = this.lazy(of, level);
      if (of.op === "local" && of.place.up === 0 && level.known.has(of.place.slot)) {
        tests.push(`typeof ${text}==="number"`);
        return text;
      }
      const temp = takeTemp(level);
      tests.push(`typeof(${temp}=peek(${text}))==="number"`);
      return temp;
    };
    const a = operand(left);
    const b = operand(right);
    const result = takeTemp(level);
    const value = op === "mul" ? `${a}*${b}+0` : `${a}${op === "add" ? "+" : "-"}${b}`;
    const test = [...tests, `(${result}=${value})<=${MAX}`, `${result}>=-${MAX}`].join("&&");
    const out = `(${test}?${result}:${this.lazy(node.otherwise, level)})`;
    level.temps = before;
    return out;
  }

  private overrides(node: Extract<Node, { op: "overrides" }>, level: Level): string {
    const temp = takeTemp(level);
    const moved = takeTemp(level);
    const steps = [`${temp}=overrideSet(v${node.from})`];
    for (const { name, slot } of node.renames) {
      const store = level.fn.captured[slot] ? `v${slot}=F[${level.index[slot]}]=${moved}` : `v${slot}=${moved}`;
      steps.push(`(${moved}=${temp}.get(${this.name(name)}))!==undefined&&(${store})`);
      level.known.delete(slot);
    }
    steps.push(`update(${temp},${this.strict(node.body, level)})`);
    level.temps -= 2;
    return `(${steps.join(",")})`;
  }

  private call(node: Extract<Node, { op: "call" }>, level: Level): string {
    const { direct } = node;
    const at = mark(node.at);
    if (direct !== undefined && node.args.length >= direct.arity && direct.formals === undefined) {
      const env = this.directEnv(node.callee, level);
      if (env !== undefined) {
        const args = node.args.map((arg) => this.lazy(arg, level));
        const first = `${at}l${this.id(direct)}(${args.slice(0, direct.arity).join(",")},${env})`;
        return applyRest(first, args.slice(direct.arity), at);
      }
    }
    const callee = this.strict(node.callee, level);
    const args = node.args.map((arg) => this.lazy(arg, level));
    return applyRest(callee, args, at);
  }

  /** The frame in which the lambda bound to the callee was made, as seen from here. */
  private directEnv(callee: Node, level: Level): string | undefined {
    if (callee.op !== "force" || callee.of.op !== "local") return undefined;
    let owner = level;
    for (let i = 0; i < callee.of.place.up; i++) owner = owner.outer as Level;
    if (owner === level) return envOf(level);
    let target: Level | null = owner;
    while (target !== null && !target.framed) target = target.outer;
    return target === null ? "undefined" : frameOf(target, level);
  }

  private key(step: string | Node, level: Level): string {
    return typeof step === "string" ? this.name(step) : `${mark(placeOf(step))}attrName(${this.strict(step, level)})`;
  }

  private select(node: Extract<Node, { op: "select" }>, level: Level): string {
    let out = this.strict(node.of, level);
    if (node.fallback === undefined) {
      for (const step of node.path) out = `${mark(node.at)}select(${out},${this.key(step, level)})`;
      return out;
    }
    const temp = takeTemp(level);
    const [found, known] = this.walk(out, node.path, temp, level);
    level.known = known;
    const text = `(${found}?force(${temp}):${this.branch(node.fallback, level)})`;
    level.temps--;
    return text;
  }

  private has(node: Extract<Node, { op: "has" }>, level: Level): string {
    const of = this.strict(node.of, level);
    if (node.path.length === 1) return `hasAttr(${of},${this.key(node.path[0] as string | Node, level)})`;
    const temp = takeTemp(level);
    const [found, known] = this.walk(of, node.path, temp, level);
    level.known = known;
    level.temps--;
    return `(${found})`;
  }

  /** A test whether there is an attribute at the path, which leaves it in `temp`. */
  private walk(
    of: string,
    path: readonly (string | Node)[],
    temp: string,
    level: Level,
  ): [test: string, known: Set<number>] {
    const tests: string[] = [];
    let known = level.known;
    path.forEach((step, i) => {
      const subject = i === 0 ? of : `force(${temp})`;
      tests.push(`(${temp}=lookup(${subject},${this.key(step, level)}))!==undefined`);
      if (i === 0) known = new Set(level.known);
    });
    return [tests.join("&&"), known];
  }

  private attrs(node: Extract<Node, { op: "attrs" }>, level: Level): string {
    let set = "EMPTY_ATTRS";
    if (node.names.length > 0) {
      const names = node.names.map((name) => this.names.index(name, name));
      const shape = this.shapes.index(names.join(","), names);
      const values =
        names.length >= GROUP_MIN
          ? this.manyValues(node.values, level)
          : `[${node.values.map((value) => this.lazy(value, level)).join(",")}]`;
      set = `attrs(${this.places(node.offsets)},${shape},${values})`;
    }
    if (node.dynamics.length === 0) return set;
    const positions = `places(${this.places(node.dynamics.map((dynamic) => dynamic.at))})`;
    const last = node.dynamics.length - 1;
    const names = node.dynamics.map(({ name, at }, i) => {
      const text = this.strict(name, level);
      return i < last ? `${mark(at)}dynamicName(${text})` : text;
    });
    const values = node.dynamics.map((dynamic) => this.lazy(dynamic.value, level));
    const at = mark(node.dynamics[0]?.at ?? 0);
    return `${at}addDynamic(${set},[${names.join(",")}],[${values.join(",")}],${positions})`;
  }
}

/** An entry of a table that is filled as needed: most of a large file is never looked at. */
function once(table: string, index: number, make: string): string {
  const entry = `${table}[${index}]`;
  return `${entry}||(${entry}=${make})`;
}

function placeOf(node: Node): number {
  return "at" in node ? node.at : -1;
}

/** Instructions that yield what can be added to, constants among them: those are numbers, strings and paths. */
const ADDABLE: ReadonlySet<Node["op"]> = new Set(["const", "interpolate", "append", "add", "sub", "mul", "div"]);

/** Whether the right side of a `+` may do something before the left side is found to be nothing to add to. */
function needsGuard(left: Node, right: Node): boolean {
  return right.op !== "const" && !ADDABLE.has(left.op);
}

function isImmediate(node: Node): boolean {
  return node.op === "const" || node.op === "lambda" || node.op === "attrs" || node.op === "list";
}

function applyRest(callee: string, args: readonly string[], at: string): string {
  if (args.length === 0) return callee;
  if (args.length === 1) return `${at}call1(${callee},${args[0]})`;
  if (args.length === 2) return `${at}call2(${callee},${args[0]},${args[1]})`;
  return `${at}callMany(${callee},[${args.join(",")}])`;
}
