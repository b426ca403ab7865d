// What a derivation is: the fields of a .drv file, and the kinds of outputs that they can describe.
//
// Every string here is a byte string with one char (0…255) per byte, as the evaluator keeps Nix strings; text becomes
// bytes only where it is hashed or written (lib/base/text.ts). Store paths are absolute. Collections need no order:
// the writer sorts what the format wants sorted.

/** A derivation: what to run, on what, and what it will make. */
export interface Derivation {
  /** The name without `.drv`. It is not in the file but in the file's own store path. */
  readonly name: string;
  readonly outputs: ReadonlyMap<string, DerivationOutput>;
  /** Per derivation that this one uses, by path, which of its outputs. */
  readonly inputDrvs: ReadonlyMap<string, InputDrv>;
  /** Other store paths that it uses. */
  readonly inputSrcs: readonly string[];
  readonly system: string;
  readonly builder: string;
  readonly args: readonly string[];
  readonly env: ReadonlyMap<string, string>;
}

/** Chars that the file does not escape where it has names, paths, hashes and the system: none with them reads back. */
export const UNESCAPED: RegExp = /["\\\n\r\t]/;

/** The three fields of an output as they are in the file; what they mean is told by {@link outputKind}. */
export interface DerivationOutput {
  /** The output's store path, or empty while it is not known. */
  readonly path: string;
  /** Empty, or how the output is hashed: `sha256`, `r:sha256`, `text:sha256`, `git:sha1`. */
  readonly hashAlgo: string;
  /** Empty, the output's hash in lower-case base-16, or `impure`. */
  readonly hash: string;
}

/** Outputs of an input derivation, and of the derivations that these outputs are (dynamic derivations). */
export interface InputDrv {
  readonly outputs: readonly string[];
  readonly dynamicOutputs?: ReadonlyMap<string, InputDrv>;
}

/**
 * - `input-addressed`: the path follows from the inputs.
 * - `fixed`: the hash of the contents is known in advance.
 * - `floating`: the path will follow from the contents.
 * - `impure`: as floating, and different each time.
 * - `deferred`: the path will follow from inputs that are themselves not known yet, or is yet to be filled in.
 */
export type OutputKind = "input-addressed" | "fixed" | "floating" | "impure" | "deferred";

/** Which kind of output the fields describe. */
export function outputKind(output: DerivationOutput): OutputKind {
  if (output.hashAlgo === "") return output.path === "" ? "deferred" : "input-addressed";
  if (output.hash === "impure") return "impure";
  return output.hash === "" ? "floating" : "fixed";
}

/** Whether all outputs are fixed: a valid derivation then has exactly one, `out`. */
export function isFixed(derivation: Derivation): boolean {
  for (const output of derivation.outputs.values()) {
    if (outputKind(output) !== "fixed") return false;
  }
  return derivation.outputs.size > 0;
}

/** Whether some input is the output of a derivation that another derivation makes. */
export function hasDynamicInputs(derivation: Derivation): boolean {
  for (const input of derivation.inputDrvs.values()) {
    if (input.dynamicOutputs !== undefined && input.dynamicOutputs.size > 0) return true;
  }
  return false;
}

/** The store paths that a derivation's file refers to. */
export function* referencesOf(
  derivation: Pick<Derivation, "inputDrvs" | "inputSrcs">,
): Generator<string, void, undefined> {
  yield* derivation.inputSrcs;
  yield* derivation.inputDrvs.keys();
}
