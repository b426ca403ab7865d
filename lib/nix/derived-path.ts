// Outputs as contexts name them, and the texts that stand for those whose paths only building will tell.
//
// An element `!out!/nix/store/….drv` names an output of a derivation. Where that derivation is itself made by another
// one, its place is taken by the output that it is: `!dev!out!/nix/store/….drv` is the output `dev` of the derivation
// that is the output `out` of the one at the end.

import { computedPlaceholder, StorePath, upstreamPlaceholder } from "../formats/store-path.ts";

/** The derivation at the end of a name, and the outputs that lead from it to the derivation meant: none for itself. */
export interface DerivationName {
  readonly path: string;
  /** The first one is an output of `path`. */
  readonly outputs: readonly string[];
}

/** Takes the `drv` of a context element apart. */
export function parseDerivationName(drv: string): DerivationName {
  if (drv.startsWith("/")) return { path: drv, outputs: [] };
  const parts = drv.split("!");
  return { path: parts.pop() as string, outputs: parts.reverse() };
}

/** The text that stands for an output of the derivation of this name until it is built. */
export function outputPlaceholder(drv: string, output: string, storeDir: string): string {
  const { path, outputs } = parseDerivationName(drv);
  const [first, ...rest] = [...outputs, output];
  return rest.reduce(computedPlaceholder, upstreamPlaceholder(StorePath.parseAbsolute(path, storeDir), first));
}
