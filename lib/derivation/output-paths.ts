// Computes where a derivation and its outputs will be, and fills the paths in.

import { TvixError } from "../base/error.ts";
import { fromHex } from "../base/bytes.ts";
import { bytesToLatin1 } from "../base/text.ts";
import { parseOutputMethod } from "../formats/content-address.ts";
import { sha256 } from "../formats/digest.ts";
import { nixHash } from "../formats/hash.ts";
import { contentAddressedPath, outputPath, outputPathName, type StorePath, textPath } from "../formats/store-path.ts";
import { maskedModuloHash, type ModuloHash, ModuloHashing, type ModuloLookup } from "./hash-modulo.ts";
import { type Derivation, type DerivationOutput, outputKind, referencesOf } from "./model.ts";
import { derivationBytes, type DerivationText, withDerivationText } from "./write.ts";

/** Options of the functions here. */
export interface PathOptions {
  /** Default `/nix/store`. */
  readonly storeDir?: string;
}

/** A derivation with its output paths filled in. */
interface Filled {
  readonly derivation: Derivation;
  /** The .drv file's path. */
  readonly path: StorePath;
  /** The unmasked modulo hash, for the hashes of derivations that use it. */
  readonly modulo: ModuloHash;
}

/** A derivation with its output paths filled in, and its file. */
export interface CompleteDerivation extends Filled {
  /** The .drv file's contents, one char per byte. */
  readonly text: string;
}

/** What {@link fillDerivation} answers. */
export interface FilledDerivation extends Filled {
  /** The .drv file's contents, until the text of another derivation is made. */
  readonly file: Uint8Array;
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
  const { outputs, env } = derivation;
  const own = { ...derivation, outputs: new Map(outputs), env: new Map(env) };
  const { path, file, modulo } = fillDerivation(own, lookup, options);
  return { derivation: own, path, text: bytesToLatin1(file), modulo };
}

/** A derivation that nobody else holds. */
export interface OwnDerivation extends Derivation {
  readonly outputs: Map<string, DerivationOutput>;
  readonly env: Map<string, string>;
}

/** Does what {@link completeDerivation} does to the derivation itself. */
export function fillDerivation(
  derivation: OwnDerivation,
  lookup: ModuloLookup,
  options: PathOptions = {},
): FilledDerivation {
  const { outputs, env } = derivation;
  return withDerivationText(derivation, (text) => {
    const hashing = new ModuloHashing(derivation, lookup, text);
    let same = true;
    for (const [name, path] of pathsByHash(derivation, () => hashing.masked(), options)) {
      if (path === undefined) continue;
      const absolute = path.absolute(options.storeDir);
      outputs.set(name, { ...(outputs.get(name) as DerivationOutput), path: absolute });
      same &&= env.has(name);
      env.set(name, absolute);
    }
    if (same) return finished(derivation, text, hashing, options);
    // A variable that was not there before is not part of the hash above, and is part of the file.
    return withDerivationText(derivation, (filled) =>
      finished(derivation, filled, new ModuloHashing(derivation, lookup, filled), options),
    );
  });
}

function finished(
  derivation: Derivation,
  text: DerivationText,
  hashing: ModuloHashing,
  options: PathOptions,
): FilledDerivation {
  const modulo = hashing.unmasked();
  const file = text.file();
  return { derivation, path: filePath(derivation, options, sha256(file)), file, modulo };
}

/** The path of the .drv file: a text named `<name>.drv` that refers to all inputs. */
export function derivationPath(derivation: Derivation, options: PathOptions = {}): StorePath {
  return filePath(derivation, options, sha256(derivationBytes(derivation)));
}

function filePath(derivation: Derivation, { storeDir }: PathOptions, digest: Uint8Array): StorePath {
  const name = `${derivation.name}.drv`;
  return textPath({ name, contents: { sha256: digest }, references: referencesOf(derivation), storeDir });
}
