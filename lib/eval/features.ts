// Experimental features of Nix that a program may use where its evaluator is told so.

import { EvalError } from "./error.ts";

/** Those that mean something here, and what each allows. */
export const EXPERIMENTAL_FEATURES = {
  "blake3-hashes": "the hash algorithm BLAKE3",
  "ca-derivations": "derivations whose output paths follow from what is built (`__contentAddressed`)",
  "dynamic-derivations": 'derivations that make derivations: `outputHashMode = "text"`, names in `.drv`, `outputOf`',
  "fetch-closure": "store paths from binary caches (`fetchClosure`)",
  "git-hashing": 'outputs addressed as objects of Git (`outputHashMode = "git"`)',
  "impure-derivations": "derivations that are built anew each time (`__impure`)",
  "parse-toml-timestamps": "dates and times in TOML",
  "pipe-operators": "the operators `|>` and `<|`",
} as const;

/** The name of a feature. */
export type ExperimentalFeature = keyof typeof EXPERIMENTAL_FEATURES;

/** Whether a feature of Nix is one that means something here. */
export function isExperimentalFeature(name: string): name is ExperimentalFeature {
  return Object.hasOwn(EXPERIMENTAL_FEATURES, name);
}

/** Checks that a program may use a feature. @throws EvalError `ERR_EVAL_FEATURE` */
export function demandFeature(enabled: ReadonlySet<ExperimentalFeature>, feature: ExperimentalFeature): void {
  if (enabled.has(feature)) return;
  throw new EvalError("ERR_EVAL_FEATURE", `experimental Nix feature '${feature}' is disabled`, {
    notes: [`it allows ${EXPERIMENTAL_FEATURES[feature]}`, `enable it with --extra-experimental-features ${feature}`],
  });
}

/** Checks that a program may use the algorithm that it names, or that a hash does. @throws EvalError `ERR_EVAL_FEATURE` */
export function demandAlgo(enabled: ReadonlySet<ExperimentalFeature>, algoOrHash: string): void {
  if (/^blake3(?=[:-]|$)/.test(algoOrHash)) demandFeature(enabled, "blake3-hashes");
}
