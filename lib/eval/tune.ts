// V8 flags that suit short evaluations of much code.

import { setFlagsFromString } from "node:v8";

const COMMON = ["--semi-space-growth-factor=16", "--max-inlined-bytecode-size-cumulative=350"];

/**
 * By major version of Node, because V8 complains about flags it does not know.
 *
 * - Optimising later costs hot programs nothing and saves a third of a large cold one. Later versions count otherwise,
 *   and wait long enough by themselves.
 * - Inlining less, a third of V8's limit, makes optimising cheap enough to do it earlier: its threads took an eighth of
 *   a warm evaluation of nixpkgs. A comparator still goes into the sort that calls it.
 * - Room for young objects grows to its limit at once: doubling it step by step is a collection per step, and most of
 *   what an evaluation has made by then is still in use.
 */
const FLAGS: Readonly<Record<string, readonly string[]>> = {
  "20": ["--interrupt-budget=270000", ...COMMON],
  "22": COMMON,
  "24": COMMON,
};

let tuned = false;

/**
 * Sets the flags, once. V8 refuses code caches made under other flags, so this comes before anything is compiled, in
 * every program that shares a cache.
 */
export function tuneEngine(): void {
  if (tuned) return;
  tuned = true;
  const major = process.versions.node.split(".", 1)[0] as string;
  for (const flag of FLAGS[major] ?? []) setFlagsFromString(flag);
}
