// Whole systems of NixOS: the drv paths of three configurations of ours (test/data/nix/nixos) against the installed Nix.
//
// TVIX_NIXPKGS is a checkout of nixpkgs.
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { tvix } from "../cli/tvix.ts";

const NIXPKGS = process.env.TVIX_NIXPKGS;
const CONFIGURATIONS = join(import.meta.dirname, "../data/nix/nixos");

if (NIXPKGS === undefined) {
  console.warn("SKIPPED: TVIX_NIXPKGS is not set to a nixpkgs checkout; no system of NixOS is compared");
}

let scratch: string;
beforeAll(() => {
  scratch = mkdtempSync(join(tmpdir(), "tvix-nixos-"));
});
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

test.skipIf(NIXPKGS === undefined).each(["minimal", "services", "installer"])(
  "a system has the drv path that Nix gives it: %s",
  (name) => {
    const args = [join(NIXPKGS ?? "", "nixos"), "--arg", "configuration", join(CONFIGURATIONS, `${name}.nix`)];
    const attribute = [...args, "-A", "config.system.build.toplevel.drvPath"];
    const theirs = execFileSync("nix-instantiate", ["--eval", ...attribute], {
      encoding: "utf8",
      stdio: ["ignore", "pipe", "ignore"],
    });
    const env = { XDG_CACHE_HOME: scratch };
    const ours = tvix(["eval", ...attribute], { env });
    expect(ours).toMatchObject({ status: 0, stdout: theirs });
    // Again, from the record of the first time.
    expect(tvix(["eval", ...attribute], { env }).stdout).toBe(theirs);
  },
  900_000,
);
