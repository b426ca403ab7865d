// `--gc-roots-dir`: a link to each derivation in a directory, and a root of the link's name.
import { mkdirSync, rmSync, symlinkSync } from "node:fs";
import { basename, join, resolve } from "node:path";
import type { DerivationRoot } from "../../../nix/instantiate.ts";
import type { JobsFlags } from "./flags.ts";

/** Makes a link to each derivation; answers the roots of the same names. */
export function keep({ gcRootsDir }: JobsFlags, drvPaths: readonly string[]): DerivationRoot[] {
  if (gcRootsDir === undefined) return [];
  const directory = resolve(gcRootsDir);
  mkdirSync(directory, { recursive: true });
  return drvPaths.map((path) => {
    const link = join(directory, basename(path));
    rmSync(link, { force: true });
    symlinkSync(path, link);
    return { name: link, path };
  });
}
