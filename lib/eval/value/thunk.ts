// Thunks: delayed values with three further lives – being computed, computed, and failed.
//
// A thunk is code and its environment. While `code` runs the thunk is a black hole, so that a value that needs
// itself is an error and not a hang. When the code fails with an evaluation error, the thunk keeps the error and
// raises the same one each time it is forced; when it fails for another reason (no stack left, an interrupt), it
// goes back to its first state and may be tried again.

import { EvalError } from "../error.ts";
import type { Value, Whnf } from "./value.ts";

/** Code of a thunk: computes the value from the environment. */
export type ThunkCode<E = never> = (env: E) => Whnf;
/** Code of a delayed call: the code of a lambda, which takes its argument and its environment. */
export type CallCode<A = never, E = never> = (argument: A, env: E) => Whnf;

type AnyCode = (slot: unknown, extra: unknown) => Whnf;

/**
 * A delayed value. `code === null` means that `slot` is the value; before that, `code(slot, extra)` computes it. The
 * second operand lets `map` delay the call of a lambda without an object that holds argument and environment.
 */
export class Thunk {
  code: AnyCode | null;
  slot: unknown;
  extra: unknown;

  constructor(code: ThunkCode | CallCode, slot: unknown, extra?: unknown) {
    this.code = code as AnyCode;
    this.slot = slot;
    this.extra = extra;
  }

  /** The value, computing it when this is the first time. */
  force(): Whnf {
    const code = this.code;
    return code === null ? (this.slot as Whnf) : this.run(code);
  }

  private run(code: AnyCode): Whnf {
    const { slot, extra } = this;
    this.code = blackHole;
    try {
      const value = code(slot, extra);
      this.slot = value;
      this.extra = undefined;
      this.code = null;
      return value;
    } catch (error) {
      if (error instanceof EvalError && code !== blackHole) {
        this.slot = error;
        this.extra = undefined;
        this.code = raise;
      } else {
        this.code = code;
      }
      throw error;
    }
  }

  /** Another thunk of the same value. What it computes is its own: this one's holders do not keep it. */
  twin(): Thunk {
    const twin = new Thunk(raise, this.slot, this.extra);
    twin.code = this.code;
    return twin;
  }

  /** Takes over what a twin has computed. */
  adopt({ code, slot }: Thunk): void {
    if (code !== null) return;
    this.code = null;
    this.slot = slot;
    this.extra = undefined;
  }

  /** The value when it is there, without computing anything. */
  peek(): Whnf | undefined {
    return this.code === null ? (this.slot as Whnf) : undefined;
  }

  get isBlackHole(): boolean {
    return this.code === blackHole;
  }
}

function blackHole(): never {
  throw new EvalError("ERR_EVAL_INFINITE_RECURSION", "infinite recursion encountered");
}

function raise(error: unknown): never {
  throw error;
}

/** The weak head normal form of a value: not a thunk. */
export function force(value: Value): Whnf {
  return value instanceof Thunk ? value.force() : value;
}

/** What is known of a value without computing anything: a computed thunk's value, or the value, or the thunk. */
export function peek(value: Value): Value {
  return value instanceof Thunk ? (value.peek() ?? value) : value;
}
