import { execFileSync, spawnSync } from "node:child_process";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { PROGRAM, tvix } from "./tvix.ts";

const nix = spawnSync("nix-store", ["--version"]).status === 0;
if (!nix) console.warn("SKIPPED: nix-store is not installed; the commands are not compared with it");

let scratch: string;
let tree: string;
let store: string;

beforeAll(() => {
  scratch = mkdtempSync(join(tmpdir(), "tvix-cli-"));
  tree = join(scratch, "tree");
  store = join(scratch, "store");
  mkdirSync(join(tree, "sub/empty"), { recursive: true });
  writeFileSync(join(tree, "hello.txt"), "hello\n");
  writeFileSync(join(tree, "sub/run"), "#!/bin/sh\n");
  chmodSync(join(tree, "sub/run"), 0o755);
  symlinkSync("../hello.txt", join(tree, "sub/link"));
  writeFileSync(join(tree, "large"), Buffer.alloc(1_000_000, "tvix"));
});
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

describe("tvix store", () => {
  test("import, then read everything back", () => {
    const imported = tvix(["store", "import", tree, join(tree, "hello.txt")], { store });
    expect(imported.stderr).toBe("");
    expect(imported.status).toBe(0);
    const [path = "", file = ""] = imported.stdout.trim().split("\n");
    expect(path).toMatch(/^\/nix\/store\/[0-9a-z]{32}-tree$/);
    if (nix) {
      const peer = join(scratch, "nix");
      const theirs = execFileSync("nix-store", ["--store", peer, "--add", tree, join(tree, "hello.txt")], {
        stdio: "pipe",
      });
      expect(imported.stdout).toBe(theirs.toString());
      expect(tvix(["store", "nar", path], { store }).bytes).toEqual(
        new Uint8Array(execFileSync("nix-store", ["--dump", tree])),
      );
    }
    expect(tvix(["store", "cat", file], { store }).stdout).toBe("hello\n");
    expect(tvix(["store", "cat", `${path}/hello.txt`], { store }).stdout).toBe("hello\n");
    expect(tvix(["store", "ls", path], { store }).stdout).toBe("hello.txt\nlarge\nsub\n");
    expect(tvix(["store", "ls", "-R", "-l", `${path}/sub`], { store }).stdout).toBe(
      "dr-xr-xr-x            0 empty\nlrwxrwxrwx            0 link -> ../hello.txt\n-r-xr-xr-x           10 run\n",
    );
    expect(JSON.parse(tvix(["store", "ls", "--json", "-R", `${path}/sub`], { store }).stdout)).toEqual({
      type: "directory",
      entries: {
        empty: { type: "directory", entries: {} },
        link: { type: "symlink", target: "../hello.txt" },
        run: { type: "regular", size: 10, executable: true },
      },
    });
    const copy = join(scratch, "copy");
    expect(tvix(["store", "export-tree", path, copy], { store }).stderr).toBe("");
    expect(execFileSync("diff", ["-r", "--no-dereference", tree, copy]).toString()).toBe("");
    const info = JSON.parse(tvix(["store", "info", "--json", path], { store }).stdout) as Record<string, unknown>;
    expect(info).toMatchObject({ path, type: "directory", references: [], signatures: [] });
    expect(info["narHash"]).toBe(tvix(["hash", tree]).stdout.trim());
  });

  test("on a terminal too, where long work shows a bar", () => {
    const log = join(scratch, "terminal.log");
    const command = `${process.execPath} ${PROGRAM} store import --store ${join(scratch, "terminal")} ${tree}`;
    const terminal = spawnSync("script", ["-qec", command, log], { env: { ...process.env, TERM: "xterm" } });
    expect(terminal.status).toBe(0);
    expect(readFileSync(log, "utf8")).toMatch(/\/nix\/store\/[0-9a-z]{32}-tree/);
  });

  test("what is not there is an error with a code, and exit code 1", () => {
    const missing = tvix(["store", "info", "/nix/store/00000000000000000000000000000000-none"], { store });
    expect(missing.status).toBe(1);
    expect(missing.stderr).toContain("ERR_STORE_NO_PATH");
    const unreadable = tvix(["store", "import", join(scratch, "nowhere")], { store });
    expect(unreadable.status).toBe(1);
    expect(unreadable.stderr).toContain("ERR_TREE_MISSING");
    const json = tvix(["store", "info", "--json", "nonsense"], { store });
    expect(JSON.parse(json.stderr)).toHaveProperty("error.code");
    expect(tvix(["store", "import", tree, "--store", "gopher://x"]).stderr).toContain("ERR_STORE_ADDRESS");
  });
});

describe("tvix nar", () => {
  test("pack, list and unpack", () => {
    const packed = tvix(["nar", "pack", tree]);
    expect(packed.status).toBe(0);
    if (nix) expect(packed.bytes).toEqual(new Uint8Array(execFileSync("nix-store", ["--dump", tree])));
    const archive = join(scratch, "tree.nar");
    writeFileSync(archive, packed.bytes);
    expect(tvix(["nar", "ls", archive]).stdout).toBe(
      ".\n./hello.txt\n./large\n./sub\n./sub/empty\n./sub/link\n./sub/run\n",
    );
    expect(JSON.parse(tvix(["nar", "ls", "--json"], { input: packed.bytes }).stdout)).toHaveProperty(
      "root.entries.large.size",
      1_000_000,
    );
    const target = join(scratch, "unpacked");
    expect(tvix(["nar", "unpack", target], { input: packed.bytes }).stderr).toBe("");
    expect(readFileSync(join(target, "hello.txt"), "utf8")).toBe("hello\n");
    expect(readlinkSync(join(target, "sub/link"))).toBe("../hello.txt");
  });

  test("a damaged archive is refused and leaves nothing", () => {
    const folder = join(scratch, "damaged");
    mkdirSync(folder);
    const packed = tvix(["nar", "pack", tree]).bytes;
    const cut = tvix(["nar", "unpack", join(folder, "x")], { input: packed.subarray(0, packed.length - 8) });
    expect(cut.status).toBe(1);
    expect(cut.stderr).toContain("ERR_NAR_TRUNCATED");
    expect(existsSync(join(folder, "x"))).toBe(false);
    expect(readdirSync(folder)).toEqual([]);
  });

  test("a reader that goes away is no failure", () => {
    const shell = spawnSync(
      "bash",
      ["-c", `${process.execPath} ${PROGRAM} nar pack ${tree} | head -c 8; echo ":\${PIPESTATUS[0]}"`],
      {
        cwd: join(import.meta.dirname, "../.."),
      },
    );
    expect(shell.stdout.toString().endsWith(":0\n")).toBe(true);
    expect(shell.stderr.toString()).toBe("");
  });
});

describe("tvix hash", () => {
  test("all algorithms over a file, a tree, and converted", () => {
    const file = join(tree, "hello.txt");
    expect(tvix(["hash", "--flat", "--format", "base16", file]).stdout).toBe(
      "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03\n",
    );
    for (const type of ["md5", "sha1", "sha256", "sha512"]) {
      if (!nix) break;
      const theirs = execFileSync("nix-hash", ["--type", type, "--base32", tree]).toString();
      expect(tvix(["hash", "--type", type, "--format", "nix32", tree]).stdout).toBe(theirs);
    }
    expect(
      tvix(["hash", "--convert", "--format", "sri", "sha256:0mdqa9w1p6cmli6976v4wi0sw9r4p5prkj7lzfd1877wk11c9c73"])
        .stdout,
    ).toBe("sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n");
  });
});

describe("usage", () => {
  test("mistakes exit with 2 and say what is known", () => {
    expect(tvix(["frobnicate"]).status).toBe(2);
    expect(tvix(["store", "frobnicate"]).status).toBe(2);
    expect(tvix(["hash", "--type", "crc", "x"]).stderr).toContain("sha512");
    expect(tvix(["store", "imprt", "x"]).stderr).toContain("import");
  });

  test("help has examples", () => {
    for (const command of [[], ["store"], ["nar"], ["hash"], ["drv"]]) {
      const help = tvix([...command, "--help"]);
      expect(help.status).toBe(0);
      expect(help.stdout).toContain("Examples:");
    }
    expect(tvix(["--version"]).stdout).toMatch(/^\d+\.\d+\.\d+\n$/);
  });
});

describe("keeping a store", () => {
  test("roots, collection, verification, copies, streams, differences, signatures", () => {
    const here = { store: join(scratch, "kept") };
    const kept = tvix(["store", "import", "--root", "keep", tree], here).stdout.trim();
    const dead = tvix(["store", "import", join(tree, "large")], here).stdout.trim();
    expect(tvix(["store", "roots", "list"], here).stdout).toBe(`keep -> ${kept}\n`);
    expect(tvix(["store", "gc", "--dry-run"], here).stdout).toContain(`${dead}\n1 paths would be removed`);
    expect(tvix(["store", "diff", `${kept}/large`, dead], here).stdout).toBe("");
    expect(tvix(["store", "diff", kept, `${kept}/sub`], here).stdout).toContain("- hello.txt");

    const there = { store: join(scratch, "there") };
    const first = tvix(["store", "copy", "--json", here.store, there.store]);
    expect(JSON.parse(first.stdout)).toMatchObject({ copied: 2, present: 0 });
    const again = tvix(["store", "copy", "--json", here.store, there.store]);
    expect(JSON.parse(again.stdout)).toMatchObject({ copied: 0, present: 2, bytes: 0 });

    const stream = tvix(["store", "export", kept, dead], here).bytes;
    const third = { store: join(scratch, "third") };
    const imported = tvix(["store", "import", "--from-stream", "-"], { ...third, input: stream });
    expect(imported.stdout.split("\n").sort()).toEqual(["", dead, kept].sort());

    expect(tvix(["store", "gc", "--json"], here).stdout).toContain(dead);
    expect(tvix(["store", "info", dead], here).status).toBe(1);
    expect(tvix(["store", "verify"], here).stdout).toContain(": 0 damaged");
    expect(JSON.parse(tvix(["store", "info", "--json"], here).stdout)).toMatchObject({ paths: 1, roots: 1 });
    expect(tvix(["store", "roots", "remove", "keep", "none"], here).stderr).toContain("ERR_CLI_NO_ROOT");
    expect(tvix(["store", "gc"], here).stdout).toContain(kept);
  });

  test("a flat file is addressed by its contents; mistakes are told", () => {
    const here = { store: join(scratch, "signed") };
    const path = tvix(["store", "import", "--flat", join(tree, "hello.txt")], here).stdout.trim();
    expect(tvix(["store", "sign", path, "--key-file", join(scratch, "none")], here).status).toBe(1);
    expect(tvix(["store", "gc", "--max-freed", "lots"], here).stderr).toContain("ERR_CLI_USAGE");
    const info = JSON.parse(tvix(["store", "info", "--json", path], here).stdout) as { ca: string };
    expect(info.ca).toMatch(/^fixed:sha256:/);
  });
});
