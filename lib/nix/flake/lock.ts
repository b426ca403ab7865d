// Locking a flake: from what flake.nix files say and what a lock file remembers to a graph of exact trees.
//
// An input that the lock file has, for what flake.nix still says, is taken from it, and its own inputs with it: nothing
// is fetched. Any other input is fetched and its own flake.nix (and lock file) read, and so on. Nothing is written: the
// graph holds for this evaluation.
import type { Runtime } from "../../eval/vm/runtime.ts";
import { canonicalPath } from "../../eval/text/path.ts";
import { demandText, type FetchedInput, withAttrs } from "../fetch/input.ts";
import { type InputFetcher, isLocked, isRelative } from "../fetch/inputs.ts";
import { flakeError, type FlakeInput, type FlakeFile, type InputPath, readFlakeFile } from "./flake-file.ts";
import {
  checkFollows,
  emptyLock,
  isPath,
  lockChanges,
  type LockedRef,
  type LockNode,
  parseLockFile,
} from "./lock-file.ts";
import { equalFlakeRefs, type FlakeRef, formatFlakeRef } from "./reference.ts";
import { lookUp, type RegistryUse } from "./registry.ts";

/** How to lock. */
export interface LockOptions {
  /** Which registries give names in flake.nix a meaning; none: such names are errors unless the lock file has them. */
  readonly registries: RegistryUse | "none";
  /** Whether inputs that do not say exactly what they are may be fetched. */
  readonly unlocked: boolean;
}

/** Where the tree of a flake or input is. */
export interface Place {
  readonly tree: FetchedInput;
  /** Below the tree; empty for its top. */
  readonly dir: string;
}

/** A flake with its inputs. */
export interface LockedFlake {
  readonly root: LockNode;
  /** Of the nodes whose trees were fetched meanwhile, the root's among them. */
  readonly places: ReadonlyMap<LockNode, Place>;
  /** Whether the flake's own lock file says the same. */
  readonly isUnchanged: boolean;
}

/** A flake that was read. */
interface OpenFlake {
  readonly ref: FlakeRef;
  readonly place: Place;
  readonly directory: string;
  readonly file: FlakeFile;
}

/** An override of an input: what is said instead, and by the flake at which path of inputs and in which place. */
interface Override {
  readonly input: FlakeInput;
  readonly parent: InputPath;
  readonly place: Place | undefined;
}

/** Reads a flake and finds out what its inputs are. @throws EvalError `ERR_EVAL_FLAKE`, `ERR_EVAL_FETCH` */
export function lockFlake(rt: Runtime, inputs: InputFetcher, ref: FlakeRef, options: LockOptions): LockedFlake {
  const locking = new Locking(rt, inputs, options);
  const top = options.registries === "none" ? ref : lookUp(ref, inputs.context, "all");
  const flake = locking.open(top, []);
  const before = locking.readLock(flake.directory);
  const root = emptyLock();
  locking.places.set(root, flake.place);
  locking.compute(flake, root, [], before, [], false);
  checkFollows(root);
  const changes = lockChanges(before, root);
  if (changes.length > 0) {
    inputs.context.warn([`not writing modified lock file of flake '${formatFlakeRef(ref)}':`, ...changes].join("\n"));
  }
  return { root, places: locking.places, isUnchanged: changes.length === 0 };
}

/** The tree that a relative path is in, and where. */
export function relativePlace(from: Place, path: string): Place {
  return { tree: from.tree, dir: canonicalPath(`/${from.dir}/${path}`).slice(1) };
}

/** The directory that a place is. */
export function directoryOf({ tree, dir }: Place): string {
  return dir === "" ? tree.storePath : `${tree.storePath}/${dir}`;
}

class Locking {
  readonly places = new Map<LockNode, Place>();
  readonly #rt: Runtime;
  readonly #inputs: InputFetcher;
  readonly #options: LockOptions;
  readonly #overrides = new Map<string, Override>();
  readonly #parents: FlakeRef[] = [];

  constructor(rt: Runtime, inputs: InputFetcher, options: LockOptions) {
    this.#rt = rt;
    this.#inputs = inputs;
    this.#options = options;
  }

  /** Fetches a flake and reads its flake.nix. */
  open(ref: FlakeRef, path: InputPath): OpenFlake {
    const { resolved, tree } = this.#fetch(ref);
    const flake = this.#read({ tree, dir: resolved.dir }, { input: tree.attrs, dir: resolved.dir }, path);
    // `inputs.self` may ask for the tree in another form, with submodules say.
    const wanted = { ...resolved, input: withAttrs(resolved.input, Object.fromEntries(flake.file.self)) };
    if (equalFlakeRefs(wanted, resolved)) return flake;
    const again = this.#inputs.fetch(wanted.input);
    return this.#read({ tree: again, dir: wanted.dir }, { input: again.attrs, dir: wanted.dir }, path);
  }

  readLock(directory: string): LockNode {
    const file = `${directory}/flake.lock`;
    if (this.#rt.io.fileType(file) === undefined) return emptyLock();
    return parseLockFile(this.#rt.io.readFile(this.#rt.readable(file)), file);
  }

  /**
   * Finds the inputs of a flake, and puts them into `node`.
   * @param path of the flake among the inputs of the one that is locked
   * @param old what a lock file says of the inputs
   * @param prefix of the paths in that lock file
   * @param trusted whether what the lock file says of `follows` need not be looked up in flake.nix
   */
  compute(
    flake: { readonly file: FlakeFile; readonly place: Place | undefined },
    node: LockNode,
    path: InputPath,
    old: LockNode,
    prefix: InputPath,
    trusted: boolean,
  ): void {
    for (const [id, input] of flake.file.inputs) this.#addOverrides(input, [...path, id], path, flake.place);
    for (const [id, said] of flake.file.inputs) {
      const at = [...path, id];
      const override = this.#overrides.get(at.join("/"));
      // Whether an input is a flake is for the flake to say that has it.
      const input = override === undefined ? said : { ...override.input, isFlake: said.isFlake };
      if (input.follows !== undefined) {
        node.inputs.set(id, input.follows);
        continue;
      }
      const ref = input.ref as FlakeRef;
      const parent = isRelative(ref.input) ? (override?.parent ?? path) : undefined;
      const from = parent === undefined ? undefined : (override ?? flake).place;
      const was = old.inputs.get(id);
      const known = was !== undefined && !isPath(was) && isStill(was, ref, parent) ? was : undefined;
      const remembered = was !== undefined && !isPath(was) ? was : undefined;
      const made =
        known === undefined
          ? this.#lockNew(ref, input.isFlake, parent, from, at, remembered, prefix)
          : this.#keep(known, from, at, prefix, trusted);
      node.inputs.set(id, made);
    }
  }

  /** What flakes say of the inputs of their inputs goes before what those say; who is nearer to the root wins. */
  #addOverrides(input: FlakeInput, path: InputPath, parent: InputPath, place: Place | undefined): void {
    for (const [id, inner] of input.inputs) {
      const at = [...path, id];
      const key = at.join("/");
      const says = inner.ref !== undefined || inner.follows !== undefined;
      if (says && !this.#overrides.has(key)) this.#overrides.set(key, { input: inner, parent, place });
      this.#addOverrides(inner, at, parent, place);
    }
  }

  /** Takes a node of the lock file, with its inputs, unless those may have changed. */
  #keep(known: LockNode, from: Place | undefined, path: InputPath, prefix: InputPath, trusted: boolean): LockNode {
    const locked = known.locked as LockedRef;
    const node: LockNode = { inputs: new Map(), locked };
    const inputs = new Map<string, FlakeInput>();
    for (const [id, input] of known.inputs) {
      if (isPath(input)) {
        // When nobody overrides it any more, the input is what its own flake says, which nobody has read.
        if (!trusted && !this.#overrides.has([...path, id].join("/")))
          return this.#readAgain(known, from, path, prefix);
        inputs.set(id, { ref: undefined, isFlake: true, follows: [...prefix, ...input], inputs: new Map() });
      } else {
        const { original, isFlake } = input.locked as LockedRef;
        inputs.set(id, { ref: original, isFlake, follows: undefined, inputs: new Map() });
      }
    }
    const place = from && relativePlace(from, demandText(locked.ref.input, "path"));
    this.compute({ file: { inputs, self: new Map() }, place }, node, path, known, prefix, true);
    return node;
  }

  #readAgain(known: LockNode, from: Place | undefined, path: InputPath, prefix: InputPath): LockNode {
    const locked = known.locked as LockedRef;
    const node: LockNode = { inputs: new Map(), locked };
    const flake = this.#openInput(locked.ref, from, path, true);
    this.places.set(node, flake.place);
    this.compute(flake, node, path, known, prefix, false);
    return node;
  }

  /** Fetches an input that no lock file knows. */
  #lockNew(
    ref: FlakeRef,
    isFlake: boolean,
    parent: InputPath | undefined,
    from: Place | undefined,
    path: InputPath,
    old: LockNode | undefined,
    prefix: InputPath,
  ): LockNode {
    if (!this.#options.unlocked && parent === undefined && !isLocked(ref.input)) {
      throw flakeError(`cannot update unlocked flake input '${path.join("/")}' in pure mode`);
    }
    if (!isFlake) {
      const { place, locked } = this.#tree(ref, from);
      const node: LockNode = { inputs: new Map(), locked: { original: ref, ref: locked, isFlake, parent } };
      this.places.set(node, place);
      return node;
    }
    if (this.#parents.some((above) => equalFlakeRefs(above, ref))) {
      throw flakeError(`found circular import of flake '${formatFlakeRef(ref)}'`);
    }
    this.#parents.push(ref);
    const flake = this.#openInput(ref, from, path, false);
    const node: LockNode = { inputs: new Map(), locked: { original: ref, ref: flake.ref, isFlake, parent } };
    this.places.set(node, flake.place);
    const before = old ?? this.readLock(flake.directory);
    this.compute(flake, node, path, before, old === undefined ? path : prefix, false);
    this.#parents.pop();
    return node;
  }

  #openInput(ref: FlakeRef, from: Place | undefined, path: InputPath, final: boolean): OpenFlake {
    if (from === undefined && !final) return this.open(ref, path);
    const { place, locked } = this.#tree(ref, from, final);
    return this.#read(place, locked, path);
  }

  #tree(ref: FlakeRef, from: Place | undefined, final = false): { place: Place; locked: FlakeRef } {
    if (isRelative(ref.input)) {
      if (from === undefined) throw flakeError(`nothing says what '${formatFlakeRef(ref)}' is relative to`);
      const place = relativePlace(from, demandText(ref.input, "path"));
      return { place: { ...place, tree: { storePath: place.tree.storePath, attrs: ref.input } }, locked: ref };
    }
    const { resolved, tree } = final ? { resolved: ref, tree: this.#inputs.fetch(ref.input, true) } : this.#fetch(ref);
    return { place: { tree, dir: resolved.dir }, locked: { input: tree.attrs, dir: resolved.dir } };
  }

  #fetch(ref: FlakeRef): { resolved: FlakeRef; tree: FetchedInput } {
    const { registries } = this.#options;
    const resolved = registries === "none" ? ref : lookUp(ref, this.#inputs.context, registries);
    return { resolved, tree: this.#inputs.fetch(resolved.input) };
  }

  #read(place: Place, ref: FlakeRef, path: InputPath): OpenFlake {
    const directory = directoryOf(place);
    return { ref, place, directory, file: readFlakeFile(this.#rt, directory, ref, path) };
  }
}

function isStill({ locked }: LockNode, ref: FlakeRef, parent: InputPath | undefined): boolean {
  return locked !== undefined && equalFlakeRefs(locked.original, ref) && locked.parent?.join("/") === parent?.join("/");
}
