// Lists: arrays made at their full length, which spares V8 growing them and the garbage of that.

import { EvalError } from "../error.ts";
import type { Value } from "./value.ts";

/** V8 ends the process when an array outgrows some 112 million elements; a list stays below. */
const LENGTH_LIMIT = 100_000_000;
/** Beyond this length V8 would make a hash table of an array whose length is given. */
const PREPARED_LIMIT = 2 ** 25;

/** The list without elements. */
export const EMPTY_LIST: readonly Value[] = [];

/** A list to be filled by index, from the first element to the last. */
export function newList<T = Value>(length: number): T[] {
  if (length < 0 || length > LENGTH_LIMIT) {
    throw new EvalError("ERR_EVAL_ARGUMENT", `cannot create list of size ${length}`);
  }
  // oxlint-disable-next-line unicorn/no-new-array -- Array.from would call a function for each element
  return length <= PREPARED_LIMIT ? new Array<T>(length) : [];
}
