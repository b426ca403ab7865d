// The hash of a derivation *modulo* its fixed-output inputs: the one file to read to understand why two differ.
//
// Output paths must not depend on how a source was fetched, only on what was fetched. So a derivation is not hashed as
// it is written: each input derivation's path is replaced by that input's own modulo hash, recursively, and a
// derivation with a fixed output has a modulo hash made of nothing but that output. Two inputs that differ only in
// how they fetch the same thing then have one hash, and become one input with the outputs of both.
//
// There are two such hashes of one derivation, and they are not interchangeable:
//
// - *masked*, with the output paths blanked: from it the output paths are made;
// - *unmasked*, with the output paths filled in: it stands for the derivation where it is an input of others.
//
// An output whose contents are hashed only once built (floating, impure) has no path that could go into such a hash;
// its hash, and that of whatever uses it, is *deferred*: well defined, but not good for making paths.

import { TvixError } from "../base/error.ts";
import { toHex } from "../base/bytes.ts";
import type { Range } from "../formats/aterm.ts";
import { sha256, sha256HexOfLatin1 } from "../formats/digest.ts";
import { type Derivation, type InputDrv, hasDynamicInputs, isFixed, outputKind } from "./model.ts";
import { type DerivationText, withDerivationText } from "./write.ts";

/** A modulo hash. */
export interface ModuloHash {
  /** SHA-256 in lower-case base-16. */
  readonly hash: string;
  /** Whether it depends on contents not known yet; no output path may be made from it then. */
  readonly deferred: boolean;
}

/** Where the unmasked modulo hashes of inputs come from, by derivation path. `undefined` when it is not known. */
export type ModuloLookup = (drvPath: string) => ModuloHash | undefined;

/** SHA-256 of `impure`: what stands for any impure derivation. */
let impureHash: string | undefined;

/**
 * The unmasked modulo hash, which stands for `derivation` in the hashes of those that use it. The output paths must be
 * filled in. Throws `ERR_DRV_UNKNOWN_INPUT` when `lookup` does not know an input.
 */
export function moduloHash(derivation: Derivation, lookup: ModuloLookup): ModuloHash {
  return withDerivationText(derivation, (text) => new ModuloHashing(derivation, lookup, text).unmasked());
}

/** The masked modulo hash, from which input-addressed output paths are made. */
export function maskedModuloHash(derivation: Derivation, lookup: ModuloLookup): ModuloHash {
  return withDerivationText(derivation, (text) => new ModuloHashing(derivation, lookup, text).masked());
}

/** The modulo hashes of one derivation; what they have in common is made once. */
export class ModuloHashing {
  readonly #derivation: Derivation;
  readonly #lookup: ModuloLookup;
  readonly #text: DerivationText;
  #inputs: { readonly range: Range; readonly deferred: boolean } | undefined;

  constructor(derivation: Derivation, lookup: ModuloLookup, text: DerivationText) {
    this.#derivation = derivation;
    this.#lookup = lookup;
    this.#text = text;
  }

  /** The hash from which output paths are made. */
  masked(): ModuloHash {
    return this.#hash(true);
  }

  /** The hash of the derivation once its output paths are filled in. */
  unmasked(): ModuloHash {
    const derivation = this.#derivation;
    if (isFixed(derivation)) return { hash: fixedHash(derivation), deferred: false };
    if (isImpure(derivation)) return { hash: (impureHash ??= sha256HexOfLatin1("impure")), deferred: true };
    return this.#hash(false);
  }

  #hash(masked: boolean): ModuloHash {
    if (this.#inputs === undefined) {
      const { inputs, deferred } = moduloInputs(this.#derivation, this.#lookup);
      this.#inputs = { range: this.#text.inputs(inputs), deferred };
    }
    let { deferred } = this.#inputs;
    for (const output of this.#derivation.outputs.values()) {
      const kind = outputKind(output);
      // A blank path is what masking makes of a known one, so only the unmasked form tells of deferral by it.
      if (kind === "floating" || kind === "impure" || (kind === "deferred" && !masked)) deferred = true;
    }
    return { hash: toHex(sha256(this.#text.write(this.#inputs.range, masked))), deferred };
  }
}

/** The input derivations, each under its modulo hash. */
function moduloInputs(
  derivation: Derivation,
  lookup: ModuloLookup,
): { inputs: ReadonlyMap<string, InputDrv>; deferred: boolean } {
  let deferred = hasDynamicInputs(derivation);
  const inputs = new Map<string, InputDrv>();
  for (const [path, input] of derivation.inputDrvs) {
    const modulo = lookup(path);
    if (modulo === undefined) {
      throw new TvixError("ERR_DRV_UNKNOWN_INPUT", `'${derivation.name}' uses ${path}, which is not known`, {
        notes: ["derivations are hashed after the ones they use"],
      });
    }
    if (modulo.deferred) deferred = true;
    const same = inputs.get(modulo.hash);
    inputs.set(
      modulo.hash,
      same === undefined ? withoutDynamic(input) : { outputs: union(same.outputs, input.outputs) },
    );
  }
  return { inputs, deferred };
}

function fixedHash(derivation: Derivation): string {
  const output = derivation.outputs.get("out");
  if (output === undefined || derivation.outputs.size > 1) {
    throw new TvixError(
      "ERR_DRV_FIXED_OUTPUTS",
      `fixed-output derivation '${derivation.name}' has outputs besides 'out'`,
    );
  }
  return sha256HexOfLatin1(`fixed:out:${output.hashAlgo}:${output.hash}:${output.path}`);
}

function isImpure(derivation: Derivation): boolean {
  for (const output of derivation.outputs.values()) if (outputKind(output) === "impure") return true;
  return false;
}

function withoutDynamic(input: InputDrv): InputDrv {
  return input.dynamicOutputs === undefined ? input : { outputs: input.outputs };
}

function union(a: readonly string[], b: readonly string[]): string[] {
  return [...new Set([...a, ...b])];
}
