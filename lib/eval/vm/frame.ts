// Frames: where closures find variables. A frame is an array: the frame of the enclosing function, then the variables by
// slot. Functions without variables have no frame and run in the enclosing one.

import type { Fn, Place } from "../ir/program.ts";
import type { Value } from "../value/value.ts";

/** `[enclosing frame, slot 0, slot 1, …]`. */
export type Frame = unknown[];

/** A function being compiled, as far as frames are concerned: its instructions are not kept by it. */
export interface Level {
  /** How many variables it has. */
  readonly size: number;
  /** Where it is in the source. */
  readonly at: number;
  readonly outer: Level | null;
}

/** The level of a function inside another one. */
export function levelOf(fn: Fn, outer: Level | null): Level {
  return { size: fn.captured.length, at: fn.at, outer };
}

/** How to read a variable from a function's frame. */
export function readVariable({ up, slot }: Place, level: Level): (frame: Frame) => Value {
  const index = slot + 1;
  const hops = hopsTo(up, level);
  switch (hops) {
    case 0:
      return (frame) => frame[index] as Value;
    case 1:
      return (frame) => (frame[0] as Frame)[index] as Value;
    case 2:
      return (frame) => ((frame[0] as Frame)[0] as Frame)[index] as Value;
    case 3:
      return (frame) => (((frame[0] as Frame)[0] as Frame)[0] as Frame)[index] as Value;
    default:
      return (frame) => {
        let at = frame;
        for (let i = 0; i < hops; i++) at = at[0] as Frame;
        return at[index] as Value;
      };
  }
}

/** How many frames outwards the function is that is `up` functions outwards. */
function hopsTo(up: number, level: Level): number {
  let hops = 0;
  let at = level;
  for (let i = 0; i < up; i++) {
    if (at.size > 0) hops++;
    at = at.outer as Level;
  }
  return hops;
}

/** A frame for `size` variables. */
export function newFrame(outer: Frame, size: number): Frame {
  switch (size) {
    case 1:
      return [outer, undefined];
    case 2:
      return [outer, undefined, undefined];
    case 3:
      return [outer, undefined, undefined, undefined];
    case 4:
      return [outer, undefined, undefined, undefined, undefined];
    default: {
      const frame = (BLANKS[size] ??= blank(size)).slice();
      frame[0] = outer;
      return frame;
    }
  }
}

/** Frames to be copied, by size: an array that grows to its length takes twice the space. */
const BLANKS: Frame[] = [];

function blank(size: number): Frame {
  const grown: Frame = [];
  for (let i = 0; i <= size; i++) grown.push(undefined);
  return grown.slice();
}
