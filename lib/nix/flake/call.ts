// The value of a flake: its outputs as a function of its inputs and itself, and what is known of its tree.
import { type Attrs, updateAttrs } from "../../eval/value/attrs.ts";
import { ContextString } from "../../eval/value/string.ts";
import { symbol } from "../../eval/value/symbol.ts";
import { force, Thunk } from "../../eval/value/thunk.ts";
import { describeType, isFunction, type Value } from "../../eval/value/value.ts";
import { call1 } from "../../eval/vm/call.ts";
import { demandAttr, forceAttrs } from "../../eval/vm/demand.ts";
import { canonicalPath } from "../../eval/text/path.ts";
import type { Runtime } from "../../eval/vm/runtime.ts";
import { attrSet } from "../attr-set.ts";
import { demandText } from "../fetch/input.ts";
import { type InputFetcher, isRelative } from "../fetch/inputs.ts";
import { treeAttrs } from "../fetch/tree-attrs.ts";
import { flakeError, type InputPath } from "./flake-file.ts";
import { directoryOf, type LockedFlake, type Place } from "./lock.ts";
import { findNode, isPath, type LockNode } from "./lock-file.ts";

const OUTPUTS = symbol("outputs");

/** The value of a locked flake. Inputs are fetched and evaluated when they are needed. */
export function callFlake(rt: Runtime, inputs: InputFetcher, flake: LockedFlake): Attrs {
  return forceAttrs(new Calling(rt, inputs, flake).value(flake.root), "a flake");
}

class Calling {
  readonly #rt: Runtime;
  readonly #inputs: InputFetcher;
  readonly #flake: LockedFlake;
  readonly #values = new Map<LockNode, Thunk>();
  readonly #places = new Map<LockNode, Place>();

  constructor(rt: Runtime, inputs: InputFetcher, flake: LockedFlake) {
    this.#rt = rt;
    this.#inputs = inputs;
    this.#flake = flake;
  }

  value(node: LockNode): Thunk {
    let value = this.#values.get(node);
    if (value === undefined) {
      value = new Thunk(
        () => (node.locked?.isFlake === false ? this.#tree(node) : this.#call(node, this.value(node))),
        null,
      );
      this.#values.set(node, value);
    }
    return value;
  }

  /** An input that is no flake: its tree. */
  #tree(node: LockNode): Attrs {
    const { sourceInfo, outPath } = this.#source(node);
    return updateAttrs(sourceInfo, attrSet({ sourceInfo, outPath }));
  }

  #call(node: LockNode, self: Thunk): Attrs {
    const { sourceInfo, outPath } = this.#source(node);
    const flake = forceAttrs(this.#rt.importFile(canonicalPath(`${outPath.text}/flake.nix`)), "a flake");
    const outputsOf = force(demandAttr(flake, OUTPUTS, "outputs", "a flake"));
    if (!isFunction(outputsOf)) {
      throw flakeError(`expected the outputs of a flake to be a function, but they are ${describeType(outputsOf)}`);
    }
    const inputs = attrSet(Object.fromEntries([...node.inputs].map(([id, input]) => [id, this.#input(input)])));
    const outputs = new Thunk(() => call1(outputsOf, updateAttrs(inputs, attrSet({ self }))), null);
    const known = attrSet({ outPath, inputs, outputs, sourceInfo, _type: "flake" });
    return updateAttrs(updateAttrs(forceAttrs(outputs, "the outputs of a flake"), sourceInfo), known);
  }

  #input(input: LockNode | InputPath): Value {
    return isPath(input) ? new Thunk(() => force(this.value(this.#find(input))), null) : this.value(input);
  }

  #find(path: InputPath): LockNode {
    const node = findNode(this.#flake.root, path);
    if (node === undefined) throw flakeError(`there is no input '${path.join("/")}'`);
    return node;
  }

  #source(node: LockNode): { sourceInfo: Attrs; outPath: ContextString } {
    const place = this.#place(node);
    const withoutRevision = node === this.#flake.root && !this.#flake.isUnchanged;
    const { storePath } = place.tree;
    return {
      sourceInfo: treeAttrs(place.tree, { withoutRevision }),
      outPath: new ContextString(directoryOf(place), new Set([storePath])),
    };
  }

  #place(node: LockNode): Place {
    let place = this.#flake.places.get(node) ?? this.#places.get(node);
    if (place === undefined) {
      place = this.#fetch(node);
      this.#places.set(node, place);
    }
    return place;
  }

  /** Where a node is that the lock file describes and nobody has needed so far. */
  #fetch({ locked }: LockNode): Place {
    if (locked === undefined) throw flakeError("the flake that is locked has no place");
    const { input, dir } = locked.ref;
    if (!isRelative(input)) return { tree: this.#inputs.fetch(input, true), dir };
    const parent = this.#place(this.#find(locked.parent ?? []));
    // As Nix has it, the path of such a flake keeps the dots that the lock file has.
    return { tree: parent.tree, dir: `${parent.dir}/${demandText(input, "path")}`.replace(/^\//, "") };
  }
}
