// Real derivations: the closure of two packages as the installed Nix instantiates it.

import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { checkClosure } from "./closure.ts";

const NIXPKGS = process.env.TVIX_NIXPKGS;

if (NIXPKGS === undefined) {
  console.warn("SKIPPED: TVIX_NIXPKGS is not set to a nixpkgs checkout; no real derivations are compared");
}

test.skipIf(NIXPKGS === undefined)("every .drv of hello and firefox is reproduced", () => {
  const run = (command: string, args: string[]): string[] =>
    execFileSync(command, args, { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"], maxBuffer: 1 << 26 })
      .split("\n")
      .filter((line) => line.startsWith("/"));
  const roots = run("nix-instantiate", [NIXPKGS ?? "", "-A", "hello", "-A", "firefox"]);
  const paths = run("nix-store", ["-qR", ...roots]).filter((path) => path.endsWith(".drv"));
  const files = new Map(paths.map((path) => [path, new Uint8Array(readFileSync(path))]));
  const compared = checkClosure(files);
  console.warn(`compared ${files.size} derivations with ${compared} output paths`);
  expect(files.size).toBeGreaterThan(1000);
  expect(compared).toBeGreaterThan(files.size);
});
