// Functions while they are written as JavaScript: their variables, and the frames that nested functions reach them by.

import type { Fn } from "../ir/program.ts";

/** A function being written. */
export interface Level {
  readonly fn: Fn;
  readonly outer: Level | null;
  readonly framed: boolean;
  /** The frame holds only parameters and is made when it is first needed. */
  readonly lateFrame: boolean;
  /** By slot: the index in the frame. */
  readonly index: readonly number[];
  /** Slots known to hold weak head normal forms here. */
  known: Set<number>;
  temps: number;
  maxTemps: number;
  /** How deeply the expression being written is nested. */
  depth: number;
}

/** Begins a function whose first `params` variables are parameters. */
export function openLevel(fn: Fn, outer: Level | null, params: number): Level {
  const index: number[] = [];
  let next = 1;
  let onlyParams = fn.formals === undefined;
  fn.captured.forEach((captured, slot) => {
    index.push(captured ? next++ : 0);
    if (captured && slot >= params) onlyParams = false;
  });
  const framed = next > 1;
  return {
    fn,
    outer,
    framed,
    lateFrame: framed && onlyParams && params > 0,
    index,
    known: new Set(),
    temps: 0,
    maxTemps: 0,
    depth: 0,
  };
}

/** The variables of a function and its frame. */
export function declarations(level: Level, params: number): string {
  const names: string[] = [];
  for (let slot = params; slot < level.fn.captured.length; slot++) names.push(`v${slot}`);
  for (let i = 0; i < level.maxTemps; i++) names.push(`x${i}`);
  if (level.framed) names.push(level.lateFrame ? "F" : `F=${frameLiteral(level, params)}`);
  return names.length === 0 ? "" : `var ${names.join(",")};`;
}

function frameLiteral(level: Level, params: number): string {
  const items = ["e"];
  level.fn.captured.forEach((captured, slot) => {
    if (captured) items.push(slot < params ? `v${slot}` : "undefined");
  });
  return `[${items.join(",")}]`;
}

/** A variable for the function's own use; given back by lowering `temps`. */
export function takeTemp(level: Level): string {
  const name = `x${level.temps++}`;
  if (level.temps > level.maxTemps) level.maxTemps = level.temps;
  return name;
}

/** The frame that functions made here run in. */
export function envOf(level: Level): string {
  if (!level.framed) return "e";
  if (!level.lateFrame) return "F";
  return `(F||(F=${frameLiteral(level, level.fn.arity === 2 ? 2 : 1)}))`;
}

/** The frame of an enclosing framed function, as seen from `level`. */
export function frameOf(target: Level, level: Level): string {
  let text = "e";
  for (let at = level.outer; at !== target && at !== null; at = at.outer) if (at.framed) text += "[0]";
  return text;
}
