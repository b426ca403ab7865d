// Computes where a derivation and its outputs will be, and fills the paths in.

import { TvixError } from "../base/error.ts";
import { fromHex } from "../base/bytes.ts";
import { parseOutputMethod } from "../formats/content-address.ts";
import { digestLatin1 } from "../formats/digest.ts";
import { nixHash } from "../formats/hash.ts";
import { contentAddressedPath, outputPath, outputPathName, type StorePath, textPath } from "../formats/store-path.ts";
import { maskedModuloHash, type ModuloHash, ModuloHashing, type ModuloLookup } from "./hash-modulo.ts";
import { type Derivation, type DerivationOutput, outputKind, referencesOf } from "./model.ts";
import { writeDerivation, writeInputDrvs } from "./write.ts";

/** Options of the functions here. */
export interface PathOptions {
  /** Default `/nix/store`. */
  readonly storeDir?: string;
}

/** A derivation with its output paths filled in, and its file. */
export interface CompleteDerivation {
  readonly derivation: Derivation;
  /** The .drv file's path. */
  readonly path: StorePath;
  /** The .drv file's contents, one char per byte. */
  readonly text: string;
  /** The unmasked modulo hash, for the hashes of derivations that use it. */
  readonly modulo: ModuloHash;
}

/**
 * The output paths by output name, as they follow from the other fields; `undefined` for those that only building will
 * tell. Paths already filled in are not looked at.
 *
 * @throws TvixError `ERR_DRV_UNKNOWN_INPUT`, `ERR_DRV_OUTPUT_HASH`, or `ERR_STORE_PATH_NAME` for names that cannot be
 */
export function outputPaths(
  derivation: Derivation,
  lookup: ModuloLookup,
  options: PathOptions = {},
): Map<string, StorePath | undefined> {
  return pathsByHash(derivation, () => maskedModuloHash(derivation, lookup), options);
}

function pathsByHash(
  derivation: Derivation,
  maskedHash: () => ModuloHash,
  options: PathOptions,
): Map<string, StorePath | undefined> {
  const paths = new Map<string, StorePath | undefined>();
  let modulo: string | undefined;
  for (const [output, fields] of derivation.outputs) {
    const kind = outputKind(fields);
    if (kind === "fixed") {
      paths.set(output, fixedOutputPath(derivation.name, output, fields, options));
    } else if (kind === "floating" || kind === "impure") {
      paths.set(output, undefined);
    } else {
      if (modulo === undefined) {
        const masked = maskedHash();
        modulo = masked.deferred ? "" : masked.hash;
      }
      const { storeDir } = options;
      paths.set(output, modulo === "" ? undefined : outputPath({ name: derivation.name, output, modulo, storeDir }));
    }
  }
  return paths;
}

/** The path that a fixed output's hash gives it. */
export function fixedOutputPath(
  name: string,
  output: string,
  fields: DerivationOutput,
  options: PathOptions = {},
): StorePath {
  const { method, algo } = parseOutputMethod(fields.hashAlgo);
  const digest = fromHex(fields.hash);
  if (digest === undefined || fields.hash !== fields.hash.toLowerCase()) {
    throw new TvixError("ERR_DRV_OUTPUT_HASH", `output '${output}' of '${name}' has a hash that is not base-16`);
  }
  const address = { method, hash: nixHash(algo, digest) };
  return contentAddressedPath({ name: outputPathName(name, output), address, storeDir: options.storeDir });
}

/**
 * Fills in the output paths, in the outputs and in the variables of the same names, and computes the derivation's own
 * path. Outputs whose paths only building will tell, and their variables, stay as they are.
 */
export function completeDerivation(
  derivation: Derivation,
  lookup: ModuloLookup,
  options: PathOptions = {},
): CompleteDerivation {
  const hashing = new ModuloHashing(derivation, lookup);
  const outputs = new Map(derivation.outputs);
  const env = new Map(derivation.env);
  const paths = new Map<string, string>();
  for (const [name, path] of pathsByHash(derivation, () => hashing.masked(), options)) {
    if (path === undefined) continue;
    const fields = derivation.outputs.get(name) as DerivationOutput;
    const absolute = path.absolute(options.storeDir);
    paths.set(name, absolute);
    outputs.set(name, { ...fields, path: absolute });
    env.set(name, absolute);
  }
  const complete = { ...derivation, outputs, env };
  // A variable that was not there before is not part of the hash above, and is part of the file.
  const same = [...paths.keys()].every((name) => derivation.env.has(name));
  const filled = same ? hashing : new ModuloHashing(complete, lookup);
  const text = filled.text.write(writeInputDrvs(derivation.inputDrvs), (name) => paths.get(name));
  const path = derivationPath(complete, options, text);
  return { derivation: complete, text, path, modulo: filled.unmasked(complete) };
}

/** The path of the .drv file: a text named `<name>.drv` that refers to all inputs. */
export function derivationPath(
  derivation: Derivation,
  options: PathOptions = {},
  text: string = writeDerivation(derivation),
): StorePath {
  return textPath({
    name: `${derivation.name}.drv`,
    contents: { sha256: digestLatin1("sha256", text) },
    references: referencesOf(derivation),
    storeDir: options.storeDir,
  });
}
