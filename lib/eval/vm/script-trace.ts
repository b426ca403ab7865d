// From JavaScript stack traces to Nix traces: which line of an emitted script stands for which place in the source.
//
// Emitted code does nothing to remember where it is. When an error is shown, the stack that JavaScript recorded with
// it is read, and its frames in emitted scripts are looked up here.

import type { ErrorPlace } from "../error.ts";
import { SourceOrigin } from "../source.ts";
import type { Unit } from "./unit.ts";

/** The units of scripts by name. Their evaluators hold them: nothing else does once the function of a thunk has failed. */
const scripts = new Map<string, WeakRef<Unit>>();
const gone = new FinalizationRegistry((name: string) => {
  if (scripts.get(name)?.deref() === undefined) scripts.delete(name);
});

let unnamed = 0;

/** A name that no other script of the process has. */
export function freshName(): string {
  return `nix:${++unnamed}`;
}

/** So many digits of a key tell it from others. */
const NAME_DIGITS = 40;

/**
 * The name of the script of a unit with a cache entry. V8 takes the name of cached code out of the cache, so it is the
 * same in every process. `undefined` when another file with the same text has it: its places would be that one's.
 */
export function nameOfKey(key: string, unit: Unit): string | undefined {
  const name = `nix:${key.slice(0, NAME_DIGITS)}`;
  const other = scripts.get(name)?.deref();
  return other === undefined || other.source.name === unit.source.name ? name : undefined;
}

/** Makes the script of a unit known, whose `lines` have been set. */
export function registerScript(name: string, unit: Unit): void {
  scripts.set(name, new WeakRef(unit));
  gone.register(unit, name);
}

/** How many JavaScript frames are kept with an error. */
export const STACK_LIMIT = 120;

/** The places in Nix source that an error passed in emitted code, innermost first. */
export function placesPassed(error: Error): ErrorPlace[] {
  const places: ErrorPlace[] = [];
  const pattern = /\(?(nix:[0-9a-f]+):(\d+):\d+\)?$/;
  // The error of a stack overflow is made when the stack is empty again; what overflowed is its cause.
  const { stack } = error.cause instanceof RangeError ? error.cause : error;
  for (const line of (stack ?? "").split("\n")) {
    const match = pattern.exec(line);
    if (match === null) continue;
    const place = scriptPlace(match[1] as string, Number(match[2]) - 1);
    if (place === undefined || place.source.origin === SourceOrigin.BuiltIn) continue;
    const last = places.at(-1);
    if (last === undefined || last.source !== place.source || last.offset !== place.offset) places.push(place);
  }
  return places;
}

/** The place in Nix source of what stands in a line (from 0) of an emitted script. */
export function scriptPlace(name: string, line: number): ErrorPlace | undefined {
  const unit = scripts.get(name)?.deref();
  const offset = unit?.lines?.()[line] ?? -1;
  return offset < 0 ? undefined : unit?.place(offset);
}
