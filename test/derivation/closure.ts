// Checks a set of .drv files against each other: everything in them that can be computed is computed anew.

import { expect } from "vitest";
import { type ModuloHash, moduloHash } from "../../lib/derivation/hash-modulo.ts";
import type { Derivation } from "../../lib/derivation/model.ts";
import { completeDerivation, derivationPath, outputPaths } from "../../lib/derivation/output-paths.ts";
import { parseDerivation } from "../../lib/derivation/parse.ts";
import { validateDerivation } from "../../lib/derivation/validate.ts";
import { derivationBytes } from "../../lib/derivation/write.ts";
import { StorePath } from "../../lib/formats/store-path.ts";

/** Derivations by path, with a lookup of modulo hashes that computes them as they are asked for. */
export class Closure {
  readonly derivations: ReadonlyMap<string, Derivation>;
  readonly #hashes = new Map<string, ModuloHash>();

  constructor(files: ReadonlyMap<string, Uint8Array>) {
    this.derivations = new Map(Array.from(files, ([path, bytes]) => [path, parseFile(path, bytes)]));
  }

  readonly lookup = (path: string): ModuloHash | undefined => {
    const known = this.#hashes.get(path);
    if (known !== undefined) return known;
    const derivation = this.derivations.get(path);
    if (derivation === undefined) return undefined;
    const hash = moduloHash(derivation, this.lookup);
    this.#hashes.set(path, hash);
    return hash;
  };
}

/** Reads the file at `path`. */
export function parseFile(path: string, bytes: Uint8Array): Derivation {
  return parseDerivation(bytes, StorePath.parseAbsolute(path).name.replace(/\.drv$/, ""));
}

/** Checks every file: bytes, own path, output paths. Returns how many output paths were compared. */
export function checkClosure(files: ReadonlyMap<string, Uint8Array>): number {
  const closure = new Closure(files);
  let compared = 0;
  for (const [path, bytes] of files) {
    const derivation = closure.derivations.get(path) as Derivation;
    expect(Buffer.compare(derivationBytes(derivation), bytes), path).toBe(0);
    expect(derivationPath(derivation).absolute()).toBe(path);
    expect(() => validateDerivation(derivation), path).not.toThrow();
    for (const [output, outputPath] of outputPaths(derivation, closure.lookup)) {
      expect(outputPath?.absolute() ?? "", `${path}!${output}`).toBe(derivation.outputs.get(output)?.path);
      compared++;
    }
    const { path: again } = completeDerivation(blanked(derivation), closure.lookup);
    expect(again.absolute()).toBe(path);
  }
  return compared;
}

/** The derivation as it is before its output paths are known. */
function blanked(derivation: Derivation): Derivation {
  const outputs = new Map(Array.from(derivation.outputs, ([name, output]) => [name, { ...output, path: "" }]));
  const env = new Map(derivation.env);
  for (const [name, output] of derivation.outputs) if (output.path !== "") env.set(name, "");
  return { ...derivation, outputs, env };
}
