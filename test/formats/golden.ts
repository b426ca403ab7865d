// The golden files that C++ Nix made (test/data/formats/regenerate.sh).

import { readdirSync, readFileSync } from "node:fs";

const ROOT = new URL("../data/formats/", import.meta.url);

/** A golden file's bytes. */
export function golden(name: string): Uint8Array {
  return new Uint8Array(readFileSync(new URL(name, ROOT)));
}

/** A golden file as text. */
export function goldenText(name: string): string {
  return readFileSync(new URL(name, ROOT), "utf8");
}

/** Names of the golden files in `directory` that end in `suffix`. */
export function goldenNames(directory: string, suffix: string): string[] {
  const names = readdirSync(new URL(directory, ROOT)).filter((name) => name.endsWith(suffix));
  return names.sort().map((name) => `${directory}/${name}`);
}
