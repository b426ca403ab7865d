// Locking a flake: from what flake.nix files say and what a lock file remembers to a graph of exact trees.
//
// An input that the lock file has, for what flake.nix still says, is taken from it, and its own inputs with it: nothing
// is fetched. Any other input is fetched and its own flake.nix (and lock file) read, and so on. Nothing is written here:
// the graph holds for this evaluation, and whoever wants a lock file is handed its text.
import type { Runtime } from "../../eval/vm/runtime.ts";
import { canonicalPath } from "../../eval/text/path.ts";
import { demandText, type FetchedInput, withAttrs } from "../fetch/input.ts";
import { type InputFetcher, isLocked, isRelative } from "../fetch/inputs.ts";
import { flakeError, type FlakeInput, type FlakeFile, type InputPath, readFlakeFile } from "./flake-file.ts";
import {
  checkFollows,
  emptyLock,
  formatLockFile,
  isPath,
  lockChanges,
  type LockedRef,
  type LockNode,
  parseLockFile,
  unlockedInput,
} from "./lock-file.ts";
import { equalFlakeRefs, type FlakeRef, formatFlakeRef } from "./reference.ts";
import { lookUp, type RegistryUse } from "./registry.ts";

/** How to lock. */
export interface LockOptions extends LockWishes {
  /** Which registries give names in flake.nix a meaning; none: such names are errors unless the lock file has them. */
  readonly registries: RegistryUse | "none";
  /** Whether inputs that do not say exactly what they are may be fetched. */
  readonly unlocked: boolean;
}

/** What a user may ask for when a flake is locked. Inputs are named by their paths, `a/b`. */
export interface LockWishes {
  /** What inputs are, whatever flakes and lock files say. Relative paths begin at the flake that is locked. */
  readonly overrides?: ReadonlyMap<string, FlakeRef>;
  /** Inputs that are looked up anew. */
  readonly updates?: ReadonlySet<string>;
  /** The lock file to go by in place of the flake's own: its text (one char per byte), and where it is; `null` for none. */
  readonly reference?: { readonly text: string; readonly where: string } | null;
  /** Whether the lock file may be out of date. Default: true. */
  readonly mayChange?: boolean;
  /** Takes the text of the lock file (one char per byte), unless it would have inputs that are not exact. */
  readonly write?: (text: string) => void;
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
  /** Whether there is a lock file that says the same. */
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
  /** Whether it is a wish of the user. */
  readonly isWish: boolean;
}

/** An input that no lock file knows. */
interface NewInput {
  readonly ref: FlakeRef;
  /** What the lock file will say that it was. */
  readonly original: FlakeRef;
  readonly isFlake: boolean;
  readonly registries: LockOptions["registries"];
  /** Of a relative path: the input whose flake it is relative to, and its place. */
  readonly parent: InputPath | undefined;
  readonly from: Place | undefined;
  readonly path: InputPath;
  /** What the lock file says of the input in its former form, with the prefix of its paths. */
  readonly old: LockNode | undefined;
  readonly prefix: InputPath;
}

/** Reads a flake and finds out what its inputs are. @throws EvalError `ERR_EVAL_FLAKE`, `ERR_EVAL_FETCH` */
export function lockFlake(rt: Runtime, inputs: InputFetcher, ref: FlakeRef, options: LockOptions): LockedFlake {
  const locking = new Locking(rt, inputs, options);
  const top = options.registries === "none" ? ref : lookUp(ref, inputs.context, "all");
  const flake = locking.open(top, []);
  const before = locking.referenceLock(flake);
  const root = emptyLock();
  locking.places.set(root, flake.place);
  locking.addWishes(flake.place);
  locking.compute(flake, root, [], before, [], false);
  checkFollows(root);
  locking.warnOfUnused();
  const changes = lockChanges(before, root);
  const isWritten = conclude(root, changes, ref, inputs.context.warn, options);
  return { root, places: locking.places, isUnchanged: changes.length === 0 || isWritten };
}

/** Hands out the lock file, or says what it would say; answers whether it was taken. */
function conclude(
  root: LockNode,
  changes: readonly string[],
  ref: FlakeRef,
  warn: (text: string) => void,
  { mayChange = true, write }: LockOptions,
): boolean {
  const name = formatFlakeRef(ref);
  if (changes.length > 0 && !mayChange) {
    throw flakeError(
      `flake '${name}' requires lock file changes but they're not allowed due to '--no-update-lock-file'`,
      changes,
    );
  }
  const unlocked = write && unlockedInput(root);
  if (unlocked !== undefined) {
    const shown = formatFlakeRef(unlocked);
    warn(`will not write lock file of flake '${name}' because it has an unlocked input ('${shown}')`);
  } else if (write !== undefined) {
    write(formatLockFile(root));
    return true;
  } else if (changes.length > 0) {
    warn([`not writing modified lock file of flake '${name}':`, ...changes].join("\n"));
  }
  return false;
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
  /** Paths of all inputs that were met, which are not always those of the graph. */
  readonly #met = new Set<string>();
  readonly #parents: FlakeRef[] = [];

  constructor(rt: Runtime, inputs: InputFetcher, options: LockOptions) {
    this.#rt = rt;
    this.#inputs = inputs;
    this.#options = options;
  }

  /** Fetches a flake and reads its flake.nix. */
  open(ref: FlakeRef, path: InputPath, registries: LockOptions["registries"] = this.#options.registries): OpenFlake {
    const { resolved, tree } = this.#fetch(ref, registries);
    const flake = this.#read({ tree, dir: resolved.dir }, { input: tree.attrs, dir: resolved.dir }, path);
    // `inputs.self` may ask for the tree in another form, with submodules say.
    const wanted = { ...resolved, input: withAttrs(resolved.input, Object.fromEntries(flake.file.self)) };
    if (equalFlakeRefs(wanted, resolved)) return flake;
    const again = this.#inputs.fetch(wanted.input);
    return this.#read({ tree: again, dir: wanted.dir }, { input: again.attrs, dir: wanted.dir }, path);
  }

  /** What is known of the inputs of the flake that is locked. */
  referenceLock({ directory }: OpenFlake): LockNode {
    const { reference } = this.#options;
    if (reference === undefined) return this.readLock(directory);
    return reference === null ? emptyLock() : parseLockFile(reference.text, reference.where);
  }

  readLock(directory: string): LockNode {
    const file = `${directory}/flake.lock`;
    if (this.#rt.io.fileType(file) === undefined) return emptyLock();
    return parseLockFile(this.#rt.io.readFile(this.#rt.readable(file)), file);
  }

  /** What the user wishes goes before what any flake says; relative paths begin at `place`. */
  addWishes(place: Place): void {
    for (const [path, ref] of this.#options.overrides ?? []) {
      const input: FlakeInput = { ref, isFlake: true, follows: undefined, inputs: new Map() };
      this.#overrides.set(path, { input, parent: [], place, isWish: true });
    }
  }

  warnOfUnused(): void {
    const { warn } = this.#inputs.context;
    for (const [path, ref] of this.#options.overrides ?? []) {
      if (this.#met.has(path)) continue;
      warn(`the flag '--override-input ${path} ${formatFlakeRef(ref)}' does not match any input`);
    }
    for (const path of this.#options.updates ?? []) {
      if (!this.#met.has(path)) warn(`'${path}' does not match any input of this flake`);
    }
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
      const key = at.join("/");
      this.#met.add(key);
      const override = this.#overrides.get(key);
      // Whether an input is a flake is for the flake to say that has it.
      const input = override === undefined ? said : { ...override.input, isFlake: said.isFlake };
      if (input.follows !== undefined) {
        node.inputs.set(id, input.follows);
        continue;
      }
      const ref = input.ref as FlakeRef;
      const parent = isRelative(ref.input) ? (override?.parent ?? path) : undefined;
      const from = parent === undefined ? undefined : (override ?? flake).place;
      const was = this.#options.updates?.has(key) ? undefined : old.inputs.get(id);
      const remembered = was !== undefined && !isPath(was) ? was : undefined;
      const isWish = override?.isWish === true;
      if (remembered !== undefined && !isWish && isStill(remembered, ref, parent)) {
        node.inputs.set(id, this.#keep(remembered, from, at, prefix, trusted));
        continue;
      }
      // As in Nix, what a flake says stays the original, so that the override outlives the next change.
      const original = isWish ? (said.ref ?? ref) : ref;
      const registries = isWish && this.#options.registries !== "none" ? "all" : this.#options.registries;
      const { isFlake } = input;
      const found = { ref, original, isFlake, registries, parent, from, path: at, old: remembered, prefix };
      node.inputs.set(id, this.#lockNew(found));
    }
  }

  /** What flakes say of the inputs of their inputs goes before what those say; who is nearer to the root wins. */
  #addOverrides(input: FlakeInput, path: InputPath, parent: InputPath, place: Place | undefined): void {
    for (const [id, inner] of input.inputs) {
      const at = [...path, id];
      const key = at.join("/");
      const says = inner.ref !== undefined || inner.follows !== undefined;
      if (says && !this.#overrides.has(key)) this.#overrides.set(key, { input: inner, parent, place, isWish: false });
      this.#addOverrides(inner, at, parent, place);
    }
  }

  /** Takes a node of the lock file, with its inputs, unless those may have changed. */
  #keep(known: LockNode, from: Place | undefined, path: InputPath, prefix: InputPath, trusted: boolean): LockNode {
    const locked = known.locked as LockedRef;
    const node: LockNode = { inputs: new Map(), locked };
    const below = `${path.join("/")}/`;
    for (const update of this.#options.updates ?? []) {
      if (update.startsWith(below)) return this.#readAgain(known, from, path, prefix);
    }
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
  #lockNew({ ref, original, isFlake, registries, parent, from, path, old, prefix }: NewInput): LockNode {
    if (!this.#options.unlocked && parent === undefined && !isLocked(ref.input)) {
      throw flakeError(`cannot update unlocked flake input '${path.join("/")}' in pure mode`);
    }
    if (!isFlake) {
      const { place, locked } = this.#tree(ref, from, false, registries);
      const node: LockNode = { inputs: new Map(), locked: { original, ref: locked, isFlake, parent } };
      this.places.set(node, place);
      return node;
    }
    if (this.#parents.some((above) => equalFlakeRefs(above, ref))) {
      throw flakeError(`found circular import of flake '${formatFlakeRef(ref)}'`);
    }
    this.#parents.push(ref);
    const flake = this.#openInput(ref, from, path, false, registries);
    const node: LockNode = { inputs: new Map(), locked: { original, ref: flake.ref, isFlake, parent } };
    this.places.set(node, flake.place);
    const before = old ?? this.readLock(flake.directory);
    this.compute(flake, node, path, before, old === undefined ? path : prefix, false);
    this.#parents.pop();
    return node;
  }

  #openInput(
    ref: FlakeRef,
    from: Place | undefined,
    path: InputPath,
    final: boolean,
    registries: LockOptions["registries"] = this.#options.registries,
  ): OpenFlake {
    if (from === undefined && !final) return this.open(ref, path, registries);
    const { place, locked } = this.#tree(ref, from, final, registries);
    return this.#read(place, locked, path);
  }

  #tree(
    ref: FlakeRef,
    from: Place | undefined,
    final: boolean,
    registries: LockOptions["registries"],
  ): { place: Place; locked: FlakeRef } {
    if (isRelative(ref.input)) {
      if (from === undefined) throw flakeError(`nothing says what '${formatFlakeRef(ref)}' is relative to`);
      const place = relativePlace(from, demandText(ref.input, "path"));
      return { place: { ...place, tree: { storePath: place.tree.storePath, attrs: ref.input } }, locked: ref };
    }
    const { resolved, tree } = final
      ? { resolved: ref, tree: this.#inputs.fetch(ref.input, true) }
      : this.#fetch(ref, registries);
    return { place: { tree, dir: resolved.dir }, locked: { input: tree.attrs, dir: resolved.dir } };
  }

  #fetch(ref: FlakeRef, registries: LockOptions["registries"]): { resolved: FlakeRef; tree: FetchedInput } {
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
