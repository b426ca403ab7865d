// Lock files: which exact trees the inputs of a flake are, as a graph.
//
// Each input of a node is a node of its own, or the path of another input that it follows. Paths begin at the root, the
// flake that the file belongs to.
import { fromByteString, toByteString } from "../../base/text.ts";
import type { Attribute, InputAttrs } from "../fetch/input.ts";
import { isLocked, isRelative } from "../fetch/inputs.ts";
import { flakeError, type InputPath } from "./flake-file.ts";
import { equalFlakeRefs, type FlakeRef, flakeRefAttrs, flakeRefFromAttrs, formatFlakeRef } from "./reference.ts";

/** A flake or tree, and what its inputs are. The root has no `locked`. */
export interface LockNode {
  readonly inputs: Map<string, LockNode | InputPath>;
  readonly locked: LockedRef | undefined;
}

/** What an input was and what it has become. */
export interface LockedRef {
  readonly original: FlakeRef;
  readonly ref: FlakeRef;
  readonly isFlake: boolean;
  /** Of an input that is a relative path: the input whose flake it is relative to. */
  readonly parent: InputPath | undefined;
}

/** A lock file of nothing. */
export function emptyLock(): LockNode {
  return { inputs: new Map(), locked: undefined };
}

interface JsonNode {
  readonly inputs?: Readonly<Record<string, string | readonly string[]>>;
  readonly locked?: Readonly<Record<string, unknown>>;
  readonly original?: Readonly<Record<string, unknown>>;
  readonly info?: Readonly<Record<string, unknown>>;
  readonly flake?: boolean;
  readonly parent?: readonly string[];
}

/**
 * Reads a lock file, of versions 5 to 7.
 * @param text one char per byte
 * @throws EvalError `ERR_EVAL_FLAKE`
 */
export function parseLockFile(text: string, where: string): LockNode {
  const bad = (why: string) => flakeError(`lock file '${where}' ${why}`);
  let json: { version?: unknown; root?: unknown; nodes?: Readonly<Record<string, JsonNode>> };
  try {
    json = JSON.parse(fromByteString(text) ?? "") as typeof json;
  } catch {
    throw bad("is not JSON");
  }
  const { version, root, nodes } = json;
  if (version !== 5 && version !== 6 && version !== 7) throw bad(`has unsupported version '${String(version)}'`);
  if (typeof root !== "string" || typeof nodes !== "object" || nodes === null) throw bad("has no root");
  const made = new Map<string, LockNode>();
  const pending: string[] = [];
  const nodeAt = (key: string): LockNode => {
    let node = made.get(key);
    if (node === undefined) {
      const source = Object.hasOwn(nodes, key) ? nodes[key] : undefined;
      if (source === undefined) throw bad(`references missing node '${key}'`);
      node = { inputs: new Map(), locked: key === root ? undefined : lockedOf(key, source, bad) };
      made.set(key, node);
      pending.push(key);
    }
    return node;
  };
  const start = nodeAt(root);
  for (let key = pending.pop(); key !== undefined; key = pending.pop()) {
    const node = made.get(key) as LockNode;
    for (const [id, target] of Object.entries((nodes[key] as JsonNode).inputs ?? {})) {
      if (typeof target === "string") node.inputs.set(toByteString(id), nodeAt(target));
      else if (Array.isArray(target)) node.inputs.set(toByteString(id), target.map(String).map(toByteString));
      else throw bad(`has an input '${id}' that is no node`);
    }
  }
  return start;
}

function lockedOf(key: string, node: JsonNode, bad: (why: string) => Error): LockedRef {
  if (node.locked === undefined || node.original === undefined) throw bad(`does not say what '${key}' is`);
  const ref = flakeRefFromAttrs(attrsOf({ ...node.info, ...node.locked }));
  if (!isLocked(ref.input) && !ref.input.has("narHash") && !isRelative(ref.input)) {
    throw bad(`contains unlocked input '${formatFlakeRef(ref)}'`);
  }
  const original = flakeRefFromAttrs(attrsOf(node.original));
  return { original, ref, isFlake: node.flake ?? true, parent: node.parent?.map(String).map(toByteString) };
}

function attrsOf(object: Readonly<Record<string, unknown>>): InputAttrs {
  const attrs = new Map<string, Attribute>();
  for (const [name, value] of Object.entries(object)) {
    if (typeof value === "string") attrs.set(name, toByteString(value));
    else if (typeof value === "number" || typeof value === "boolean") attrs.set(name, value);
  }
  return attrs;
}

/** The text of a lock file, one char per byte: as Nix writes it, to the byte. */
export function formatLockFile(root: LockNode): string {
  const keys = new Map<LockNode, string>();
  const taken = new Set<string>();
  const nodes: Record<string, unknown> = {};
  const write = (node: LockNode, name: string): string => {
    const known = keys.get(node);
    if (known !== undefined) return known;
    let key = name;
    for (let n = 2; taken.has(key); n++) key = `${name}_${n}`;
    taken.add(key);
    keys.set(node, key);
    const inputs: Record<string, unknown> = {};
    for (const [id, input] of sorted(node.inputs)) inputs[id] = isPath(input) ? input : write(input, id);
    nodes[key] = {
      ...(node.inputs.size === 0 ? {} : { inputs }),
      ...(node.locked === undefined ? {} : jsonOfLocked(node.locked)),
    };
    return key;
  };
  const start = write(root, "root");
  const ordered = Object.fromEntries(sorted(new Map(Object.entries(nodes))));
  return `${JSON.stringify({ nodes: ordered, root: start, version: 7 }, undefined, 2)}\n`;
}

function jsonOfLocked({ original, ref, isFlake, parent }: LockedRef): object {
  return {
    ...(isFlake ? {} : { flake: false }),
    locked: Object.fromEntries(sorted(flakeRefAttrs(ref))),
    original: Object.fromEntries(sorted(flakeRefAttrs(original))),
    ...(parent === undefined ? {} : { parent }),
  };
}

function sorted<T>(map: ReadonlyMap<string, T>): [string, T][] {
  return [...map].sort(([a], [b]) => (a < b ? -1 : 1));
}

/** An input that a lock file cannot have, since it does not say exactly what it is. */
export function unlockedInput(root: LockNode): FlakeRef | undefined {
  for (const input of inputsOf(root).values()) {
    if (isPath(input) || input.locked === undefined) continue;
    const { ref } = input.locked;
    if (!isLocked(ref.input) && !isRelative(ref.input)) return ref;
  }
  return undefined;
}

/** The node at a path, `follows` followed; `undefined` when there is none. */
export function findNode(root: LockNode, path: InputPath, visited: readonly InputPath[] = []): LockNode | undefined {
  let at = root;
  if (visited.some((seen) => seen.join("/") === path.join("/"))) {
    throw flakeError(`follow cycle detected: [${[...visited, path].map((seen) => seen.join("/")).join(" -> ")}]`);
  }
  for (const id of path) {
    const next = at.inputs.get(id);
    const node = next !== undefined && isPath(next) ? findNode(root, next, [...visited, path]) : next;
    if (node === undefined) return undefined;
    at = node;
  }
  return at;
}

/** Whether an input follows another. */
export function isPath(input: LockNode | InputPath): input is InputPath {
  return Array.isArray(input);
}

/** Checks that what is followed is there. @throws EvalError `ERR_EVAL_FLAKE` */
export function checkFollows(root: LockNode): void {
  for (const [path, input] of inputsOf(root)) {
    if (!isPath(input) || input.length === 0 || findNode(root, input) !== undefined) continue;
    throw flakeError(`input '${path}' follows a non-existent input '${input.join("/")}'`);
  }
}

/** All inputs of a graph by their paths, each node looked into once. */
export function inputsOf(root: LockNode): Map<string, LockNode | InputPath> {
  const found = new Map<string, LockNode | InputPath>();
  const done = new Set<LockNode>();
  const visit = (node: LockNode, prefix: string): void => {
    if (done.has(node)) return;
    done.add(node);
    for (const [id, input] of node.inputs) {
      found.set(prefix + id, input);
      if (!isPath(input)) visit(input, `${prefix}${id}/`);
    }
  };
  visit(root, "");
  return found;
}

/** What is different in `now`, in the words of Nix: a few lines for each input. */
export function lockChanges(before: LockNode, now: LockNode): string[] {
  const old = inputsOf(before);
  const changes: string[] = [];
  for (const [path, input] of inputsOf(now)) {
    const was = old.get(path);
    old.delete(path);
    if (was === undefined) changes.push(`${BULLET} Added input '${path}':\n    ${showInput(input)}`);
    else if (!equalInputs(was, input)) {
      changes.push(`${BULLET} Updated input '${path}':\n    ${showInput(was)}\n  ${ARROW} ${showInput(input)}`);
    }
  }
  for (const path of old.keys()) changes.push(`${BULLET} Removed input '${path}'`);
  return changes;
}

const BULLET = toByteString("\u2022");
const ARROW = toByteString("\u2192");

function showInput(input: LockNode | InputPath): string {
  if (isPath(input)) return `follows '${input.join("/")}'`;
  if (input.locked === undefined) return "the flake itself";
  const { ref } = input.locked;
  const time = ref.input.get("lastModified");
  const date = typeof time === "number" ? ` (${new Date(time * 1000).toISOString().slice(0, 10)})` : "";
  return `'${formatFlakeRef(ref)}'${date}`;
}

function equalInputs(a: LockNode | InputPath, b: LockNode | InputPath): boolean {
  if (isPath(a) || isPath(b)) return isPath(a) && isPath(b) && a.join("/") === b.join("/");
  if (a.locked === undefined || b.locked === undefined) return a.locked === b.locked;
  return (
    a.locked.isFlake === b.locked.isFlake &&
    equalFlakeRefs(a.locked.ref, b.locked.ref) &&
    equalFlakeRefs(a.locked.original, b.locked.original)
  );
}
