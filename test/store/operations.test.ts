import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { collectBytes } from "../../lib/castore/blob/range.ts";
import { displayPath } from "../../lib/castore/path.ts";
import { pseudoRandomBytes } from "../../lib/castore/testing.ts";
import { encodeUtf8 } from "../../lib/base/text.ts";
import { formatHash, nixHash } from "../../lib/formats/hash.ts";
import { generateKey, parsePublicKey, toPublicKey } from "../../lib/formats/signature.ts";
import { sourcePath, StorePath } from "../../lib/formats/store-path.ts";
import { parseAddress } from "../../lib/store/address.ts";
import { closureOf } from "../../lib/store/closure.ts";
import { copyClosure } from "../../lib/store/copy.ts";
import { diffPaths } from "../../lib/store/diff.ts";
import { collectGarbage } from "../../lib/store/gc.ts";
import { openStore } from "../../lib/store/open.ts";
import type { PathInfo } from "../../lib/store/path-info.ts";
import { addRoot, listRoots, removeRoot } from "../../lib/store/roots.ts";
import { fingerprintOf, publicKeyText, readSecretKey, signPath, trustOf } from "../../lib/store/sign.ts";
import { countStore, measureStore } from "../../lib/store/statistics.ts";
import type { Store } from "../../lib/store/store.ts";
import { exportPaths, importClosure, importStream } from "../../lib/store/stream.ts";
import { verifyStore } from "../../lib/store/verify.ts";
import { makeTree, scratch } from "./fixture.ts";

const { base, fresh } = scratch("operations");
const tree = makeTree(join(base, "tree"));

async function withStore<T>(address: string, body: (store: Store) => Promise<T>): Promise<T> {
  const store = await openStore(address);
  try {
    return await body(store);
  } finally {
    await store.close();
  }
}

/** A host directory whose contents mention `references`. */
function mention(name: string, references: readonly PathInfo[], bytes: Uint8Array = encodeUtf8(name)): string {
  const path = join(fresh(), name);
  mkdirSync(path, { recursive: true });
  writeFileSync(join(path, "data"), bytes);
  writeFileSync(join(path, "needs"), references.map((info) => info.path.absolute()).join("\n"));
  return path;
}

/** a ← b ← c (c refers to b refers to a), d alone; each with a megabyte of its own. */
async function chain(store: Store): Promise<Record<"a" | "b" | "c" | "d", PathInfo>> {
  const add = async (name: string, seed: number, needs: PathInfo[]) =>
    await store.importPath(mention(name, needs, pseudoRandomBytes(1_000_000, seed)), {
      candidates: needs.map((info) => info.path),
    });
  const a = await add("a", 1, []);
  const b = await add("b", 2, [a]);
  const c = await add("c", 3, [b]);
  return { a, b, c, d: await add("d", 4, []) };
}

const names = (infos: readonly (PathInfo | StorePath)[]) =>
  infos.map((info) => (info instanceof StorePath ? info : info.path).name).sort();

const packBytes = (directory: string) =>
  readdirSync(join(directory, "packs")).reduce((sum, file) => sum + statSync(join(directory, "packs", file)).size, 0);

describe("collection", () => {
  test("keeps what roots reach, gives the rest back, and leaves the store whole", () => {
    const directory = fresh();
    return withStore(directory, async (store) => {
      const { a, b, c, d } = await chain(store);
      await addRoot(store, "keep", b.path);
      expect((await listRoots(store)).map((root) => `${root.name} ${root.path.name}`)).toEqual(["keep b"]);
      const before = packBytes(directory);
      const plan = await collectGarbage(store, { dryRun: true });
      expect(names(plan.removedPaths)).toEqual(["c", "d"]);
      expect(packBytes(directory)).toBe(before);
      const done = await collectGarbage(store);
      expect(names(done.removedPaths)).toEqual(["c", "d"]);
      expect(done.removedBytes).toBe(plan.removedBytes);
      expect(done.livePaths).toBe(2);
      expect(before - packBytes(directory)).toBe(done.freedBytes);
      expect(done.freedBytes).toBeGreaterThan(1_900_000);
      for (const gone of [c, d])
        await expect(store.info(gone.path)).rejects.toMatchObject({ code: "ERR_STORE_NO_PATH" });
      for (const kept of [a, b]) {
        expect(await store.readFile(`${kept.path.basename}/data`)).toHaveLength(1_000_000);
      }
      expect((await verifyStore(store)).damage).toEqual([]);
      expect(await removeRoot(store, "keep")).toBe(true);
      expect(await removeRoot(store, "keep")).toBe(false);
      expect(names((await collectGarbage(store)).removedPaths)).toEqual(["a", "b"]);
      expect(packBytes(directory)).toBe(0);
      expect((await store.importPath(tree)).path.name).toBe("tree");
    });
  });
  test("keeps derivations when asked", () =>
    withStore(fresh(), async (store) => {
      const { a, d } = await chain(store);
      const drv = StorePath.of(d.path.digest, "d.drv");
      await store.pathInfos.put({ ...d, path: drv });
      await store.pathInfos.put({ ...a, deriver: drv });
      await addRoot(store, "keep", a.path);
      expect(names((await collectGarbage(store, { dryRun: true, keepDerivations: true })).removedPaths)).toEqual([
        "b",
        "c",
      ]);
      expect(names((await collectGarbage(store, { dryRun: true })).removedPaths)).toContain("d.drv");
    }));
  test("stops once enough is freed, and never breaks a closure", () =>
    withStore(fresh(), async (store) => {
      await chain(store);
      const one = await collectGarbage(store, { maxFreed: 1 });
      expect(one.removedPaths).toHaveLength(1);
      expect(["c", "d"]).toContain(one.removedPaths[0]?.name);
      const two = await collectGarbage(store, { maxFreed: 1_500_000 });
      expect(two.removedPaths).toHaveLength(2);
      expect((await verifyStore(store)).damage).toEqual([]);
      for await (const info of store.list()) await closureOf(store, [info.path]);
    }));
  test("does not take what a reader is reading", () =>
    withStore(fresh(), async (store) => {
      const { path } = await store.importPath(mention("d", [], pseudoRandomBytes(4_000_000, 8)));
      const reader = await store.openFile(`${path.basename}/data`);
      await reader.read(0, 10);
      const iterator = store.nar(path.basename);
      await iterator.next();
      await collectGarbage(store);
      let rest = 0;
      for await (const piece of iterator) rest += piece.length;
      expect(rest).toBeGreaterThan(2_900_000);
    }));
  test("makes an import that relied on what was removed start over", () =>
    withStore(fresh(), async (store) => {
      const path = mention("x", [], pseudoRandomBytes(3_000_000, 9));
      await store.importPath(path);
      let collected = false;
      // The collection runs when the second import has found all its chunks in the index.
      const info = await store.importPath(path, {
        onProgress: () => {
          if (collected) return;
          collected = true;
          const { castore } = store.requireLocal("test");
          castore.index.write(() => {
            for (const { key } of castore.index.chunks.entries()) castore.index.chunks.remove(key);
            castore.index.advanceGeneration();
          });
        },
      });
      expect(collected).toBe(true);
      expect(info.path.name).toBe("x");
      expect((await verifyStore(store)).damage).toEqual([]);
    }));
});

describe("signatures", () => {
  test("are those of Nix keys, and tell what is trusted", () =>
    withStore(fresh(), async (store) => {
      const key = generateKey("test-1");
      const { d } = await chain(store);
      const plain: PathInfo = { ...d, path: StorePath.of(new Uint8Array(20).fill(5), "built"), ca: undefined };
      await store.pathInfos.put(plain);
      expect(trustOf(plain, [toPublicKey(key)])).toEqual({ trusted: false });
      const signed = await signPath(store, plain.path, key);
      const trusted = [parsePublicKey(publicKeyText(key))];
      expect(trustOf(await store.info(plain.path), trusted)).toEqual({ trusted: true, by: "signature", key: "test-1" });
      expect(trustOf(signed, [toPublicKey(generateKey("test-1"))])).toEqual({ trusted: false });
      expect(trustOf({ ...signed, narSize: 5 }, trusted)).toEqual({ trusted: false });
      expect(trustOf(d, [])).toEqual({ trusted: true, by: "content" });
      expect((await signPath(store, plain.path, key)).signatures).toHaveLength(1);
      await expect(readSecretKey(join(base, "no such key"))).rejects.toMatchObject({ code: "ERR_KEY_FILE" });
    }));
});

describe("copying", () => {
  const targets: [string, () => string][] = [
    ["local", fresh],
    ["memory", () => "memory:"],
    ["objects in a directory", () => `dir:${fresh()}`],
  ];
  test.each(targets)("to %s sends closures once, and goes on where it stopped", (_kind, address) =>
    withStore(fresh(), (from) =>
      withStore(address(), async (to) => {
        const { b, c } = await chain(from);
        const seen: number[] = [];
        const first = await copyClosure(from, to, [b.path], { onProgress: (progress) => seen.push(progress.done) });
        expect(first.copied.map((info) => info.path.name)).toEqual(["a", "b"]);
        expect(seen.at(-1)).toBe(2);
        const second = await copyClosure(from, to, [c.path]);
        expect(second.copied.map((info) => info.path.name)).toEqual(["c"]);
        expect(second.present).toBe(2);
        expect(second.bytes).toBeLessThan(1_100_000);
        const [ours, theirs] = [
          await collectBytes(from.nar(c.path.basename)),
          await collectBytes(to.nar(c.path.basename)),
        ];
        expect(Buffer.compare(ours, theirs)).toBe(0);
        expect(await to.info(c.path)).toEqual(await from.info(c.path));
      }),
    ),
  );
  test("goes on after it was stopped amid a path: what was sent is not sent again", () =>
    withStore(fresh(), (from) =>
      withStore(fresh(), async (to) => {
        const { a, b } = await chain(from);
        const paths = [];
        for (let i = 0; i < 6; i++) {
          const large = pseudoRandomBytes(2_000_000, 100 + i);
          paths.push((await from.importPath(mention(`large-${i}`, [], large))).path);
        }
        const wanted = [a.path, b.path, ...paths];
        const stop = new AbortController();
        const stopped = copyClosure(from, to, wanted, {
          signal: stop.signal,
          onProgress: ({ done, bytes }) => {
            // Two paths are whole, and of the third some is there.
            if (done === 2 && bytes > 2_000_100) stop.abort();
          },
        });
        await expect(stopped).rejects.toMatchObject({ name: "AbortError" });
        const all = 2_000_000 + 6 * 2_000_000;
        const rest = await copyClosure(from, to, wanted);
        expect(rest.present).toBeGreaterThanOrEqual(2);
        expect(rest.present + rest.copied.length).toBe(wanted.length);
        expect(rest.bytes).toBeLessThan(all - 2_000_000);
        expect((await verifyStore(to)).damage).toEqual([]);
        for (const path of wanted) expect(await to.info(path)).toEqual(await from.info(path));
      }),
    ));
  test("refuses what no trusted key has signed", () =>
    withStore(fresh(), (from) =>
      withStore("memory:", async (to) => {
        const { a } = await chain(from);
        const plain = { ...a, path: StorePath.of(new Uint8Array(20).fill(5), "built"), ca: undefined };
        await from.pathInfos.put(plain);
        const key = generateKey("k");
        const copy = () => copyClosure(from, to, [plain.path], { trustedKeys: [toPublicKey(key)] });
        await expect(copy()).rejects.toMatchObject({ code: "ERR_STORE_UNTRUSTED" });
        await signPath(from, plain.path, key);
        expect((await copy()).copied).toHaveLength(1);
      }),
    ));
  test("refuses contents that are not what the path info says", () =>
    withStore(fresh(), (from) =>
      withStore(fresh(), async (to) => {
        const { a, d } = await chain(from);
        await from.pathInfos.put({ ...a, root: d.root });
        await expect(copyClosure(from, to, [a.path])).rejects.toMatchObject({ code: "ERR_STORE_NAR_MISMATCH" });
        await expect(to.info(a.path)).rejects.toMatchObject({ code: "ERR_STORE_NO_PATH" });
      }),
    ));
});

describe("streams", () => {
  test("of an export come back the same, in any pieces", () =>
    withStore(fresh(), (from) =>
      withStore(fresh(), async (to) => {
        const { c } = await chain(from);
        const stream = await collectBytes(exportPaths(from, [c.path], { closure: true }));
        const pieces = async function* () {
          for (let at = 0, step = 1; at < stream.length; at += step, step = (step * 13) % 70_001) {
            yield stream.subarray(at, at + step);
          }
        };
        expect((await importStream(to, pieces())).map((info) => info.path.name)).toEqual(["a", "b", "c"]);
        const again = await collectBytes(exportPaths(to, [c.path], { closure: true }));
        expect(Buffer.compare(again, stream)).toBe(0);
        expect((await to.info(c.path)).references.map((reference) => reference.name)).toEqual(["b"]);
        const cut = async function* () {
          yield stream.subarray(0, stream.length - 100);
        };
        await expect(importStream(await openStore("memory:"), cut())).rejects.toThrow();
      }),
    ));
  test("without what they refer to are refused", () =>
    withStore(fresh(), (from) =>
      withStore(fresh(), async (to) => {
        const { c } = await chain(from);
        await expect(importStream(to, exportPaths(from, [c.path]))).rejects.toMatchObject({
          code: "ERR_STORE_NO_PATH",
        });
        await expect(to.info(c.path)).rejects.toMatchObject({ code: "ERR_STORE_NO_PATH" });
      }),
    ));
  test("an exportReferencesGraph is imported from the host, checked", () =>
    withStore(fresh(), (from) =>
      withStore(fresh(), async (to) => {
        const { c } = await chain(from);
        const prefix = fresh();
        mkdirSync(join(prefix, "nix/store"), { recursive: true });
        const graph = [];
        for (const info of (await closureOf(from, [c.path])).reverse()) {
          await from.export(info.path.basename, join(prefix, info.path.absolute()));
          graph.push({
            path: info.path.absolute(),
            narHash: formatHash(nixHash("sha256", info.narSha256), "sri"),
            narSize: info.narSize,
            references: info.references.map((reference) => reference.absolute()),
          });
        }
        const infos = await importClosure(to, JSON.stringify({ closure: graph, other: 1 }), { prefix });
        expect(infos.map((info) => info.path.name)).toEqual(["a", "b", "c"]);
        expect((await to.info(c.path)).narSha256).toEqual(c.narSha256);
        const wrong = JSON.stringify([{ ...graph[2], narSize: 5 }]);
        await withStore(fresh(), async (other) => {
          await expect(importClosure(other, wrong, { prefix })).rejects.toMatchObject({
            code: "ERR_STORE_NAR_MISMATCH",
          });
          for await (const info of other.list()) expect.fail(info.path.basename);
          await expect(importClosure(other, "{}")).rejects.toMatchObject({ code: "ERR_STORE_GRAPH" });
          await expect(importClosure(other, "nonsense")).rejects.toMatchObject({ code: "ERR_STORE_GRAPH" });
        });
      }),
    ));
});

describe("differences", () => {
  test("are found by digest", () =>
    withStore(fresh(), async (store) => {
      const before = await store.importPath(tree, { name: "before" });
      const changed = fresh();
      await store.export(before.path.basename, changed);
      writeFileSync(join(changed, "hello"), "Goodbye");
      writeFileSync(join(changed, "sub/new"), "new");
      execFileSync("rm", [join(changed, "nothing")]);
      execFileSync("rm", ["-r", join(changed, "empty")]);
      writeFileSync(join(changed, "empty"), "now a file");
      const after = await store.importPath(changed, { name: "after" });
      const lines: string[] = [];
      for await (const { path, before: old, after: now } of diffPaths(
        store,
        before.path.basename,
        after.path.basename,
      )) {
        lines.push(`${old?.type ?? "-"} ${now?.type ?? "-"} ${displayPath(path)}`);
      }
      expect(lines).toEqual(["directory file empty", "file file hello", "file - nothing", "- file sub/new"]);
      for await (const difference of diffPaths(store, before.path.basename, before.path.basename)) {
        expect.fail(displayPath(difference.path));
      }
    }));
});

describe("statistics", () => {
  test("count, and say what deduplication saves", () =>
    withStore(fresh(), async (store) => {
      await store.importPath(tree);
      await store.importPath(tree, { name: "again" });
      const counts = await countStore(store);
      expect(counts).toMatchObject({ paths: 2, roots: 0, directories: 4, packs: 1 });
      const measured = await measureStore(store);
      const files = 12 + 18 + 2 * 700_001 + 6 + 7;
      expect(measured.fileBytes).toBe(2 * files);
      expect(measured.deduplication).toBeCloseTo((2 * files) / (files - 700_001), 5);
      expect(measured.narBytes).toBe(2 * 1_402_392);
    }));
  test("one percent of changes in a large file is stored as few new bytes", () =>
    withStore(fresh(), async (store) => {
      const bytes = pseudoRandomBytes(40_000_000, 11);
      const path = mention("large", [], bytes);
      await store.importPath(path);
      const before = (await measureStore(store)).chunkBytes;
      const edited = Buffer.concat([
        bytes.subarray(0, 20_000_000),
        Buffer.alloc(400_000, "x"),
        bytes.subarray(20_000_000),
      ]);
      writeFileSync(join(path, "data"), edited);
      await store.importPath(path, { name: "second" });
      expect((await measureStore(store)).chunkBytes - before).toBeLessThan(40_000_000 * 0.05);
    }));
});

describe("addresses", () => {
  test("are read, and unknown ones refused naming the known", () => {
    expect(parseAddress("/a/b")).toEqual({ kind: "local", directory: "/a/b" });
    expect(parseAddress("local:/a")).toEqual({ kind: "local", directory: "/a" });
    expect(parseAddress("file:///a%20b")).toEqual({ kind: "local", directory: "/a b" });
    expect(parseAddress("memory:")).toEqual({ kind: "memory" });
    expect(parseAddress("memory://")).toEqual({ kind: "memory" });
    expect(parseAddress("dir:/a")).toEqual({ kind: "object", directory: "/a" });
    expect(parseAddress("").kind).toBe("local");
    for (const text of ["s4://bucket", "memory:/x", "dir:", "file://host/x"]) {
      expect(() => parseAddress(text)).toThrow(expect.objectContaining({ code: "ERR_STORE_ADDRESS" }));
    }
  });
});

const nixStore = ["/usr/bin/nix-store", "/nix/var/nix/profiles/default/bin/nix-store"].find((path) => existsSync(path));
describe.skipIf(nixStore === undefined)("Nix itself, where it is installed (else skipped)", () => {
  const nix = (args: string[], input?: Uint8Array) =>
    execFileSync(nixStore ?? "", args, {
      ...(input && { input }),
      maxBuffer: 1 << 28,
      stdio: ["pipe", "pipe", "ignore"],
    });
  test("imports our exports, and we its: hashes and references equal", () =>
    withStore(fresh(), async (store) => {
      const { a, c } = await chain(store);
      const nixDirectory = fresh();
      const ours = await collectBytes(exportPaths(store, [c.path], { closure: true }));
      const imported = nix(["--store", nixDirectory, "--import"], ours).toString().trim().split("\n");
      expect(imported.sort()).toEqual((await closureOf(store, [c.path])).map((info) => info.path.absolute()).sort());
      const query = (what: string, path: StorePath) =>
        nix(["--store", nixDirectory, "--query", what, path.absolute()]).toString().trim();
      expect(query("--hash", c.path)).toBe(`sha256:${formatHash(nixHash("sha256", c.narSha256), "nix32")}`);
      expect(query("--requisites", c.path).split("\n")).toHaveLength(3);
      expect(query("--references", a.path)).toBe("");
      const theirs = nix(["--store", nixDirectory, "--export", ...imported]);
      await withStore(fresh(), async (back) => {
        const source = async function* () {
          yield new Uint8Array(theirs);
        };
        expect(names(await importStream(back, source()))).toEqual(["a", "b", "c"]);
        const info = await back.info(c.path);
        expect(info.narSha256).toEqual(c.narSha256);
        expect(names([...info.references])).toEqual(["b"]);
        expect(Buffer.compare(await collectBytes(exportPaths(back, [c.path], { closure: true })), ours)).toBe(0);
      });
    }));
  test("makes keys that sign as ours do", () =>
    withStore(fresh(), async (store) => {
      const files = [fresh(), fresh()] as const;
      nix(["--generate-binary-cache-key", "nix-made-1", ...files]);
      const key = await readSecretKey(files[0]);
      expect(publicKeyText(key)).toBe(readFileSync(files[1], "utf8").trim());
      const info = await store.importPath(tree);
      expect(trustOf(await signPath(store, info.path, key), [toPublicKey(key)])).toMatchObject({ by: "signature" });
      expect(fingerprintOf(info)).toBe(
        `1;${info.path.absolute()};sha256:${formatHash(nixHash("sha256", info.narSha256), "nix32")};${info.narSize};`,
      );
      expect(sourcePath({ name: "tree", narSha256: info.narSha256 }).basename).toBe(info.path.basename);
    }));
});
