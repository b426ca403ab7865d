// Derivations: the files that say how to build something, and the hashes that name them and what they build.
//
// A derivation is a value (`model.ts`); `parse.ts` and `write.ts` turn it from and to the bytes of a .drv file, exactly;
// `validate.ts` says what else must hold; `hash-modulo.ts` is the hash that output paths come from, `output-paths.ts`
// makes them. Strings are byte strings, one char per byte. Nothing here reads files or knows where derivations are
// kept: hashes of inputs are asked of a lookup that the caller provides and may remember.
//
// Elsewhere: how an attribute set becomes a derivation is in lib/nix, how a derivation is built in lib/build.

export { diffDerivations, type DerivationDifference, type FieldDifference, type ReadDerivation } from "./diff.ts";
export { type ModuloHash, type ModuloLookup, maskedModuloHash, moduloHash } from "./hash-modulo.ts";
export { formatDerivation, formatDerivations, type NamedDerivation } from "./json.ts";
export {
  type Derivation,
  type DerivationOutput,
  hasDynamicInputs,
  type InputDrv,
  isFixed,
  type OutputKind,
  outputKind,
  referencesOf,
  UNESCAPED,
} from "./model.ts";
export {
  type CompleteDerivation,
  completeDerivation,
  derivationPath,
  type FilledDerivation,
  fillDerivation,
  fixedOutputPath,
  outputPaths,
  type PathOptions,
} from "./output-paths.ts";
export { type DerivationOutline, parseDerivation, parseOutline } from "./parse.ts";
export { validateDerivation } from "./validate.ts";
export { derivationBytes, writeDerivation } from "./write.ts";
