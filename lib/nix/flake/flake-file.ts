// flake.nix: what a flake says of itself, its inputs above all.
import { EvalError } from "../../eval/error.ts";
import type { Attrs } from "../../eval/value/attrs.ts";
import { Lambda } from "../../eval/value/function.ts";
import { symbol } from "../../eval/value/symbol.ts";
import { force } from "../../eval/value/thunk.ts";
import { describeType, isFunction, isString, NixPath, type Value } from "../../eval/value/value.ts";
import { forceAttrs, forceBool, forceText } from "../../eval/vm/demand.ts";
import type { Runtime } from "../../eval/vm/runtime.ts";
import { attrEntries } from "../attr-set.ts";
import type { Attribute, InputAttrs } from "../fetch/input.ts";
import { FLAKE_ID } from "../fetch/schemes/indirect.ts";
import { type FlakeRef, flakeRefFromAttrs, formatFlakeRef, parseFlakeRef } from "./reference.ts";

/** A way through inputs of inputs, from the flake that is locked. */
export type InputPath = readonly string[];

/** What a flake says of one of its inputs, or of an input of an input. */
export interface FlakeInput {
  /** What it is; absent when it follows another, or when only its own inputs are spoken of. */
  readonly ref: FlakeRef | undefined;
  readonly isFlake: boolean;
  /** The input that stands in for it. */
  readonly follows: InputPath | undefined;
  /** What is said of its inputs, in place of what it says itself. */
  readonly inputs: ReadonlyMap<string, FlakeInput>;
}

/** What the file says. */
export interface FlakeFile {
  readonly inputs: ReadonlyMap<string, FlakeInput>;
  /** How the flake's own tree is to be fetched: `inputs.self`. */
  readonly self: InputAttrs;
}

const ATTRIBUTES: ReadonlySet<string> = new Set(["description", "inputs", "outputs", "nixConfig"]);

/**
 * Reads the flake.nix in a directory.
 * @param prefix of the paths in `follows`: where the flake is among the inputs of the one that is locked
 * @throws EvalError `ERR_EVAL_FLAKE`, or what evaluating the file throws
 */
export function readFlakeFile(rt: Runtime, directory: string, ref: FlakeRef, prefix: InputPath): FlakeFile {
  const file = `${directory}/flake.nix`;
  if (rt.io.fileType(file) === undefined) throw flakeError(`path '${file}' does not exist`);
  const set = forceAttrs(rt.importFile(file), `the flake '${formatFlakeRef(ref)}'`);
  for (const [name] of attrEntries(set)) {
    if (!ATTRIBUTES.has(name)) {
      throw flakeError(`flake '${formatFlakeRef(ref)}' has an unsupported attribute '${name}'`);
    }
  }
  const description = set.get(symbol("description"));
  if (description !== undefined) forceText(description, "the description of a flake");
  const outputs = set.get(symbol("outputs"));
  if (outputs === undefined) throw flakeError(`flake '${formatFlakeRef(ref)}' lacks attribute 'outputs'`);
  const given = set.get(symbol("inputs"));
  const inputs = new Map<string, FlakeInput>();
  let self: InputAttrs = new Map();
  for (const [name, value] of given === undefined ? [] : attrEntries(forceAttrs(given, "the inputs of a flake"))) {
    checkId(name);
    if (name === "self") self = attributesOf(forceAttrs(value, "the input `self` of a flake"));
    else inputs.set(name, withDefault(name, readInput(name, value, prefix)));
  }
  for (const name of formalsOf(outputs)) {
    if (name === "self" || inputs.has(name)) continue;
    inputs.set(name, withDefault(name, { ref: undefined, isFlake: true, follows: undefined, inputs: new Map() }));
  }
  return { inputs, self };
}

/** Reads `follows`: names with slashes between. @throws EvalError `ERR_EVAL_FLAKE` */
export function parseInputPath(text: string): InputPath {
  const path = text.split("/").filter((name) => name !== "");
  for (const name of path) {
    if (!FLAKE_ID.test(name)) throw flakeError(`invalid flake input attribute path element '${name}'`);
  }
  return path;
}

/** The error for a flake that makes no sense. */
export function flakeError(message: string, notes: readonly string[] = []): EvalError {
  return new EvalError("ERR_EVAL_FLAKE", message, { notes });
}

/** An input of which nothing is said is what a registry calls by its name. */
function withDefault(id: string, input: FlakeInput): FlakeInput {
  if (input.ref !== undefined || input.follows !== undefined) return input;
  return {
    ...input,
    ref: flakeRefFromAttrs(
      new Map([
        ["type", "indirect"],
        ["id", id],
      ]),
    ),
  };
}

function readInput(id: string, value: Value, prefix: InputPath): FlakeInput {
  const where = `the input '${id}' of a flake`;
  const attrs = new Map<string, Attribute>();
  let isFlake = true;
  let follows: InputPath | undefined;
  const inputs = new Map<string, FlakeInput>();
  for (const [name, delayed] of attrEntries(forceAttrs(value, where))) {
    const item = force(delayed);
    if (name === "flake") isFlake = forceBool(item, `\`flake\` of ${where}`);
    else if (name === "follows") follows = [...prefix, ...parseInputPath(forceText(item, `\`follows\` of ${where}`))];
    else if (name === "inputs") {
      for (const [inner, said] of attrEntries(forceAttrs(item, `\`inputs\` of ${where}`))) {
        checkId(inner);
        inputs.set(inner, readInput(inner, said, prefix));
      }
    } else if (name === "url")
      attrs.set(name, item instanceof NixPath ? item.text : forceText(item, `\`url\` of ${where}`));
    else attrs.set(name, attributeOf(name, item));
  }
  const ref = refOf(attrs, isFlake);
  if (ref !== undefined && follows !== undefined) {
    throw flakeError(`${where} has both a flake reference and a follows attribute`);
  }
  return { ref, isFlake, follows, inputs };
}

function refOf(attrs: ReadonlyMap<string, Attribute>, isFlake: boolean): FlakeRef | undefined {
  if (attrs.has("type")) return flakeRefFromAttrs(attrs);
  const other = [...attrs.keys()].find((name) => name !== "url");
  if (other !== undefined) throw flakeError(`unexpected flake input attribute '${other}'`);
  const url = attrs.get("url");
  return url === undefined ? undefined : parseFlakeRef(String(url), { wantsTree: isFlake, relative: true });
}

function attributesOf(set: Attrs): InputAttrs {
  return new Map(attrEntries(set).map(([name, value]) => [name, attributeOf(name, force(value))]));
}

function attributeOf(name: string, item: Value): Attribute {
  if (isString(item)) return forceText(item, `the attribute '${name}' of a flake input`);
  if (typeof item === "boolean") return item;
  if ((typeof item === "number" || typeof item === "bigint") && item >= 0) return Number(item);
  const found = describeType(item);
  throw flakeError(`flake input attribute '${name}' is ${found} while a string, Boolean, or integer is expected`);
}

function checkId(name: string): void {
  if (!FLAKE_ID.test(name)) throw flakeError(`'${name}' is not a valid name of a flake input`);
}

function formalsOf(outputs: Value): readonly string[] {
  const value = force(outputs);
  if (!isFunction(value))
    throw flakeError(`expected the outputs of a flake to be a function, but they are ${describeType(value)}`);
  return value instanceof Lambda ? (value.info.formals ?? []).map(({ name }) => name) : [];
}
