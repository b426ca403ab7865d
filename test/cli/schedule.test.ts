// The schedule of eval-jobs: whatever workers do, each path is visited once and lines come in order of the tree.
import { fc } from "../property.ts";
import { expect, test } from "vitest";
import type { Outcome } from "../../lib/cli/commands/eval-jobs/flags.ts";
import { Schedule, type Task } from "../../lib/cli/commands/eval-jobs/schedule.ts";

/** A tree: sets with members, and jobs. */
type Tree = readonly Tree[] | "job";

const tree = fc.letrec<{ tree: Tree }>((tie) => ({
  tree: fc.oneof(
    { maxDepth: 4, depthIdentifier: "tree" },
    fc.constant("job" as const),
    fc.array(tie("tree"), { maxLength: 6 }),
  ),
})).tree;

function linesOf(node: Tree, path: readonly string[]): string[] {
  if (node === "job") return [path.join(".")];
  return node.flatMap((child, i) => linesOf(child, [...path, String(i)]));
}

function visit(root: Tree, path: readonly string[]): Outcome {
  let node = root;
  for (const name of path) node = node[Number(name)] as Tree;
  return node === "job" ? { line: path.join("."), failed: false } : { names: node.map((_, i) => String(i)) };
}

test("each path once, lines in order", () => {
  const steps = fc.infiniteStream(
    fc.record({ worker: fc.nat(2), count: fc.integer({ min: 1, max: 5 }), dies: fc.nat(9) }),
  );
  fc.assert(
    fc.property(tree, steps, (root, stream) => {
      const schedule = new Schedule(() => false);
      const hands: Task[][] = [[], [], []];
      const visited = new Set<string>();
      const printed: string[] = [];
      for (const { worker, count, dies } of stream) {
        const hand = hands[worker] as Task[];
        if (hand.length === 0) hand.push(...schedule.take(count, worker, hands.length));
        else if (dies === 0) schedule.putBack(hand.splice(0));
        else {
          const task = hand.shift() as Task;
          expect(visited.has(task.path.join("."))).toBe(false);
          visited.add(task.path.join("."));
          schedule.finish(task, visit(root, task.path), worker);
        }
        printed.push(...Array.from(schedule.lines(), ({ line }) => line));
        if (schedule.finished) break;
      }
      expect(printed).toEqual(linesOf(root, []));
      expect(schedule.progress.done).toBe(schedule.progress.known);
    }),
    { numRuns: 300 },
  );
});

test("what a worker did not tell of before it ended is handed out one by one", () => {
  const schedule = new Schedule(() => false);
  const names = (tasks: readonly Task[]): string[] => tasks.map(({ path }) => path.join("."));
  const [root] = schedule.take(9, 0, 1);
  schedule.finish(root as Task, { names: ["a", "b", "c", "d", "e", "f", "g"] }, 0);
  const [a, ...others] = schedule.take(3, 0, 1) as [Task, ...Task[]];
  schedule.finish(a, { line: "a", failed: false }, 0);
  schedule.putBack(others);
  expect(names(schedule.take(3, 0, 1))).toEqual(["b"]);
  expect(names(schedule.take(3, 0, 1))).toEqual(["c"]);
  expect(names(schedule.take(3, 0, 1))).toEqual(["d", "e"]);
});

test("the members of an inner set stay with one worker while there is other work", () => {
  const schedule = new Schedule((path) => path.join(".") === "a.skipped");
  const names = (tasks: readonly Task[]): string[] => tasks.map(({ path }) => path.join("."));
  const [root] = schedule.take(9, 0, 2);
  schedule.finish(root as Task, { names: ["a", "b", "c"] }, 0);
  const [a] = schedule.take(1, 1, 2);
  schedule.finish(a as Task, { names: ["x", "skipped", "y"] }, 1);
  expect(names(schedule.take(1, 0, 2))).toEqual(["b"]);
  expect(names(schedule.take(1, 1, 2))).toEqual(["a.x"]);
  expect(names(schedule.take(1, 0, 2))).toEqual(["c"]);
  expect(names(schedule.take(1, 0, 2))).toEqual(["a.y"]);
  expect(schedule.take(1, 1, 2)).toEqual([]);
});
