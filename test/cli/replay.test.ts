// Replay: commands answer from a record when everything is as it was, and never otherwise.
import { createHash } from "node:crypto";
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { ReplayRecord } from "../../lib/cli/replay.ts";
import { tvix } from "./tvix.ts";

let scratch: string;
beforeEach(() => {
  scratch = mkdtempSync(join(tmpdir(), "tvix-replay-"));
});
afterEach(() => rmSync(scratch, { recursive: true, force: true }));

const at = (path: string): string => join(scratch, path);
const store = (): string => at("store");

function run(args: readonly string[], env: Readonly<Record<string, string>> = {}) {
  const options = { cwd: scratch, store: store(), env: { XDG_CACHE_HOME: at("cache"), ...env } };
  const { status, stdout, stderr } = tvix(args, options);
  return { status, stdout, stderr };
}

function records(): string[] {
  try {
    return readdirSync(at("cache/tvix/replay"), { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name));
  } catch {
    return [];
  }
}

/** Puts another output into all records, so that a replay can be told from an evaluation. */
function mark(): void {
  for (const file of records()) {
    const record = JSON.parse(readFileSync(file, "utf8").slice(65)) as ReplayRecord;
    const body = JSON.stringify({ ...record, stdout: "replayed\n" });
    writeFileSync(file, `${createHash("sha256").update(body).digest("hex")}\n${body}`);
  }
}

/** Evaluates twice and expects the second answer to be the record's. */
function expectReplay(args: readonly string[], env: Readonly<Record<string, string>> = {}): void {
  expect(run(args, env)).toMatchObject({ status: 0, stderr: "" });
  mark();
  expect(run(args, env)).toEqual({ status: 0, stdout: "replayed\n", stderr: "" });
}

describe("tvix eval", () => {
  test("replays when nothing changed", () => {
    writeFileSync(at("default.nix"), "{ a = import ./b.nix; }");
    writeFileSync(at("b.nix"), "1 + 2");
    expectReplay(["eval", "-A", "a"]);
    expect(run(["eval", "-A", "a", "--no-replay"]).stdout).toBe("3\n");
    expect(run(["eval", "-A", "a", "--no-cache"]).stdout).toBe("3\n");
  });

  test("a changed file", () => {
    writeFileSync(at("b.nix"), "1 + 2");
    const args = ["eval", "-E", "import ./b.nix"];
    expectReplay(args);
    const { atime, mtime } = statSync(at("b.nix"));
    writeFileSync(at("b.nix"), "1 + 3");
    utimesSync(at("b.nix"), atime, mtime);
    expect(run(args).stdout).toBe("4\n");
  });

  test("a new entry of a directory, a new file, a new target, a new mode", () => {
    mkdirSync(at("d"));
    writeFileSync(at("d/x"), "x");
    symlinkSync("d", at("l"));
    const args = [
      "eval",
      "--raw",
      "-E",
      `toString [ (builtins.attrNames (builtins.readDir ./d)) (builtins.pathExists ./n) (toString (builtins.path { path = ./l; name = "l"; })) ]`,
    ];
    const answers = [run(args).stdout];
    const change = (work: () => void): void => {
      mark();
      expect(run(args).stdout).toBe("replayed\n");
      work();
      answers.push(run(args).stdout);
    };
    change(() => writeFileSync(at("d/y"), ""));
    change(() => writeFileSync(at("n"), ""));
    change(() => chmodSync(at("d/x"), 0o755));
    change(() => {
      mkdirSync(at("e"));
      rmSync(at("l"));
      symlinkSync("e", at("l"));
    });
    expect(new Set(answers).size).toBe(5);
    expect(answers).not.toContain("replayed\n");
  });

  test("a changed environment", () => {
    const args = ["eval", "-E", 'builtins.getEnv "TVIX_TEST"'];
    expectReplay(args, { TVIX_TEST: "one" });
    expect(run(args, { TVIX_TEST: "two" }).stdout).toBe('"two"\n');
    expect(run(args).stdout).toBe('""\n');
  });

  test("a changed NIX_PATH, and what it leads to", () => {
    for (const name of ["one", "two"]) {
      mkdirSync(at(name));
      writeFileSync(at(`${name}/x.nix`), `"${name}"`);
    }
    const args = ["eval", "-E", "import <x.nix>"];
    expectReplay(args, { NIX_PATH: `${at("none")}:${at("one")}` });
    expect(run(args, { NIX_PATH: `${at("none")}:${at("two")}` }).stdout).toBe('"two"\n');
    expectReplay(args, { NIX_PATH: `${at("none")}:${at("one")}` });
    mkdirSync(at("none"));
    writeFileSync(at("none/x.nix"), '"new"');
    expect(run(args, { NIX_PATH: `${at("none")}:${at("one")}` }).stdout).toBe('"new"\n');
  });

  test("another directory, other arguments, other flags", () => {
    mkdirSync(at("sub"));
    for (const [name, text] of [
      ["default.nix", "{ n ? 0 }: n"],
      ["sub/default.nix", "{ n ? 7 }: n"],
    ] as const) {
      writeFileSync(at(name), text);
    }
    const args = ["eval", "-E", "import ./default.nix"];
    run([...args, "--arg", "n", "1"]);
    mark();
    expect(run([...args, "--arg", "n", "2"]).stdout).toBe("2\n");
    const options = { cwd: at("sub"), env: { XDG_CACHE_HOME: at("cache") } };
    run(["eval", "--arg", "m", "1"]);
    mark();
    expect(tvix(["eval", "--arg", "m", "1"], options).stdout).toBe("7\n");
  });

  test("what depends on the time, on a pipe or on standard input is never recorded", () => {
    run(["eval", "-E", "builtins.currentTime"]);
    run(["eval", "-E", "builtins.readFile /dev/null"]);
    tvix(["eval", "-"], { cwd: scratch, env: { XDG_CACHE_HOME: at("cache") }, input: Buffer.from("1") });
    run(["eval", "-E", "1", "--stats"]);
    run(["eval", "-E", "1", "--trace-io"]);
    run(["eval", "-E", "1", "--dump-ir"]);
    expect(records()).toEqual([]);
    // One that only could have asked for the time is.
    expectReplay(["eval", "-E", "builtins ? currentTime"]);
  });

  test("errors are not recorded", () => {
    const args = ["eval", "-E", 'import ./missing.nix + throw "no"'];
    expect(run(args).status).toBe(1);
    expect(records()).toEqual([]);
    expect(run(args).stderr).toContain("missing.nix");
  });

  test("what was said on the way is said again", () => {
    const args = ["eval", "-E", 'builtins.trace "é" (builtins.warn "w" "é")'];
    const first = run(args);
    expect(first.stderr).toBe("trace: é\nevaluation warning: w\n");
    expect(records()).toHaveLength(1);
    expect(run(args)).toEqual(first);
  });

  test("damaged records are removed and evaluated again", () => {
    const args = ["eval", "-E", "1 + 1"];
    expectReplay(args);
    const [file = ""] = records();
    for (const damage of ["", "x", readFileSync(file, "utf8").replace("replayed", "repla")]) {
      writeFileSync(file, damage);
      expect(run(args)).toEqual({ status: 0, stdout: "2\n", stderr: "" });
      expect(readFileSync(file, "utf8")).toContain('"stdout":"2\\n"');
    }
  });

  test("what was asked of a store is not recorded", () => {
    writeFileSync(
      at("f.nix"),
      'toString (builtins.pathExists (builtins.toPath "/nix/store/00000000000000000000000000000000-x"))',
    );
    const args = ["eval", "-E", "import ./f.nix"];
    expectReplay(args);
    // From here on there is a store, which may come to hold the path at any time.
    run(["store", "import", at("f.nix")]);
    expect(run(args).stdout).toBe('""\n');
    mark();
    expect(run(args).stdout).toBe('""\n');
  });
});

describe("tvix instantiate", () => {
  const DRV = 'derivation { name = "n"; system = "s"; builder = ./b; }';

  test("replays while the derivations are in the store", () => {
    writeFileSync(at("b"), "builder");
    const args = ["instantiate", "-E", DRV];
    const { stdout } = run(args);
    mark();
    expect(run(args).stdout).toBe("replayed\n");
    run(["store", "gc"]);
    expect(run(args).stdout).toBe(stdout);
    expect(run(["store", "cat", stdout.trim()]).stdout).toContain("Derive(");
    mark();
    writeFileSync(at("b"), "changed");
    const changed = run(args).stdout;
    expect(changed).toMatch(/^\/nix\/store\/.*-n\.drv\n$/);
    expect(changed).not.toBe(stdout);
  });

  test("makes roots each time", () => {
    writeFileSync(at("b"), "builder");
    const args = ["instantiate", "-E", DRV, "--add-root", "kept"];
    const { stdout } = run(args);
    mark();
    expect(run(args).stdout).toBe(stdout);
  });
});

test("where no cache can be kept, evaluating is as good", () => {
  const cache = { XDG_CACHE_HOME: join(import.meta.filename, "cache") };
  expect(tvix(["eval", "-E", "1 + 1"], { env: cache })).toMatchObject({ status: 0, stdout: "2\n", stderr: "" });
});
