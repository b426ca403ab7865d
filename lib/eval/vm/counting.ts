// What instructions add to the counts of `--stats`.

import type { Node } from "../ir/program.ts";
import type { Counts } from "../observer.ts";

/** What an instruction adds to the counts. */
export function countsOf(node: Node): (readonly [count: keyof Counts, n: number])[] {
  switch (node.op) {
    case "thunk":
      return [["thunks", 1]];
    case "select":
    case "has":
      return [["lookups", node.path.length]];
    case "with":
      return [["lookups", 1]];
    case "list":
      return [
        ["lists", 1],
        ["listElements", node.items.length],
      ];
    case "concat":
      return [["concats", 1]];
    case "attrs":
      return [
        ["sets", 1],
        ["setElements", node.names.length + node.dynamics.length],
      ];
    case "update":
      return [["updates", 1]];
    default:
      return [];
  }
}
