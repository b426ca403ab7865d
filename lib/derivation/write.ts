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
  return new DerivationText(derivation).write(writeInputDrvs(derivation.inputDrvs), () => undefined);
}

/** The .drv file's bytes. */
export function derivationBytes(derivation: Derivation): Uint8Array {
  return latin1ToBytes(writeDerivation(derivation));
}

/**
 * A derivation of which several texts are made, that differ in the input derivations and the output paths: the file,
 * and the forms that are hashed. What they share is escaped and joined once.
 */
export class DerivationText {
  readonly #derivation: Derivation;
  readonly #start: string;
  /** The variables named like outputs … */
  readonly #holes: string[] = [];
  /** … and what is before, between and after their values, from the sources on. */
  readonly #pieces: string[] = [];

  constructor(derivation: Derivation) {
    const { outputs, inputSrcs, system, builder, args, env } = derivation;
    this.#derivation = derivation;
    this.#start = hasDynamicInputs(derivation) ? 'DrvWithVersion("xp-dyn-drv",[' : "Derive([";
    let piece = `,${writeNames(inputSrcs)},"${system}",${quote(builder)},${quoteList(args)},[`;
    let separator = "";
    for (const [name, value] of sortedEntries(env)) {
      piece += `${separator}(${quote(name)},`;
      if (outputs.has(name)) {
        this.#holes.push(name);
        this.#pieces.push(piece);
        piece = ")";
      } else piece += `${quote(value)})`;
      separator = ",";
    }
    this.#pieces.push(`${piece}])`);
  }

  /**
   * The text with `inputDrvs` (a list in ATerm) in place of the derivation's own. `pathOf` gives the path of an output,
   * for its entry and for the variable named like it; `undefined` leaves both as they are.
   */
  write(inputDrvs: string, pathOf: (output: string) => string | undefined): string {
    const { outputs, env } = this.#derivation;
    let out = this.#start;
    let separator = "";
    for (const [name, output] of sortedEntries(outputs)) {
      out += `${separator}("${name}","${pathOf(name) ?? output.path}","${output.hashAlgo}","${output.hash}")`;
      separator = ",";
    }
    out += `],${inputDrvs}${this.#pieces[0]}`;
    this.#holes.forEach((name, i) => {
      out += quote(pathOf(name) ?? (env.get(name) as string)) + this.#pieces[i + 1];
    });
    return out;
  }
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
