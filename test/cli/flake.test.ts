// Flakes and URLs on the command line.
import { existsSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { git, tarball, write } from "../nix/fetch/fixture.ts";
import { tvix } from "./tvix.ts";

const base = mkdtempSync(join(tmpdir(), "tvix-flake-"));
const flake = join(base, "flake");

beforeAll(async () => {
  write(flake, {
    "flake.nix": `{ outputs = { self }: {
      packages.x86_64-linux = rec { default = derivation { name = "d"; system = "s"; builder = "b"; src = self; }; a = default; };
      packages.aarch64-linux = { default = derivation { name = "d"; system = "s"; builder = "b"; src = self; }; };
      lib.answer = 42;
      impure = builtins.getEnv "HOME" != "";
    }; }`,
    "sub/file": "x",
  });
  git(flake, "init", "-q");
  git(flake, "add", ".");
  git(flake, "commit", "-qm", "flake");
  writeFileSync(join(base, "pkgs.tar"), await tarball({ "top/default.nix": "{ x = 1; }" }));
});

afterAll(() => rmSync(base, { recursive: true, force: true }));

test("tvix eval --flake evaluates an attribute of a flake, purely unless told otherwise", () => {
  expect(tvix(["eval", "--flake", `${flake}#lib.answer`]).stdout).toBe("42\n");
  expect(tvix(["eval", "--flake", ".#lib", "--strict", "--json"], { cwd: join(flake, "sub") }).stdout).toBe(
    '{"answer":42}\n',
  );
  expect(tvix(["eval", "--flake", "path:flake#.lib", "-A", "answer"], { cwd: base }).stdout).toBe("42\n");
  expect(tvix(["eval", "--flake", ".#impure"], { cwd: flake }).stdout).toBe("false\n");
  expect(tvix(["eval", "--flake", "--impure", ".#impure"], { cwd: flake }).stdout).toBe("true\n");
  expect(existsSync(join(flake, "flake.lock"))).toBe(false);
});

test("a flake does not read the host through a symlink of its tree", () => {
  writeFileSync(join(base, "secret"), '"secret"');
  const hostile = join(base, "hostile");
  const readers = ["readFile", "import", "readDir", 'hashFile "md5"', "scopedImport { }", "readFileType", "toString"];
  write(hostile, {
    "flake.nix": `{ outputs = { self }: {
      ${readers.map((reader, i) => `r${i} = builtins.${reader} ./up/secret;`).join("\n")}
      copied = "\${./up/secret}";
      path = builtins.path { path = ./up; name = "x"; };
      exists = builtins.pathExists ./up/secret;
      link = builtins.readFileType ./up;
    }; }`,
  });
  symlinkSync(base, join(hostile, "up"));
  const ask = (attr: string) => tvix(["eval", "--flake", `path:${hostile}#${attr}`]);
  for (const attr of ["r0", "r1", "r2", "r3", "r4", "r5", "copied", "path"]) {
    expect([attr, ask(attr).stderr]).toEqual([attr, expect.stringContaining("forbidden in pure evaluation mode")]);
  }
  expect(ask("exists").stdout).toBe("false\n");
  expect(ask("link").stdout).toBe('"symlink"\n');
});

test("what is not there, and flags that exclude each other, are errors", () => {
  const missing = tvix(["eval", "--flake", `${flake}#absent`]);
  expect(missing.status).toBe(1);
  expect(missing.stderr).toMatch(/does not provide attribute 'packages\..*\.absent', 'legacyPackages\..*', 'absent'/);
  expect(tvix(["eval", "--flake", base]).stderr).toMatch(/does not contain a 'flake.nix'/);
  expect(tvix(["eval", "--impure", "-E", "1"]).stderr).toMatch(/--impure goes with --flake/);
  expect(tvix(["eval", "--flake", "-E", "1"]).stderr).toMatch(/exclude each other/);
});

test("what inputs are can be said on the command line", () => {
  const locked = join(base, "locked");
  write(base, {
    "locked/flake.nix": `{ inputs.l.url = "path:${base}/l"; outputs = { self, l }: { v = l.v; hydraJobs.x = l.job; }; }`,
    ...Object.fromEntries(
      ["l", "m"].map((name) => [
        `${name}/flake.nix`,
        `{ outputs = { self }: { v = "${name}"; job = derivation { name = "${name}"; system = "s"; builder = "b"; }; }; }`,
      ]),
    ),
  });
  const lock = join(locked, "flake.lock");
  const ask = (...flags: string[]) => tvix(["eval", "--raw", "--flake", "path:./locked#v", ...flags], { cwd: base });
  expect(ask().stdout).toBe("l");
  expect(ask().stderr).toContain("not writing modified lock file");
  expect(ask("--no-write-lock-file").stdout).toBe("l");
  expect(ask("--no-update-lock-file").stderr).toMatch(/requires lock file changes but they're not allowed/);
  expect(ask("--override-input", "l", "path:./m", "--output-lock-file", lock)).toMatchObject({
    stdout: "m",
    stderr: "",
  });
  expect(ask("--no-update-lock-file")).toMatchObject({ stdout: "m", stderr: "" });
  expect(ask("--update-input", "l").stdout).toBe("l");
  expect(ask("--recreate-lock-file").stdout).toBe("l");
  expect(ask("--recreate-lock-file", "--reference-lock-file", lock).stdout).toBe("l");
  expect(ask("--override-input", "x", "path:./m", "--update-input", "y").stderr).toMatch(
    /'--override-input x path:.*\/m' does not match any input[^]*'y' does not match any input of this flake/,
  );
  const jobs = ["eval-jobs", "--flake", "path:./locked#hydraJobs", "--override-input", "l", "./l"];
  expect(tvix(jobs, { cwd: base }).stdout).toContain("-l.drv");
  expect(tvix(["instantiate", "--flake", "path:./locked#hydraJobs.x"], { cwd: base }).stdout).toContain("-m.drv");
  for (const [flags, why] of [
    [["--override-input", "l"], /wants two words/],
    [["--override-input", "l", "./m#v"], /without an attribute/],
    [["--override-input", "a b", "./m"], /invalid flake input attribute path/],
    [["--update-input", "/"], /cannot be empty/],
    [["--reference-lock-file", "/absent"], /cannot read \/absent/],
    [["--output-lock-file", "/absent/x"], /cannot write \/absent\/x/],
  ] as const) {
    expect(ask(...flags)).toMatchObject({ status: 1, stderr: expect.stringMatching(why) });
  }
  for (const flags of [["--update-input", "l"], ["--recreate-lock-file"], ["--no-update-lock-file"]]) {
    expect(tvix(["eval", ...flags, "-E", "1"]).stderr).toContain(`${flags[0]} goes with --flake`);
  }
});

test("tvix instantiate --flake writes the derivation and the flake's tree", () => {
  const store = join(base, "store");
  const made = tvix(["instantiate", "--flake", "."], { cwd: flake, store });
  expect(made.stderr).toBe("");
  expect(made.stdout).toMatch(/^\/nix\/store\/[a-z0-9]{32}-d\.drv\n$/);
  const source = tvix(["eval", "--raw", "--flake", ".#a.src.outPath"], { cwd: flake }).stdout;
  expect(tvix(["store", "ls", source], { store }).stdout).toContain("flake.nix");
});

test("-I takes a URL", () => {
  const { stdout } = tvix(["eval", "-I", `pkgs=file://${join(base, "pkgs.tar")}`, "-E", "(import <pkgs>).x"]);
  expect(stdout).toBe("1\n");
});

test("--refresh asks again for what was fetched before", () => {
  const file = join(base, "changing");
  const read = (...flags: string[]): string =>
    tvix(["eval", ...flags, "-E", `builtins.readFile (builtins.fetchurl "file://${file}")`]).stdout;
  writeFileSync(file, "one");
  expect(read()).toBe('"one"\n');
  writeFileSync(file, "two");
  expect(read()).toBe('"one"\n');
  expect(read("--refresh")).toBe('"two"\n');
});

test("an evaluation that fetched is not replayed", () => {
  const file = join(base, "fetched");
  writeFileSync(file, "x");
  const args = ["eval", "-E", `builtins.readFile (builtins.fetchurl "file://${file}")`];
  const env = { XDG_CACHE_HOME: join(base, "cache") };
  expect(tvix(args, { env }).stdout).toBe('"x"\n');
  rmSync(file);
  rmSync(join(base, "cache/tvix/fetch"), { recursive: true });
  expect(tvix(args, { env }).stderr).toMatch(/unable to download/);
});
