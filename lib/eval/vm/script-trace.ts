// From JavaScript stack traces to Nix traces: which line of an emitted script stands for which place in the source.
//
// Emitted code does nothing to remember where it is. When an error is shown, the stack that JavaScript recorded with
// it is read, and its frames in emitted scripts are looked up here.

import type { ErrorPlace } from "../error.ts";
import { SourceOrigin } from "../source.ts";
import type { Unit } from "./unit.ts";

interface Script {
  readonly unit: WeakRef<Unit>;
  lines(): readonly number[];
}

const scripts = new Map<string, Script>();

/** Makes a script known; entry n of `lines` is the offset in the source of what stands in line n (from 0), or -1. */
export function registerScript(file: string, unit: Unit, lines: () => readonly number[]): void {
  scripts.set(file, { unit: new WeakRef(unit), lines });
}

/** How many JavaScript frames are kept with an error. */
export const STACK_LIMIT = 120;

/** The places in Nix source that an error passed in emitted code, innermost first. */
export function scriptPlaces(error: Error): ErrorPlace[] {
  const places: ErrorPlace[] = [];
  const pattern = /\(?(nix:\d+:.*):(\d+):\d+\)?$/;
  for (const line of (error.stack ?? "").split("\n")) {
    const match = pattern.exec(line);
    if (match === null) continue;
    const script = scripts.get(match[1] as string);
    const offset = script?.lines()[Number(match[2]) - 1] ?? -1;
    const unit = script?.unit.deref();
    if (offset < 0 || unit === undefined) continue;
    if (unit.source.origin === SourceOrigin.BuiltIn) continue;
    const place = unit.place(offset);
    const last = places.at(-1);
    if (last === undefined || last.source !== place.source || last.offset !== place.offset) places.push(place);
  }
  return places;
}

/** The place in Nix source of the function that begins in a line (from 0) of an emitted script. */
export function scriptFunction(file: string, line: number): ErrorPlace | undefined {
  const script = scripts.get(file);
  const offset = script?.lines()[line] ?? -1;
  return offset < 0 ? undefined : script?.unit.deref()?.place(offset);
}
