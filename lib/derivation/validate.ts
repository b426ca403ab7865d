// The rules that a derivation must keep beyond the syntax of its file.

import { TvixError } from "../base/error.ts";
import { parseOutputMethod } from "../formats/content-address.ts";
import { parseDigest } from "../formats/hash.ts";
import { checkStoreName, outputPathName, STORE_DIR, StorePath } from "../formats/store-path.ts";
import { type Derivation, type DerivationOutput, type InputDrv, isFixed, outputKind, UNESCAPED } from "./model.ts";
import { fixedOutputPath } from "./output-paths.ts";

/** What is wrong with a derivation, by name or path, whose system has chars in it that its file does not escape. */
export function systemError(derivation: string): TvixError {
  return new TvixError("ERR_DRV_SYSTEM", `derivation '${derivation}' has a system that its file cannot hold`, {
    notes: ["the format does not escape quotes, backslashes and control characters there"],
  });
}

/**
 * Checks everything about a derivation that it alone can tell. Whether input-addressed output paths are right depends
 * on the inputs too, and is for `outputPaths`.
 *
 * @throws TvixError `ERR_DRV_NAME`, `ERR_DRV_NO_OUTPUTS`, `ERR_DRV_OUTPUT_NAME`, `ERR_DRV_OUTPUT_PATH`,
 *   `ERR_DRV_OUTPUT_HASH`, `ERR_DRV_MIXED_OUTPUTS`, `ERR_DRV_FIXED_OUTPUTS`, `ERR_DRV_ENV`, `ERR_DRV_INPUT`,
 *   `ERR_DRV_NO_SYSTEM`, `ERR_DRV_SYSTEM`, `ERR_DRV_NO_BUILDER`
 */
export function validateDerivation(derivation: Derivation, storeDir: string = STORE_DIR): void {
  const { name } = derivation;
  wrap(() => checkStoreName(`${name}.drv`), "ERR_DRV_NAME", `'${name}' cannot name a derivation`);
  if (derivation.system === "") throw new TvixError("ERR_DRV_NO_SYSTEM", `derivation '${name}' names no system`);
  if (UNESCAPED.test(derivation.system)) {
    throw systemError(name);
  }
  if (derivation.builder === "") throw new TvixError("ERR_DRV_NO_BUILDER", `derivation '${name}' names no builder`);
  checkOutputs(derivation, storeDir);
  checkEnv(derivation);
  for (const source of derivation.inputSrcs) {
    wrap(
      () => StorePath.parseAbsolute(source, storeDir),
      "ERR_DRV_INPUT",
      `'${name}' has an input that is no store path`,
    );
  }
  for (const [path, input] of derivation.inputDrvs) {
    const drv = wrap(
      () => StorePath.parseAbsolute(path, storeDir),
      "ERR_DRV_INPUT",
      `'${name}' has an input derivation that is no store path`,
    );
    if (!drv.isDerivation()) {
      throw new TvixError("ERR_DRV_INPUT", `'${name}' has input derivation ${path}, which does not end in .drv`);
    }
    checkInput(name, path, input);
  }
}

function checkOutputs(derivation: Derivation, storeDir: string): void {
  const { name, outputs } = derivation;
  if (outputs.size === 0) throw new TvixError("ERR_DRV_NO_OUTPUTS", `derivation '${name}' has no outputs`);
  const kinds = new Set<string>();
  for (const [output, fields] of outputs) {
    if (output === "drv") throw new TvixError("ERR_DRV_OUTPUT_NAME", `'${name}' has an output named 'drv'`);
    wrap(
      () => checkStoreName(output) + checkStoreName(outputPathName(name, output)),
      "ERR_DRV_OUTPUT_NAME",
      `'${name}' has an output that cannot be named so`,
    );
    checkOutput(derivation, output, fields, storeDir);
    kinds.add(outputKind(fields));
  }
  if (kinds.size > 1) {
    throw new TvixError("ERR_DRV_MIXED_OUTPUTS", `'${name}' mixes outputs that are ${[...kinds].sort().join(" and ")}`);
  }
  if (isFixed(derivation) && (outputs.size > 1 || !outputs.has("out"))) {
    throw new TvixError("ERR_DRV_FIXED_OUTPUTS", `fixed-output derivation '${name}' must have just the output 'out'`);
  }
}

function checkOutput(derivation: Derivation, output: string, fields: DerivationOutput, storeDir: string): void {
  const { name } = derivation;
  const kind = outputKind(fields);
  const wrongHash = `output '${output}' of '${name}' has a hash that is none`;
  const wrongPath = (why: string): TvixError =>
    new TvixError("ERR_DRV_OUTPUT_PATH", `output '${output}' of '${name}' has path '${fields.path}': ${why}`);
  if (kind === "deferred" || kind === "input-addressed") {
    if (fields.hash !== "") throw new TvixError("ERR_DRV_OUTPUT_HASH", `${wrongHash}: its algorithm is missing`);
    if (kind === "deferred") return;
    const path = wrap(() => StorePath.parseAbsolute(fields.path, storeDir), "ERR_DRV_OUTPUT_PATH", `'${name}'`);
    if (path.name !== outputPathName(name, output)) throw wrongPath("it is named otherwise");
    return;
  }
  const { algo } = wrap(() => parseOutputMethod(fields.hashAlgo), "ERR_DRV_OUTPUT_HASH", wrongHash);
  if (kind !== "fixed") {
    if (fields.path !== "") throw wrongPath("its contents decide it, so it cannot be known");
    return;
  }
  wrap(() => parseDigest(fields.hash, algo), "ERR_DRV_OUTPUT_HASH", wrongHash);
  const expected = fixedOutputPath(name, output, fields, { storeDir }).absolute(storeDir);
  if (fields.path !== expected) throw wrongPath(`its hash makes it ${expected}`);
}

/** The builder learns its output paths from variables named as the outputs: where they are set, they must agree. */
function checkEnv(derivation: Derivation): void {
  for (const [output, { path }] of derivation.outputs) {
    const value = derivation.env.get(output);
    if (path === "" || value === path) continue;
    throw new TvixError(
      "ERR_DRV_ENV",
      `variable '${output}' of '${derivation.name}' is not the path of that output, ${path}`,
      { notes: [value === undefined ? "it is not set" : `it is '${value}'`] },
    );
  }
}

function checkInput(name: string, path: string, input: InputDrv): void {
  if (input.outputs.length === 0 && (input.dynamicOutputs?.size ?? 0) === 0) {
    throw new TvixError("ERR_DRV_INPUT", `'${name}' uses ${path}, but none of its outputs`);
  }
  for (const output of input.outputs) {
    wrap(() => checkStoreName(output), "ERR_DRV_INPUT", `'${name}' uses an output of ${path} that cannot be named so`);
  }
  for (const [output, inner] of input.dynamicOutputs ?? []) checkInput(name, `${path}^${output}`, inner);
}

type RuleCode =
  | "ERR_DRV_NAME"
  | "ERR_DRV_OUTPUT_NAME"
  | "ERR_DRV_OUTPUT_PATH"
  | "ERR_DRV_OUTPUT_HASH"
  | "ERR_DRV_INPUT";

/** Runs a check of another format's; its failure becomes the cause of one that names the derivation's rule. */
function wrap<T>(check: () => T, code: RuleCode, message: string): T {
  try {
    return check();
  } catch (cause) {
    throw new TvixError(code, cause instanceof Error ? `${message}: ${cause.message}` : message, { cause });
  }
}
