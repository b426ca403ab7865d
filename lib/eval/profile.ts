// CPU profiles by Nix function: V8's own sampling profiler, with the frames of compiled units named after the source.
//
// Between two Nix functions there are always some of ours, which force, call and select. They are taken out, so that
// what a function calls is right below it; where time was spent in one of ours itself, it is below the Nix function.

import type { Session as InspectorSession } from "node:inspector";
import { byteStringToText, type Source } from "./source.ts";
import { childrenOf, type Expr, Kind } from "./syntax/ast.ts";
import { parse } from "./syntax/parser.ts";
import { scriptPlace } from "./vm/script-trace.ts";

const LAMBDA = "\xce\xbb";

interface CallFrame {
  functionName: string;
  url: string;
  lineNumber: number;
  columnNumber: number;
}

interface ProfileNode {
  readonly id: number;
  readonly callFrame: CallFrame;
  hitCount: number;
  readonly children?: number[];
}

interface Profile {
  readonly nodes: readonly ProfileNode[];
  readonly samples: readonly number[];
}

/** A running profile. */
export interface Profiling {
  /** Ends it; answers the text of a `.cpuprofile` file, which speedscope and Chrome open. */
  stop(): string;
}

/** Starts profiling this thread, with a sample every `interval` microseconds. */
export function startProfile(interval = 200): Profiling {
  // Loaded only now: it costs the start of each program as much as a small evaluation.
  const session: InspectorSession = new (process.getBuiltinModule("node:inspector").Session)();
  session.connect();
  session.post("Profiler.enable");
  session.post("Profiler.setSamplingInterval", { interval });
  session.post("Profiler.start");
  return {
    stop: () => {
      let text = "";
      // In the same thread the answer comes before `post` returns.
      session.post("Profiler.stop", (error: Error | null, { profile }: { profile: Profile }) => {
        if (error !== null) throw error;
        text = JSON.stringify(byNixFunction(profile));
      });
      session.disconnect();
      return text;
    },
  };
}

/** The profile without what is between Nix functions. The first node is the root. */
function byNixFunction<P extends Profile>(profile: P): P {
  const byId = new Map(profile.nodes.map((node) => [node.id, node]));
  const [root] = profile.nodes as [ProfileNode];
  const isNix = new Set(profile.nodes.filter(({ callFrame }) => rename(callFrame)).map(({ id }) => id));
  // Children come after their parents, so in reverse they come before.
  const leadsToNix = new Set<number>();
  for (const { id, children = [] } of [...profile.nodes].reverse()) {
    if (children.some((child) => isNix.has(child) || leadsToNix.has(child))) leadsToNix.add(id);
  }
  const folded = new FoldedTree(root);
  /** What becomes of each node: the one that its samples count for, and the one that its children are below. */
  const below = new Map([[root.id, folded.root]]);
  const own = new Map([[root.id, folded.root.id]]);
  for (const { id, children = [] } of profile.nodes) {
    const parent = below.get(id) as ProfileNode;
    for (const child of children) {
      const node = byId.get(child) as ProfileNode;
      const isMachinery = leadsToNix.has(child) && !isNix.has(child);
      const spent = isMachinery && node.hitCount === 0 ? parent : folded.child(parent, node);
      own.set(child, spent.id);
      below.set(child, isMachinery ? parent : spent);
    }
  }
  return { ...profile, nodes: folded.nodes, samples: profile.samples.map((id) => own.get(id) as number) };
}

/** A tree of frames in which each node has one child for each function. */
class FoldedTree {
  readonly root: ProfileNode;
  readonly nodes: ProfileNode[];
  readonly #known = new Map<string, ProfileNode>();

  constructor({ callFrame, hitCount }: ProfileNode) {
    this.root = { id: 1, callFrame, hitCount, children: [] };
    this.nodes = [this.root];
  }

  child(parent: ProfileNode, { callFrame, hitCount }: ProfileNode): ProfileNode {
    const { functionName, url, lineNumber, columnNumber } = callFrame;
    const key = `${parent.id} ${lineNumber}:${columnNumber} ${functionName} ${url}`;
    let node = this.#known.get(key);
    if (node === undefined) {
      node = { id: this.nodes.length + 1, callFrame, hitCount: 0, children: [] };
      this.#known.set(key, node);
      this.nodes.push(node);
      parent.children?.push(node.id);
    }
    node.hitCount += hitCount;
    return node;
  }
}

/**
 * Names a frame of a compiled unit after the Nix function or value that it stands for, and where that is; false for
 * other frames.
 */
function rename(frame: CallFrame): boolean {
  const found = scriptPlace(frame.url, frame.lineNumber);
  if (found === undefined) return false;
  const { source } = found;
  const owner = ownerOf(treeOf(source), found.offset, /^[lab]\d/.test(frame.functionName));
  const { line, column } = source.position(owner.start);
  const file = source.name.slice(source.name.lastIndexOf("/") + 1);
  frame.functionName = byteStringToText(`${owner.name} ${file}:${line}:${column}`.trim());
  frame.url = byteStringToText(source.name);
  frame.lineNumber = line - 1;
  frame.columnNumber = column - 1;
  return true;
}

const trees = new WeakMap<Source, Expr>();

/** The tree of a source, which running code keeps no memory of. */
function treeOf(source: Source): Expr {
  let tree = trees.get(source);
  if (tree === undefined) {
    tree = parse(source, { pipeOperators: true }).expr;
    trees.set(source, tree);
  }
  return tree;
}

/** What code at an offset belongs to. */
interface Owner {
  /** The name that it is bound to, "λ" for a function without one. */
  readonly name: string;
  readonly start: number;
}

/** The innermost function, or else the innermost bound value, around an offset. */
function ownerOf(tree: Expr, offset: number, isFunction: boolean): Owner {
  let owner: Owner = { name: "", start: tree.start };
  let bound = "";
  for (let at: Expr | undefined = tree; at !== undefined; ) {
    if (at.kind === Kind.Lambda && isFunction) owner = { name: bound === "" ? LAMBDA : bound, start: at.start };
    const within: Expr | undefined = childrenOf(at).find(({ start, end }) => start <= offset && offset < end);
    bound = at.kind === Kind.AttrSet ? (at.bindings.find(({ value }) => value === within)?.name ?? "") : "";
    if (bound !== "" && within !== undefined && !isFunction) owner = { name: bound, start: within.start };
    at = within;
  }
  return owner;
}
