// Functions: lambdas of Nix code, built-in functions, and built-in functions that lack arguments.

import type { Builtin } from "../builtins/define.ts";
import type { Runtime } from "../vm/runtime.ts";
import type { AttrPosition } from "./attrs.ts";
import type { Sym } from "./symbol.ts";
import type { Value, Whnf } from "./value.ts";

/** One name of a set pattern, in the order of the source. */
export interface FormalInfo {
  readonly key: Sym;
  readonly name: string;
  readonly hasDefault: boolean;
  /** Offset in the source, for `unsafeGetAttrPos` of `functionArgs`. */
  readonly offset: number;
}

/** What does not change between the closures of one lambda of the source. */
export interface LambdaInfo {
  /** The name it is bound to, for messages; "" when it has none. */
  readonly name: string;
  /** The name of its parameter, or of the set after `@`; "" when it has none. */
  readonly param: string;
  readonly formals: readonly FormalInfo[] | null;
  readonly ellipsis: boolean;
  /** Offset in the source. */
  readonly offset: number;
  /** Whether a call with an argument that is no thunk cannot fail and costs hardly more than delaying it. */
  readonly immediate: boolean;
  /** Turns offsets into positions. */
  position(offset: number): AttrPosition | null;
}

/** The code of a lambda; `env` is what the closure holds. */
export type LambdaCode<E = never> = (argument: Value, env: E) => Whnf;
/** The code of a lambda with its next parameters taken at once: `a: b: body`. */
export type LambdaCode2<E = never> = (first: Value, second: Value, env: E) => Whnf;

/** A function of Nix code. */
export class Lambda {
  readonly code: LambdaCode;
  readonly env: never;
  readonly info: LambdaInfo;
  /** Takes two arguments at once, when the body of the lambda is a lambda of one plain parameter. */
  readonly code2: LambdaCode2 | null;

  constructor(code: LambdaCode, env: unknown, info: LambdaInfo, code2: LambdaCode2 | null) {
    this.code = code;
    this.env = env as never;
    this.info = info;
    this.code2 = code2;
  }
}

/** A built-in function of an evaluator. */
export class PrimOp {
  readonly builtin: Builtin;
  readonly runtime: Runtime;

  constructor(builtin: Builtin, runtime: Runtime) {
    this.builtin = builtin;
    this.runtime = runtime;
  }
}

/** A built-in function with some of its arguments. */
export class PrimOpApp {
  readonly op: PrimOp;
  readonly args: readonly Value[];

  constructor(op: PrimOp, args: readonly Value[]) {
    this.op = op;
    this.args = args;
  }
}
