// CPU profiles by Nix function: V8's own sampling profiler, with the frames of compiled units named after the source.

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

interface Profile {
  readonly nodes: readonly { readonly callFrame: CallFrame }[];
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
        for (const { callFrame } of profile.nodes) rename(callFrame);
        text = JSON.stringify(profile);
      });
      session.disconnect();
      return text;
    },
  };
}

/** Names a frame of a compiled unit after the Nix function or value that it stands for, and where that is. */
function rename(frame: CallFrame): void {
  const found = scriptPlace(frame.url, frame.lineNumber);
  if (found === undefined) return;
  const { source } = found;
  const owner = ownerOf(treeOf(source), found.offset, /^[lab]\d/.test(frame.functionName));
  const { line, column } = source.position(owner.start);
  const file = source.name.slice(source.name.lastIndexOf("/") + 1);
  frame.functionName = byteStringToText(`${owner.name} ${file}:${line}:${column}`.trim());
  frame.url = byteStringToText(source.name);
  frame.lineNumber = line - 1;
  frame.columnNumber = column - 1;
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
