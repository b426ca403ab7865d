// Native NAR fast paths: host trees, bytes and packs against the grammar and against Nix; hostile input.
import { createHash } from "node:crypto";
import {
  closeSync,
  existsSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { fc } from "../property.ts";
import { describe, expect, test } from "vitest";
import { toHex } from "../../lib/base/bytes.ts";
import { NarUnpacker, narHash, narPack, narUnpack } from "../../lib/native/nar.ts";
import { garden, narOf, nix, nixHere, noise, plant, temporary, type Tree, word, words } from "./trees.ts";

const dir = temporary();
const sha256 = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");
let serial = 0;
const fresh = (): string => join(dir, `t${serial++}`);

async function packed(path: string): Promise<Buffer> {
  const file = fresh();
  const fd = openSync(file, "w");
  const size = await narPack(path, fd);
  closeSync(fd);
  const bytes = readFileSync(file);
  expect(bytes.length).toBe(size);
  return bytes;
}

async function unpackPieces(nar: Uint8Array, target: string, piece: number): Promise<string> {
  const unpacker = new NarUnpacker(target);
  try {
    for (let at = 0; at < nar.length; at += piece) await unpacker.push(nar.subarray(at, at + piece));
    return toHex((await unpacker.end()).digest);
  } finally {
    unpacker.close();
  }
}

describe("host tree to NAR", () => {
  test("the published vectors: empty file and empty directory", async () => {
    const file = fresh();
    plant(file, { file: new Uint8Array(0) });
    expect(toHex((await narHash(file)).digest)).toBe(
      "77ac62e2629d8e45f624589c0c8bf99e24b3a722349bf1e79bc186008534e246",
    );
    const empty = fresh();
    plant(empty, { entries: {} });
    const hash = await narHash(empty);
    expect(toHex(hash.digest)).toBe("a50a5ab6d992f5598edd92105059fae9acfc192981e08bd88534c2167e92526a");
    expect(hash.size).toBe(96);
  });

  test("a tree with everything, by the grammar and by Nix", async () => {
    const path = fresh();
    plant(path, garden());
    const expected = narOf(garden());
    expect(sha256(await packed(path))).toBe(sha256(expected));
    const hash = await narHash(path);
    expect({ digest: toHex(hash.digest), size: hash.size }).toEqual({
      digest: sha256(expected),
      size: expected.length,
    });
    if (nixHere) expect(sha256(nix("nix-store", ["--dump", path]) as Buffer)).toBe(sha256(expected));
  });

  test("files and symlinks as roots; a trailing slash is not followed", async () => {
    const roots: Tree[] = [{ link: "some/where" }, { file: noise(70_000, 3), executable: true }];
    for (const tree of roots) {
      const path = fresh();
      plant(path, tree);
      expect(await packed(path)).toEqual(narOf(tree));
      expect(await packed(`${path}/`)).toEqual(narOf(tree));
    }
  });

  test("into a pipe that is read slowly", async () => {
    const path = fresh();
    plant(path, garden());
    const script = `
      const { narPack } = await import(${JSON.stringify(join(import.meta.dirname, "../../lib/native/nar.ts"))});
      await narPack(${JSON.stringify(path)}, 1);`;
    const run = spawnSync(
      "sh",
      ["-c", `"$0" --import tsx --input-type=module -e "$1" | (sleep 0.2; cat)`, process.execPath, script],
      {
        maxBuffer: 1 << 26,
      },
    );
    expect(run.stderr.toString()).toBe("");
    expect(sha256(run.stdout)).toBe(sha256(narOf(garden())));
  });

  test("what cannot be in a NAR, and what is not there", async () => {
    const path = fresh();
    plant(path, { entries: { a: { file: noise(3, 1) } } });
    expect(spawnSync("mkfifo", [join(path, "pipe")]).status).toBe(0);
    await expect(narHash(path)).rejects.toMatchObject({
      code: "ERR_TREE_KIND",
      message: expect.stringContaining("pipe' is a named pipe"),
    });
    await expect(narHash(join(dir, "missing"))).rejects.toMatchObject({ code: "ERR_TREE_MISSING" });
    await expect(narHash("/dev/null")).rejects.toMatchObject({ code: "ERR_TREE_KIND" });
  });

  test("nesting has a limit", async () => {
    const path = fresh();
    let tree: Tree = { entries: {} };
    for (let i = 0; i < 1030; i++) tree = { entries: { d: tree } };
    plant(path, tree);
    await expect(narHash(path)).rejects.toMatchObject({ code: "ERR_TREE_TOO_DEEP" });
  });

  test("a descriptor that cannot be written", async () => {
    const path = fresh();
    plant(path, { file: noise(100_000, 1) });
    const fd = openSync("/dev/full", "w");
    await expect(narPack(path, fd)).rejects.toMatchObject({ code: "ERR_NAR_WRITE" });
    closeSync(fd);
  });
});

const regular = (contents: string | Uint8Array): Buffer =>
  words("(", "type", "regular", "contents", word(contents), ")");
const entry = (name: string, node: Uint8Array): Buffer => words("entry", "(", "name", name, "node", node, ")");
const directory = (...entries: Uint8Array[]): Buffer => words("(", "type", "directory", ...entries, ")");
const archive = (...parts: (string | Uint8Array)[]): Buffer => words("nix-archive-1", ...parts);
const u64 = (value: bigint): Buffer => {
  const out = Buffer.alloc(8);
  out.writeBigUInt64LE(value);
  return out;
};
const good = regular("x");
const deep = (levels: number): Buffer => {
  const down = words("(", "type", "directory", "entry", "(", "name", "d", "node");
  return Buffer.concat([word("nix-archive-1"), ...Array.from({ length: levels }, () => down)]);
};
const badPadding = Buffer.from(archive(regular("abc")));
badPadding[badPadding.length - 16 - 1] = 1;
const whole = archive(directory(entry("a", good)));

const hostile: Record<string, readonly [Uint8Array, string]> = {
  "nothing at all": [new Uint8Array(0), "ERR_NAR_TRUNCATED"],
  "another format": [words("nix-archive-2", good), "ERR_NAR_BAD_MAGIC"],
  "a tar file": [Buffer.alloc(1024, "ustar"), "ERR_NAR_BAD_MAGIC"],
  "name ..": [archive(directory(entry("..", good))), "ERR_NAR_NAME_DOT"],
  "name .": [archive(directory(entry(".", good))), "ERR_NAR_NAME_DOT"],
  "name with a slash": [archive(directory(entry("a/../../b", good))), "ERR_NAR_NAME_SLASH"],
  "absolute name": [archive(directory(entry("/etc/passwd", good))), "ERR_NAR_NAME_SLASH"],
  "name with NUL": [archive(directory(entry("a\0b", good))), "ERR_NAR_NAME_NUL"],
  "empty name": [archive(directory(entry("", good))), "ERR_NAR_NAME_EMPTY"],
  "name of 256 bytes": [archive(directory(entry("n".repeat(256), good))), "ERR_NAR_NAME_TOO_LONG"],
  duplicates: [archive(directory(entry("a", good), entry("a", good))), "ERR_NAR_NAME_DUPLICATE"],
  "symlink, then a directory of its name": [
    archive(directory(entry("a", words("(", "type", "symlink", "target", "/tmp", ")")), entry("a", directory()))),
    "ERR_NAR_NAME_DUPLICATE",
  ],
  "wrong order": [archive(directory(entry("b", good), entry("a", good))), "ERR_NAR_NAME_ORDER"],
  "signed order": [archive(directory(entry("\u00ff", good), entry("a", good))), "ERR_NAR_NAME_ORDER"],
  "bad padding": [badPadding, "ERR_NAR_BAD_PADDING"],
  truncated: [whole.subarray(0, whole.length - 1), "ERR_NAR_TRUNCATED"],
  trailing: [Buffer.concat([whole, Buffer.from([0])]), "ERR_NAR_TRAILING_BYTES"],
  "contents of 2^63 bytes": [archive("(", "type", "regular", "contents", u64(1n << 63n)), "ERR_NAR_SIZE_OVERFLOW"],
  "contents of 2^62 bytes that never come": [
    archive("(", "type", "regular", "contents", u64(1n << 62n), "x"),
    "ERR_NAR_TRUNCATED",
  ],
  "a word of 2^63 bytes": [archive(u64(1n << 63n)), "ERR_NAR_UNEXPECTED_TOKEN"],
  "a target of 2^32 bytes": [archive("(", "type", "symlink", "target", u64(1n << 32n)), "ERR_NAR_TARGET_TOO_LONG"],
  "target with NUL": [archive("(", "type", "symlink", "target", "a\0b", ")"), "ERR_NAR_TARGET_NUL"],
  "empty target": [archive("(", "type", "symlink", "target", "", ")"), "ERR_NAR_TARGET_EMPTY"],
  "symlink with an entry below it": [
    archive("(", "type", "symlink", "target", "/etc", entry("passwd", good), ")"),
    "ERR_NAR_NOT_DIRECTORY",
  ],
  "a file with an entry below it": [
    archive("(", "type", "regular", "contents", "x", entry("a", good), ")"),
    "ERR_NAR_NOT_DIRECTORY",
  ],
  "depth 10 000": [deep(10_000), "ERR_NAR_TOO_DEEP"],
  "unknown type": [archive("(", "type", "socket", ")"), "ERR_NAR_UNKNOWN_TYPE"],
  "a file without contents": [archive("(", "type", "regular", ")"), "ERR_NAR_MISSING_CONTENTS"],
  "executable with a value": [
    archive("(", "type", "regular", "executable", "yes", "contents", "x", ")"),
    "ERR_NAR_UNEXPECTED_TOKEN",
  ],
  "type twice": [archive("(", "type", "regular", "type", "regular", ")"), "ERR_NAR_UNEXPECTED_TOKEN"],
};

describe("hostile NARs", () => {
  test.each(Object.entries(hostile))("%s", async (_, [nar, code]) => {
    const place = fresh();
    plant(place, { entries: {} });
    const target = join(place, "out");
    for (const piece of [1, 7, 1 << 20]) {
      if (nar.length > 10_000) continue;
      await expect(unpackPieces(nar, target, piece)).rejects.toMatchObject({ code });
      expect(readdirSync(place)).toEqual([]);
    }
    const file = fresh();
    writeFileSync(file, nar);
    const fd = openSync(file, "r");
    await expect(narUnpack(fd, target)).rejects.toMatchObject({ code });
    closeSync(fd);
    expect(readdirSync(place)).toEqual([]);
  });

  test("any cut or changed byte of a good NAR is refused or gives another tree, and leaves no rest", async () => {
    const nar = narOf({
      entries: { a: { file: noise(20, 1) }, b: { link: "t" }, c: { entries: { d: { file: noise(3, 2) } } } },
    });
    await fc.assert(
      fc.asyncProperty(
        fc.nat(nar.length - 1),
        fc.integer({ min: 1, max: 255 }),
        fc.boolean(),
        async (at, flip, cut) => {
          const place = fresh();
          plant(place, { entries: {} });
          const bad = cut ? nar.subarray(0, at) : Buffer.from(nar);
          if (!cut) bad[at] = (bad[at] as number) ^ flip;
          const target = join(place, "out");
          const digest = await unpackPieces(bad, target, 64).catch((error: { code: string }) => {
            expect(error.code).toMatch(/^ERR_NAR_/);
            return undefined;
          });
          expect(readdirSync(place)).toEqual(digest === undefined ? [] : ["out"]);
          if (digest !== undefined) expect(toHex((await narHash(target)).digest)).toBe(digest);
        },
      ),
      { numRuns: 150 },
    );
  });
});

describe("unpacking", () => {
  test("gives the tree back, however the bytes come", async () => {
    const nar = narOf(garden());
    for (const piece of [100_003, 1 << 22]) {
      const target = fresh();
      expect(await unpackPieces(nar, target, piece)).toBe(sha256(nar));
      expect(toHex((await narHash(target)).digest)).toBe(sha256(nar));
      expect(statSync(join(target, "zz")).mode & 0o111).not.toBe(0);
      expect(statSync(join(target, "a")).mode & 0o111).toBe(0);
      expect(readlinkSync(join(target, "dangling"), "latin1")).toBe("../nowhere/\u00ff");
    }
  });

  test("as nix-store --restore does", async () => {
    if (!nixHere) return;
    const target = fresh();
    nix("nix-store", ["--restore", target], narOf(garden()));
    expect(toHex((await narHash(target)).digest)).toBe(sha256(narOf(garden())));
  });

  test("never over something that is there", async () => {
    const target = fresh();
    plant(target, { file: noise(3, 1) });
    await expect(unpackPieces(whole, target, 1 << 20)).rejects.toMatchObject({ code: "ERR_UNPACK_EXISTS" });
    expect(readFileSync(target).length).toBe(3);
    await expect(unpackPieces(whole, join(dir, "no", "where"), 1 << 20)).rejects.toMatchObject({
      code: "ERR_UNPACK_IO",
    });
  });

  test("not even over what appeared meanwhile", async () => {
    const target = fresh();
    const unpacker = new NarUnpacker(target);
    await unpacker.push(whole);
    plant(target, { link: "mine" });
    await expect(unpacker.end()).rejects.toMatchObject({ code: "ERR_UNPACK_EXISTS" });
    expect(readlinkSync(target)).toBe("mine");
  });

  test("an abandoned unpacking leaves nothing", async () => {
    const place = fresh();
    plant(place, { entries: {} });
    const unpacker = new NarUnpacker(join(place, "out"));
    await unpacker.push(narOf(garden()).subarray(0, 2_000_000));
    expect(readdirSync(place).length).toBe(1);
    unpacker.close();
    await expect.poll(() => readdirSync(place)).toEqual([]);
    expect(existsSync(join(place, "out"))).toBe(false);
  });
});
