// V8 flags that suit short evaluations of much code.

import { setFlagsFromString } from "node:v8";

/**
 * By major version of Node, because V8 complains about flags it does not know.
 *
 * - Optimising later costs hot programs nothing and saves a third of a large cold one. Later versions count otherwise,
 *   and wait long enough by themselves.
 * - Room for young objects grows to its limit at once: doubling it step by step is a collection per step, and most of
 *   what an evaluation has made by then is still in use.
 */
const FLAGS: Readonly<Record<string, readonly string[]>> = {
  "20": ["--interrupt-budget=540672", "--semi-space-growth-factor=16"],
  "22": ["--semi-space-growth-factor=16"],
  "24": ["--semi-space-growth-factor=16"],
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
