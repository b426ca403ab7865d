// Writes derivations as ATerm, the text of .drv files.

import { latin1ToBytes } from "../base/text.ts";
import { quote, quoteList } from "../formats/aterm.ts";
import { type Derivation, hasDynamicInputs, type InputDrv } from "./model.ts";

/**
 * The text of the .drv file as a byte string, one char per byte. Like Nix, it escapes the builder, the arguments and the
 * variables only: a derivation whose system has a quote in it gets Nix's hashes and a file that nobody can read back,
 * and is refused by `validateDerivation`.
 */
export function writeDerivation(derivation: Derivation): string {
  return writeWith(derivation, writeInputDrvs(derivation.inputDrvs), false);
}

/** The .drv file's bytes. */
export function derivationBytes(derivation: Derivation): Uint8Array {
  return latin1ToBytes(writeDerivation(derivation));
}

/**
 * The text with `inputDrvs` (a list in ATerm) in place of the derivation's own and, when `masked`, with all output
 * paths blanked, in the outputs and in the variables of the same names: the form that is hashed.
 */
export function writeWith(derivation: Derivation, inputDrvs: string, masked: boolean): string {
  let out = hasDynamicInputs(derivation) ? 'DrvWithVersion("xp-dyn-drv",[' : "Derive([";
  let separator = "";
  for (const [name, output] of sortedEntries(derivation.outputs)) {
    const path = masked ? "" : output.path;
    out += `${separator}("${name}","${path}","${output.hashAlgo}","${output.hash}")`;
    separator = ",";
  }
  out += `],${inputDrvs},${writeNames(derivation.inputSrcs)},"${derivation.system}",`;
  out += `${quote(derivation.builder)},${quoteList(derivation.args)},[`;
  separator = "";
  for (const [name, value] of sortedEntries(derivation.env)) {
    out += `${separator}(${quote(name)},${masked && derivation.outputs.has(name) ? '""' : quote(value)})`;
    separator = ",";
  }
  return `${out}])`;
}

/** The list of input derivations by path, or by whatever else the keys are. */
export function writeInputDrvs(inputs: ReadonlyMap<string, InputDrv>): string {
  let out = "[";
  for (const [key, input] of sortedEntries(inputs)) {
    out += `${out === "[" ? "" : ","}("${key}",${writeInput(input)})`;
  }
  return `${out}]`;
}

function writeInput(input: InputDrv): string {
  const outputs = writeNames(input.outputs);
  if (input.dynamicOutputs === undefined || input.dynamicOutputs.size === 0) return outputs;
  const dynamic: string[] = [];
  for (const [name, inner] of sortedEntries(input.dynamicOutputs)) dynamic.push(`("${name}",${writeInput(inner)})`);
  return `(${outputs},[${dynamic.join(",")}])`;
}

/** Writes a sorted list of strings that never need escaping. */
function writeNames(names: readonly string[]): string {
  if (names.length === 0) return "[]";
  return names.length === 1 ? `["${names[0]}"]` : `["${names.toSorted(byBytes).join('","')}"]`;
}

/** The entries by key, bytewise: the map itself where it is in that order, as most are. */
function sortedEntries<T>(map: ReadonlyMap<string, T>): Iterable<readonly [string, T]> {
  let previous = "";
  for (const key of map.keys()) {
    if (key < previous) return [...map].sort(([a], [b]) => byBytes(a, b));
    previous = key;
  }
  return map;
}

function byBytes(a: string, b: string): number {
  return a < b ? -1 : Number(a > b);
}
