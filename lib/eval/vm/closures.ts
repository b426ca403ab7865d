// The closure back end: turns instructions into JavaScript closures, for code that is too cold to be worth compiling
// and for places where making code from text is forbidden.
//
// Each instruction becomes a function from the frame to the result. A frame is an array: the frame of the enclosing
// function, then the variables by slot. Functions without variables have no frame and run in the enclosing one.
//
// A function's instructions become closures when it first runs: of a large file, most functions never do. What runs after
// the first thousands mostly runs once, so its closures are kept from the second run on, and instructions no longer than
// that; those of a file that is a function, as packages are, are made again of its text. Otherwise code that will not
// run again would be most of what a large evaluation holds.
//
// Explaining code also takes notes: errors that pass learn in which functions they were, with which arguments, and
// which named values were being computed.

import type { Fn, FormalSlot, LogicNode, Node, Program, ThunkNode } from "../ir/program.ts";
import { Attrs, EMPTY_ATTRS, SlotPositions } from "../value/attrs.ts";
import { type FormalInfo, Lambda, type LambdaInfo } from "../value/function.ts";
import { internShape } from "../value/shape.ts";
import { type Sym, symbol } from "../value/symbol.ts";
import { EMPTY_LIST } from "../value/list.ts";
import { force, peek, Thunk } from "../value/thunk.ts";
import { NixPath, type Value, type Whnf } from "../value/value.ts";
import { call1, call2, callMany, delayAll } from "./call.ts";
import { type Addend, addend, addValues, appended, appendToPath, interpolate, interpolated } from "./coerce.ts";
import { equalValues } from "./equal.ts";
import { type Frame, type Level, levelOf, newFrame, readVariable } from "./frame.ts";
import { difference } from "./difference.ts";
import * as operate from "./operate.ts";
import { calling, evaluating, located, running } from "./trace.ts";
import { functionOf, innerInfo, lambdaInfo, type Unit } from "./unit.ts";

/** A compiled instruction in a strict place. */
type Strict = (frame: Frame) => Whnf;
/** A compiled instruction whose result is stored. */
type Lazy = (frame: Frame) => Value;

/** The values of sets with so many attributes are delayed by one function. */
const MANY = 64;

/** How many more functions are kept when they first run. */
export interface Budget {
  left: number;
}

/** A program seldom has as many functions, unless it evaluates a whole package set. */
export const KEPT_FUNCTIONS = 20_000;

/** How closures are made. */
export interface ClosureOptions {
  /** Code that takes notes for errors. Default false. */
  readonly explaining?: boolean;
  /** Without one, every function is kept. */
  readonly budget?: Budget;
  /** Makes the same program once more, where its text will still be there. */
  readonly again?: () => Program;
}

/** Compiles a program's root; the result evaluates it, each time anew. */
export function compileClosures(root: Fn, unit: Unit, options: ClosureOptions = {}): () => Whnf {
  const code = new ClosureCompiler(unit, root, options).thunk({ fn: root }, null);
  const top: Frame = [];
  return () => code(top);
}

/** Operations on any two values. Those that are missing are done otherwise. */
const SLOW = { less: operate.less, sub: operate.sub, mul: operate.mul, div: operate.div, concat: operate.concat };

class ClosureCompiler {
  private readonly unit: Unit;
  private readonly explaining: boolean;
  private readonly budget: Budget;
  /** The function that the file is. */
  private outermost: Fn | undefined;
  /** Makes the instructions of its body once more. */
  private readonly again: (() => Node) | undefined;

  constructor(unit: Unit, root: Fn, { explaining = false, budget = { left: Infinity }, again }: ClosureOptions) {
    this.unit = unit;
    this.explaining = explaining;
    this.budget = budget;
    this.outermost = functionOf(root);
    this.again = again && (() => (functionOf(again().root) as Fn).body);
  }

  /** The code of a function without parameters, which is asked for when it first runs. */
  thunk(node: { readonly fn: Fn }, outer: Level | null): Strict {
    const code = this.whenRun(node, outer);
    if (!this.explaining) return code;
    const { unit } = this;
    return (frame) => {
      try {
        return code(frame);
      } catch (error) {
        const { name, at } = node.fn;
        throw name === "" ? error : evaluating(error, name, unit, at);
      }
    };
  }

  private whenRun(node: { readonly fn: Fn }, outer: Level | null): Strict {
    let left: { readonly fn: Fn } | undefined = node;
    let kept: Strict | undefined;
    let hasRun = false;
    let size = 0;
    return (frame) => {
      let code = kept;
      if (code === undefined) {
        const { fn } = left as { readonly fn: Fn };
        code = this.strict(fn.body, levelOf(fn, outer));
        size = fn.captured.length;
        if (hasRun || this.budget.left-- > 0) {
          kept = code;
          left = undefined;
        }
        hasRun = true;
      }
      return code(size === 0 ? frame : newFrame(frame, size));
    };
  }

  /** The body of a lambda, whose arguments are in the first slots. */
  private body(fn: Fn, level: Level): Strict {
    const body = this.bodyWhenRun(fn, level);
    if (!this.explaining) return body;
    const { unit } = this;
    return (frame) => {
      try {
        return body(frame);
      } catch (error) {
        throw running(error, fn, (frame as Value[]).slice(1, 1 + fn.arity), unit);
      }
    };
  }

  private bodyWhenRun(fn: Fn, level: Level): Strict {
    let left: Node | undefined = fn.body;
    let kept: Strict | undefined;
    let hasRun = false;
    let again: (() => Node) | undefined;
    if (fn === this.outermost) {
      again = this.again;
      this.outermost = undefined;
    }
    return (frame) => {
      let code = kept;
      if (code === undefined) {
        code = this.strict(left ?? (again as () => Node)(), level);
        if (hasRun || this.budget.left-- > 0) kept = code;
        if (kept !== undefined || again !== undefined) left = undefined;
        hasRun = true;
      }
      return code(frame);
    };
  }

  private lambda(fn: Fn, outer: Level | null): Lazy {
    const level = levelOf(fn, outer);
    const body = this.body(fn, level);
    const info = lambdaInfo(fn, this.unit);
    const size = fn.captured.length;
    if (fn.arity === 2) {
      const inner = innerInfo(fn, this.unit);
      const both = (first: Value, second: Value, env: Frame): Whnf => {
        const frame = newFrame(env, size);
        frame[1] = first;
        frame[2] = second;
        return body(frame);
      };
      const second = (value: Value, env: { first: Value; env: Frame }): Whnf => both(env.first, value, env.env);
      const first = (value: Value, env: Frame): Whnf => new Lambda(second, { first: value, env }, inner, null);
      return (frame) => new Lambda(first, frame, info, both);
    }
    if (fn.formals !== undefined) {
      const code = this.patternCode(fn, fn.formals, info, level, body);
      return (frame) => new Lambda(code, frame, info, null);
    }
    const code =
      size === 1
        ? (argument: Value, env: Frame): Whnf => body([env, argument])
        : (argument: Value, env: Frame): Whnf => {
            const frame = newFrame(env, size);
            frame[1] = argument;
            return body(frame);
          };
    return (frame) => new Lambda(code, frame, info, null);
  }

  private patternCode(
    fn: Fn,
    formals: readonly FormalSlot[],
    info: LambdaInfo,
    level: Level,
    body: Strict,
  ): (argument: Value, env: Frame) => Whnf {
    const size = fn.captured.length;
    const slots = formals.map((formal) => formal.slot + 1);
    const keys = formals.map((formal) => symbol(formal.name));
    const fallbacks = formals.map((formal) =>
      formal.fallback === undefined ? undefined : this.lazy(formal.fallback, level),
    );
    const { unit } = this;
    const { at, ellipsis } = fn;
    return (argument, env) => {
      const set = operate.demandPattern(argument, info);
      const frame = newFrame(env, size);
      frame[1] = argument;
      let matched = 0;
      for (let i = 0; i < keys.length; i++) {
        const value = set.get(keys[i] as Sym);
        if (value !== undefined) {
          matched++;
          frame[slots[i] as number] = value;
        } else {
          const fallback = fallbacks[i];
          if (fallback === undefined) {
            try {
              operate.missingArgument(info, (info.formals as readonly FormalInfo[])[i]?.name as string);
            } catch (error) {
              throw located(error, unit, at);
            }
          }
          frame[slots[i] as number] = fallback(frame);
        }
      }
      if (!ellipsis) {
        try {
          operate.checkUnexpected(set, matched, info);
        } catch (error) {
          throw located(error, unit, at);
        }
      }
      return body(frame);
    };
  }

  /** An instruction whose result is stored. */
  private lazy(node: Node, level: Level): Lazy {
    switch (node.op) {
      case "local":
        return readVariable(node.place, level);
      case "thunk": {
        const code = this.thunk(node, level);
        return (frame) => new Thunk(code, frame);
      }
      case "global": {
        const value = this.unit.globals.get(node.name) as Value;
        return () => value;
      }
      case "eager":
        return this.eager(node, level);
      default:
        return this.strict(node, level);
    }
  }

  private strict(node: Node, level: Level): Strict {
    const code = this.operation(node, level);
    return this.explaining && "at" in node ? this.placed(node.at, code) : code;
  }

  private operation(node: Node, level: Level): Strict {
    const { unit } = this;
    switch (node.op) {
      case "const": {
        const value = unit.constant(node.value);
        return () => value;
      }
      case "force":
        return this.force(node.of, level);
      case "lambda":
        return this.lambda(node.fn, level) as Strict;
      case "position":
        return () => unit.positionSet(node.at);
      case "ambient": {
        const key = symbol(node.name);
        return () => operate.select(unit.ambient, key);
      }
      case "let":
        return this.letBindings(node, level);
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
      case "list": {
        const items = node.items.map((item) => this.lazy(item, level));
        if (items.length === 0) return () => EMPTY_LIST;
        return (frame) => items.map((item) => item(frame));
      }
      case "with": {
        const sets = node.scopes.map((place) => readVariable(place, level));
        const key = symbol(node.name);
        return (frame) => {
          try {
            for (const set of sets) {
              const found = operate.findWith(set(frame), key);
              if (found !== undefined) return force(found);
            }
            throw new operate.MissingVariable(
              node.name,
              sets.map((set) => set(frame)),
            );
          } catch (error) {
            throw located(error, unit, node.at);
          }
        };
      }
      case "if": {
        const condition = this.condition(node.condition, level);
        const yes = this.strict(node.yes, level);
        const no = this.strict(node.no, level);
        return (frame) => (condition(frame) ? yes(frame) : no(frame));
      }
      case "assert": {
        const condition = this.condition(node.condition, level);
        const body = this.strict(node.body, level);
        const notes = this.explaining ? this.whyUnequal(node.condition, level) : undefined;
        return (frame) => {
          if (!condition(frame)) {
            try {
              operate.assertionFailed(node.text, notes?.(frame));
            } catch (error) {
              throw located(error, unit, node.at);
            }
          }
          return body(frame);
        };
      }
      case "not": {
        const of = this.condition(node.of, level);
        return (frame) => !of(frame);
      }
      case "and":
      case "or":
      case "implies":
      case "equal":
      case "differ":
        return this.logic(node, level);
      case "interpolate": {
        const parts = node.parts.map((part) => this.strict(part, level));
        return this.placed(node.at, (frame) =>
          interpolate(
            unit.rt,
            parts.map((part) => interpolated(unit.rt, part(frame))),
          ),
        );
      }
      case "append": {
        const base = this.strict(node.base, level);
        const parts = node.parts.map((part) => this.strict(part, level));
        return this.placed(node.at, (frame) =>
          appendToPath(
            unit.rt,
            base(frame) as NixPath,
            parts.map((part) => appended(unit.rt, part(frame))),
          ),
        );
      }
      case "local":
      case "thunk":
      case "global":
      case "eager": {
        const value = this.lazy(node, level);
        return (frame) => force(value(frame));
      }
      default:
        return this.binary(node, level);
    }
  }

  /** Runs `code`; errors from it that have no place get this one. */
  private placed(at: number, code: Strict): Strict {
    const { unit } = this;
    return (frame) => {
      try {
        return code(frame);
      } catch (error) {
        throw located(error, unit, at);
      }
    };
  }

  private force(of: Node, level: Level): Strict {
    const value = this.lazy(of, level);
    return (frame) => {
      const v = value(frame);
      return v instanceof Thunk ? v.force() : v;
    };
  }

  /** What a failed assertion has to say of two sides that should be equal. */
  private whyUnequal(condition: Node, level: Level): ((frame: Frame) => readonly string[]) | undefined {
    if (condition.op !== "equal") return undefined;
    const left = this.strict(condition.left, level);
    const right = this.strict(condition.right, level);
    return (frame) => {
      const found = difference(left(frame), right(frame));
      return found === undefined ? [] : [found];
    };
  }

  private condition(node: Node, level: Level): (frame: Frame) => boolean {
    const value = this.strict(node, level);
    const { unit } = this;
    const at = "at" in node ? node.at : level.at;
    return (frame) => {
      const v = value(frame);
      if (typeof v === "boolean") return v;
      try {
        return operate.bool(v);
      } catch (error) {
        throw located(error, unit, at);
      }
    };
  }

  private logic(node: LogicNode, level: Level): Strict {
    if (node.op === "equal" || node.op === "differ") {
      const left = this.strict(node.left, level);
      const right = this.strict(node.right, level);
      if (node.op === "equal") return (frame) => equalValues(left(frame), right(frame));
      return (frame) => !equalValues(left(frame), right(frame));
    }
    const left = this.condition(node.left, level);
    const right = this.condition(node.right, level);
    if (node.op === "and") return (frame) => left(frame) && right(frame);
    if (node.op === "or") return (frame) => left(frame) || right(frame);
    return (frame) => !left(frame) || right(frame);
  }

  private binary(node: Extract<Node, { left: Node; right: Node; at: number }>, level: Level): Strict {
    const left = this.strict(node.left, level);
    const right = this.strict(node.right, level);
    const { unit } = this;
    const { at, op } = node;
    if (op === "add") return this.add(left, right, at);
    if (op === "update") {
      return this.placed(at, (frame) => operate.update(operate.override(right(frame)), left(frame)));
    }
    const slow: (a: Whnf, b: Whnf) => Whnf = SLOW[op];
    const apply = (a: Whnf, b: Whnf): Whnf => {
      try {
        return slow(a, b);
      } catch (error) {
        throw located(error, unit, at);
      }
    };
    switch (op) {
      case "less":
        return (frame) => {
          const a = left(frame);
          const b = right(frame);
          return typeof a === "number" && typeof b === "number" ? a < b : apply(a, b);
        };
      case "sub":
        return (frame) => {
          const a = left(frame);
          const b = right(frame);
          if (typeof a === "number" && typeof b === "number") {
            const difference = a - b;
            if (difference <= Number.MAX_SAFE_INTEGER && difference >= Number.MIN_SAFE_INTEGER) return difference;
          }
          return apply(a, b);
        };
      default:
        return (frame) => apply(left(frame), right(frame));
    }
  }

  private add(left: Strict, right: Strict, at: number): Strict {
    const { unit } = this;
    return (frame) => {
      const a = left(frame);
      const head = typeof a === "number" || typeof a === "string" ? a : this.addend(a, at);
      const b = right(frame);
      if (typeof head === "number" && typeof b === "number") {
        const sum = head + b;
        if (sum <= Number.MAX_SAFE_INTEGER && sum >= Number.MIN_SAFE_INTEGER) return sum;
      } else if (typeof head === "string" && typeof b === "string") return head + b;
      try {
        return addValues(unit.rt, head, b);
      } catch (error) {
        throw located(error, unit, at);
      }
    };
  }

  private addend(left: Whnf, at: number): Addend {
    try {
      return addend(this.unit.rt, left);
    } catch (error) {
      throw located(error, this.unit, at);
    }
  }

  private eager(node: Extract<Node, { op: "eager" }>, level: Level): Lazy {
    const left = this.lazy(node.sum.left, level);
    const right = this.lazy(node.sum.right, level);
    const otherwise = this.lazy(node.otherwise, level);
    const { op } = node.sum;
    return (frame) => {
      const a = peek(left(frame));
      const b = peek(right(frame));
      if (typeof a === "number" && typeof b === "number") {
        const result = op === "add" ? a + b : op === "sub" ? a - b : a * b + 0;
        if (result <= Number.MAX_SAFE_INTEGER && result >= Number.MIN_SAFE_INTEGER) return result;
      }
      return otherwise(frame);
    };
  }

  private letBindings(node: Extract<Node, { op: "let" }>, level: Level): Strict {
    const body = this.strict(node.body, level);
    const values = node.bindings.map((binding) => this.lazy(binding.value, level));
    const slots = node.bindings.map((binding) => binding.slot + 1);
    if (values.length === 1) {
      const value = values[0] as Lazy;
      const slot = slots[0] as number;
      return (frame) => {
        frame[slot] = value(frame);
        return body(frame);
      };
    }
    return (frame) => {
      for (let i = 0; i < values.length; i++) frame[slots[i] as number] = (values[i] as Lazy)(frame);
      return body(frame);
    };
  }

  private overrides(node: Extract<Node, { op: "overrides" }>, level: Level): Strict {
    const body = this.strict(node.body, level);
    const from = node.from + 1;
    const renames = node.renames.map(({ name, slot }) => ({ key: symbol(name), slot: slot + 1 }));
    return (frame) => {
      const set = operate.overrideSet(frame[from] as Value);
      for (const { key, slot } of renames) {
        const value = set.get(key);
        if (value !== undefined) frame[slot] = value;
      }
      return operate.update(set, body(frame));
    };
  }

  private call(node: Extract<Node, { op: "call" }>, level: Level): Strict {
    const callee = this.strict(node.callee, level);
    const args = node.args.map((arg) => this.lazy(arg, level));
    const { unit } = this;
    const { at } = node;
    if (args.length === 1) {
      const argument = args[0] as Lazy;
      return (frame) => {
        const f = callee(frame);
        try {
          return f instanceof Lambda ? f.code(argument(frame), f.env) : call1(f, argument(frame));
        } catch (error) {
          throw calling(error, f, unit, at);
        }
      };
    }
    if (args.length === 2) {
      const first = args[0] as Lazy;
      const second = args[1] as Lazy;
      return (frame) => {
        const f = callee(frame);
        try {
          return call2(f, first(frame), second(frame));
        } catch (error) {
          throw calling(error, f, unit, at);
        }
      };
    }
    return (frame) => {
      const f = callee(frame);
      try {
        return callMany(
          f,
          args.map((arg) => arg(frame)),
        );
      } catch (error) {
        throw calling(error, f, unit, at);
      }
    };
  }

  private keys(path: readonly (string | Node)[], level: Level): ((frame: Frame) => Sym)[] {
    return path.map((step) => {
      if (typeof step === "string") {
        const key = symbol(step);
        return () => key;
      }
      const name = this.strict(step, level);
      return (frame) => operate.attrName(name(frame));
    });
  }

  private select(node: Extract<Node, { op: "select" }>, level: Level): Strict {
    const of = this.strict(node.of, level);
    const { unit } = this;
    const { at } = node;
    const step = (subject: Whnf, key: Sym): Whnf => {
      const value = subject instanceof Attrs ? subject.get(key) : undefined;
      if (value === undefined) throw located(operate.noAttribute(subject, key), unit, at);
      return value instanceof Thunk ? value.force() : value;
    };
    if (node.fallback === undefined) {
      const [only] = node.path;
      if (node.path.length === 1 && typeof only === "string") {
        const key = symbol(only);
        return (frame) => step(of(frame), key);
      }
      const keys = this.keys(node.path, level);
      return (frame) => {
        let subject = of(frame);
        for (const key of keys) subject = step(subject, key(frame));
        return subject;
      };
    }
    const keys = this.keys(node.path, level);
    const fallback = this.strict(node.fallback, level);
    return (frame) => {
      let subject = of(frame);
      for (const key of keys) {
        const value = operate.lookup(subject, key(frame));
        if (value === undefined) return fallback(frame);
        subject = force(value);
      }
      return subject;
    };
  }

  private has(node: Extract<Node, { op: "has" }>, level: Level): Strict {
    const of = this.strict(node.of, level);
    const keys = this.keys(node.path, level);
    const last = keys.length - 1;
    return (frame) => {
      let subject = of(frame);
      for (let i = 0; i < last; i++) {
        const value = operate.lookup(subject, (keys[i] as (frame: Frame) => Sym)(frame));
        if (value === undefined) return false;
        subject = force(value);
      }
      return operate.hasAttr(subject, (keys[last] as (frame: Frame) => Sym)(frame));
    };
  }

  /** The values of a set. Of a large one most are never asked for, so there are no closures for each. */
  private values(nodes: readonly Node[], level: Level): (frame: Frame) => Value[] {
    if (nodes.length < MANY) {
      const values = nodes.map((value) => this.lazy(value, level));
      return (frame) => values.map((value) => value(frame));
    }
    const others = nodes.flatMap((node, i) => (node.op === "thunk" ? [] : [{ i, value: this.lazy(node, level) }]));
    const codes = new Map<number, Strict>();
    const run = (frame: Frame, i: number): Whnf => {
      let code = codes.get(i);
      if (code === undefined) codes.set(i, (code = this.thunk(nodes[i] as ThunkNode, level)));
      return code(frame);
    };
    return (frame) =>
      delayAll(
        run,
        frame,
        nodes.length,
        others.flatMap(({ i, value }) => [i, value(frame)]),
      );
  }

  private attrs(node: Extract<Node, { op: "attrs" }>, level: Level): Strict {
    const { unit } = this;
    const shape = internShape(node.names.map(symbol));
    const values = this.values(node.values, level);
    const positions = new SlotPositions(node.offsets, 0, unit);
    const build: (frame: Frame) => Attrs =
      node.values.length === 0 ? () => EMPTY_ATTRS : (frame) => new Attrs(shape, values(frame), null, positions);
    if (node.dynamics.length === 0) return build;
    const names = node.dynamics.map((dynamic) => this.strict(dynamic.name, level));
    const dynamics = node.dynamics.map((dynamic) => this.lazy(dynamic.value, level));
    const dynamicPositions: operate.DynamicPositions = {
      pick: (taken) =>
        new SlotPositions(
          taken.map((i) => (node.dynamics[i] as { at: number }).at),
          0,
          unit,
        ),
    };
    return this.placed(node.dynamics[0]?.at ?? 0, (frame) =>
      operate.addDynamic(
        build(frame),
        names.map((name) => operate.dynamicName(name(frame))),
        dynamics.map((value) => value(frame)),
        dynamicPositions,
      ),
    );
  }
}
