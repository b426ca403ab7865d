// The golden .drv files that C++ Nix made (test/data/derivation/regenerate.sh).

import { readdirSync, readFileSync } from "node:fs";

const ROOT = new URL("../data/derivation/", import.meta.url);

/** The .drv files of one set, by the store paths they had. */
export function goldenSet(set: "plain" | "experimental"): Map<string, Uint8Array> {
  const directory = new URL(`${set}/`, ROOT);
  const names = readdirSync(directory).sort();
  return new Map(names.map((name) => [`/nix/store/${name}`, new Uint8Array(readFileSync(new URL(name, directory)))]));
}

/** A file beside the sets. */
export function goldenText(name: string): string {
  return readFileSync(new URL(name, ROOT), "utf8");
}

/** Where the expressions are. */
export function goldenPath(name: string): string {
  return new URL(name, ROOT).pathname;
}
