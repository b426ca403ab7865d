import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { concatBytes } from "../../lib/base/bytes.ts";
import { encodeUtf8 } from "../../lib/base/text.ts";
import { collectBytes } from "../../lib/castore/blob/range.ts";
import { displayPath } from "../../lib/castore/path.ts";
import { formatContentAddress } from "../../lib/formats/content-address.ts";
import { StorePath } from "../../lib/formats/store-path.ts";
import { importBytes } from "../../lib/store/import.ts";
import { ingestNar } from "../../lib/store/nar/ingest.ts";
import { narDigest, SeekableNar } from "../../lib/store/nar/render.ts";
import { openStore } from "../../lib/store/open.ts";
import type { Store } from "../../lib/store/store.ts";
import { makeTree, scratch } from "./fixture.ts";

const { base, fresh } = scratch("import");
const tree = makeTree(join(base, "tree"));

/** Answers of Nix 2.8 for the tree of fixture.ts. */
const NIX = {
  tree: "h6xcprc3sv60grin94gmbfbqq7n8hpz9-tree",
  narSha256: "dfca2c04fcb483f11a8a270aea02caf8f1e99bf1064aab9a3aed2fe172ed7c91",
  narSize: 1402392,
  hello: "n4hss129xrln71w0nss39bcx6hzsh9bg-hello",
  run: "qivcqi1dmprilfc03lcfmwsxpfpcsfy8-run",
  dangling: "q6a5cz5fm47sfw8ghgiadnc9va9pmpfq-dangling",
  nothing: "p6hlynpk12zzsilbdvxr0a4688yj0qmf-nothing",
  fixed: [
    ["md5", "n33asd8iabv7r4cx3qfy9k5929srv2sn-run", "0pwa0npr2y5zvbchqwdjlygv0wccmmjn-tree"],
    ["sha1", "35f3npx15j9v1cymsdn4f9mr6lr7qrcg-run", "vmiav8g0h7lvcwwcxcjhz2b6wlvwl1pq-tree"],
    ["sha256", "yy83d710qg9ys0858csy0gvpjmqzvvhs-run", "h6xcprc3sv60grin94gmbfbqq7n8hpz9-tree"],
    ["sha512", "g3zk7g3cvk6vz320vb72q2qc92jxc2jg-run", "8i1ysjisbjmlcw88j2vdpb2v1s6vmmnc-tree"],
  ],
} as const;

const kinds: [string, () => string][] = [
  ["local", fresh],
  ["memory", () => "memory:"],
  ["objects in a directory", () => `dir:${fresh()}`],
];

async function withStore(address: string, body: (store: Store) => Promise<void>): Promise<void> {
  const store = await openStore(address);
  try {
    await body(store);
  } finally {
    await store.close();
  }
}

describe.each(kinds)("importing into a store: %s", (_kind, address) => {
  test("gives Nix's store path, NAR hash and size", () =>
    withStore(address(), async (store) => {
      const info = await store.importPath(tree);
      expect(info.path.basename).toBe(NIX.tree);
      expect(Buffer.from(info.narSha256).toString("hex")).toBe(NIX.narSha256);
      expect(info.narSize).toBe(NIX.narSize);
      expect(formatContentAddress(info.ca ?? expect.fail())).toMatch(/^fixed:r:sha256:/);
      expect((await store.info(info.path)).path.basename).toBe(NIX.tree);
      // Again: nothing new, the same answer.
      expect((await store.importPath(tree)).path.basename).toBe(NIX.tree);
    }));
  test("takes files, empty files and symlinks as roots", () =>
    withStore(address(), async (store) => {
      for (const name of ["hello", "run", "dangling", "nothing"] as const) {
        expect((await store.importPath(join(tree, name))).path.basename).toBe(NIX[name]);
      }
    }));
  test("knows flat and other hashes, as nix-store --add-fixed does", () =>
    withStore(address(), async (store) => {
      for (const [algo, flat, recursive] of NIX.fixed) {
        expect((await store.importPath(join(tree, "run"), { method: "flat", algo })).path.basename).toBe(flat);
        expect((await store.importPath(tree, { algo })).path.basename).toBe(recursive);
      }
      await expect(store.importPath(tree, { method: "flat" })).rejects.toMatchObject({ code: "ERR_STORE_NOT_FILE" });
    }));
  test("stores texts as builtins.toFile does", () =>
    withStore(address(), async (store) => {
      const foo = await importBytes(store, "foo", encodeUtf8("bar"));
      expect(foo.path.basename).toBe("vxjiwkjkn7x4079qvh1jkl5pn05j2aw0-foo");
      const baz = await importBytes(store, "baz", encodeUtf8(foo.path.absolute()), { references: [foo.path] });
      expect(baz.path.basename).toBe("5xd714cbfnkz02h2vbsj4fm03x3f15nf-baz");
    }));
  test("renders the NAR byte for byte, whole and in ranges, and takes it back", () =>
    withStore(address(), async (store) => {
      const info = await store.importPath(tree);
      const nar = await collectBytes(store.nar(NIX.tree));
      expect(createHash("sha256").update(nar).digest("hex")).toBe(NIX.narSha256);
      const seekable = await SeekableNar.open(store.castore, info.root);
      expect(seekable.size).toBe(NIX.narSize);
      for (const [start, end] of [
        [0, 100],
        [1000, 700_000],
        [700_321, 700_330],
        [NIX.narSize - 5, NIX.narSize],
      ] as const) {
        expect(Buffer.compare(await collectBytes(seekable.stream(start, end)), nar.subarray(start, end))).toBe(0);
      }
      const pieces = function* () {
        for (let at = 0; at < nar.length; at += 100_003) yield nar.subarray(at, at + 100_003);
      };
      await withStore(address(), async (other) => {
        const found = await ingestNar(other.castore, pieces());
        expect(found.root).toEqual(info.root);
        expect(found.narSize).toBe(NIX.narSize);
        expect((await narDigest(other.castore, found.root)).digest).toEqual(info.narSha256);
      });
    }));
  test("refuses a truncated NAR, trailing bytes, and bytes that are none", () =>
    withStore(address(), async (store) => {
      await store.importPath(tree);
      const nar = await collectBytes(store.nar(NIX.tree));
      const refused = async (bytes: Uint8Array, code: string) =>
        await expect(ingestNar(store.castore, [bytes])).rejects.toMatchObject({ code });
      await refused(nar.subarray(0, 700_000), "ERR_NAR_TRUNCATED");
      await refused(concatBytes([nar, new Uint8Array(8)]), "ERR_NAR_TRAILING_BYTES");
      await refused(encodeUtf8("not a NAR at all"), "ERR_NAR_BAD_MAGIC");
    }));
  test("a source that fails half-way is told as it is", () =>
    withStore(address(), async (store) => {
      await store.importPath(tree);
      const failing = async function* () {
        for await (const piece of store.nar(NIX.tree)) {
          yield piece;
          throw new Error("the network went away");
        }
      };
      await expect(ingestNar(store.castore, failing())).rejects.toThrow("the network went away");
    }));
  test("lists, reads and finds", () =>
    withStore(address(), async (store) => {
      await store.importPath(tree);
      const listed: string[] = [];
      for await (const entry of store.ls(NIX.tree)) listed.push(`${entry.node.type} ${displayPath(entry.path)}`);
      expect(listed).toEqual([
        "directory .",
        "symlink dangling",
        "directory empty",
        "file hello",
        "file nothing",
        "file run",
        "directory sub",
        "directory sub/deeper",
        "file sub/deeper/Ä.txt",
        "file sub/large",
        "file sub/large-again",
        "symlink sub/link",
        "file sub/\\xff\\xfe",
      ]);
      expect(await collectBytes(store.cat(`/nix/store/${NIX.tree}/hello`))).toEqual(encodeUtf8("Hello World!"));
      expect(await store.readFile(`${NIX.tree}/nothing`)).toEqual(new Uint8Array(0));
      await expect(store.readFile(`${NIX.tree}/sub`)).rejects.toMatchObject({ code: "ERR_STORE_NOT_FILE" });
      await expect(store.readFile(`${NIX.tree}/none`)).rejects.toMatchObject({ code: "ERR_CASTORE_NO_ENTRY" });
      await expect(store.info(NIX.hello)).rejects.toMatchObject({ code: "ERR_STORE_NO_PATH" });
      await expect(store.info("h6xcprc3sv60grin94gmbfbqq7n8hpz9-other")).rejects.toMatchObject({
        code: "ERR_STORE_NO_PATH",
      });
      expect((await store.info("h6xcprc3sv60grin94gmbfbqq7n8hpz9")).path.basename).toBe(NIX.tree);
    }));
  test("exports what was imported", () =>
    withStore(address(), async (store) => {
      await store.importPath(tree);
      const target = fresh();
      await store.export(NIX.tree, target);
      const formats = ["-type", "d", "-printf", "%P d\\n", "-o", "-type", "l", "-printf", "%P l %l\\n"];
      const files = ["-o", "-type", "f", "-printf", "%P f %s %m\\n"];
      const describeTree = (at: string): string[] =>
        execFileSync("find", [at, ...formats, ...files], { encoding: "latin1" })
          .split("\n")
          .sort();
      expect(describeTree(target)).toEqual(describeTree(tree));
      await expect(store.export(NIX.tree, target)).rejects.toMatchObject({ code: "ERR_EXPORT_EXISTS" });
      await withStore("memory:", async (other) => {
        expect((await other.importPath(target, { name: "tree" })).path.basename).toBe(NIX.tree);
      });
    }));
  test("finds references to candidates, also across pieces", () =>
    withStore(address(), async (store) => {
      const seen = StorePath.of(new Uint8Array(20).fill(1), "seen");
      const unseen = StorePath.of(new Uint8Array(20).fill(2), "unseen");
      const linked = StorePath.of(new Uint8Array(20).fill(3), "linked");
      const dir = fresh();
      mkdirSync(dir);
      writeFileSync(join(dir, "a"), `${"x".repeat(1_048_500)}${seen.absolute()}/bin${"y".repeat(300_000)}`);
      execFileSync("ln", ["-s", linked.absolute(), join(dir, "link")]);
      const info = await store.importPath(dir, { name: "with-references", candidates: [seen, unseen, linked] });
      expect(info.references.map((reference) => reference.name)).toEqual(["seen", "linked"]);
    }));
  test("tells what cannot be imported, and leaves nothing visible", () =>
    withStore(address(), async (store) => {
      await expect(store.importPath(join(base, "not there"), { name: "x" })).rejects.toMatchObject({
        code: "ERR_TREE_MISSING",
      });
      await expect(store.importPath(tree, { name: "no spaces" })).rejects.toMatchObject({
        code: "ERR_STORE_PATH_NAME",
      });
      const withPipe = fresh();
      mkdirSync(withPipe);
      execFileSync("mkfifo", [join(withPipe, "pipe")]);
      const failure = await store.importPath(withPipe).catch((error: unknown) => error);
      expect(failure).toMatchObject({ code: "ERR_TREE_KIND" });
      expect(String(failure)).toContain("pipe");
      for await (const info of store.list()) expect.fail(info.path.basename);
    }));
  test("can be given up", () =>
    withStore(address(), async (store) => {
      const reason = new Error("enough");
      await expect(store.importPath(tree, { signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
      for await (const info of store.list()) expect.fail(info.path.basename);
      expect((await store.importPath(tree)).path.basename).toBe(NIX.tree);
    }));
});

const nixStore = ["/usr/bin/nix-store", "/nix/var/nix/profiles/default/bin/nix-store"].find((path) => existsSync(path));
describe.skipIf(nixStore === undefined)("Nix itself, where it is installed (else skipped)", () => {
  test("agrees with the golden answers", () => {
    const path = execFileSync(nixStore ?? "", ["--store", fresh(), "--add", tree], {
      encoding: "utf8",
      stdio: ["ignore", "pipe", "ignore"],
    });
    expect(path.trim()).toBe(`/nix/store/${NIX.tree}`);
  });
});
