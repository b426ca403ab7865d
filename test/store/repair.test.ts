import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { collectBytes } from "../../lib/castore/blob/range.ts";
import { digestText } from "../../lib/castore/digest.ts";
import { encodeLocation } from "../../lib/castore/local/packs.ts";
import { openStore } from "../../lib/store/open.ts";
import type { Store } from "../../lib/store/store.ts";
import { verifyStore } from "../../lib/store/verify.ts";
import { makeTree, scratch } from "./fixture.ts";

const { base, fresh } = scratch("repair");
const tree = makeTree(join(base, "tree"));

async function withStore<T>(address: string, body: (store: Store) => Promise<T>): Promise<T> {
  const store = await openStore(address);
  try {
    return await body(store);
  } finally {
    await store.close();
  }
}

/** A store with the tree, whose chunks have each a byte flipped. */
async function damaged(): Promise<string> {
  const directory = fresh();
  await withStore(directory, (store) => store.importPath(tree));
  for (const name of readdirSync(join(directory, "packs"))) {
    const path = join(directory, "packs", name);
    const bytes = readFileSync(path);
    for (const word of ["Hello World!", "umlaut", "#!/bin/sh"]) {
      const at = bytes.indexOf(word);
      bytes[at] = (bytes[at] ?? 0) ^ 1;
    }
    // In the midst of the large file.
    bytes[400_000] = (bytes[400_000] ?? 0) ^ 1;
    writeFileSync(path, bytes);
  }
  return directory;
}

describe("repair", () => {
  test("without a source says what is lost and changes nothing", async () => {
    await withStore(await damaged(), async (store) => {
      const { damage } = await verifyStore(store, { repair: true });
      expect(damage.filter((one) => one.kind === "chunk")).toHaveLength(4);
      expect(damage.filter((one) => one.kind === "blob")).toHaveLength(1);
      expect(damage.filter((one) => one.kind === "path-info")).toHaveLength(1);
      expect(damage.some((one) => one.repaired)).toBe(false);
      expect((await verifyStore(store)).damage).toEqual(damage);
    });
  });
  test.each([
    ["local", fresh],
    ["memory", () => "memory:"],
  ])("fetches what is lost from another store: %s", async (_kind, address) => {
    await withStore(address(), async (source) => {
      const { path } = await source.importPath(tree);
      await withStore(await damaged(), async (store) => {
        const first = await verifyStore(store, { repair: true, source });
        expect(first.damage.length).toBeGreaterThan(0);
        expect((await verifyStore(store)).damage).toEqual([]);
        for await (const piece of store.nar(path.basename)) expect(piece.length).toBeGreaterThan(0);
      });
    });
  });
  test("an entry that leads to no pack is named by whatever reads through it", async () => {
    await withStore(fresh(), async (store) => {
      const { path } = await store.importPath(tree);
      const { castore } = store.requireLocal("test");
      const { node } = await store.locate(`${path.basename}/hello`);
      if (node.type !== "file") throw new Error("hello is a file");
      castore.index.write(() => castore.index.chunks.put(node.digest, encodeLocation(32_768, 4096, node.size)));
      const named = { code: "ERR_CASTORE_CORRUPT", message: expect.stringContaining(digestText(node.digest)) };
      await expect(store.readFile(`${path.basename}/hello`)).rejects.toMatchObject(named);
      await expect(collectBytes(store.nar(path.basename))).rejects.toMatchObject(named);
      const { damage } = await verifyStore(store, { nars: false });
      expect(damage).toContainEqual(expect.objectContaining({ kind: "chunk", object: digestText(node.digest) }));
    });
  });
  test("finds an older copy in the packs", async () => {
    await withStore(fresh(), async (store) => {
      await store.importPath(tree);
      const { castore } = store.requireLocal("test");
      // The index forgets its chunks; importing appends them again and leaves the former as dead records.
      const keys = [...castore.index.chunks.entries()].map((entry) => entry.key);
      castore.index.write(() => {
        for (const key of keys) castore.index.chunks.remove(key);
      });
      expect((await verifyStore(store, { nars: false })).damage.length).toBeGreaterThan(0);
      await verifyStore(store, { repair: true });
      expect((await verifyStore(store)).damage).toEqual([]);
    });
  });
  test("mends directories and path infos, and forgets damaged memories of NARs", async () => {
    await withStore("memory:", async (source) => {
      const info = await source.importPath(tree);
      await withStore(fresh(), async (store) => {
        await store.importPath(tree);
        const local = store.requireLocal("test");
        const { index } = local.castore;
        index.write(() => {
          for (const { key, value } of index.directories.entries()) {
            if (value.length > 0) index.directories.put(key, value.slice(1));
          }
          local.pathInfos.table.put(info.path.digest, new Uint8Array(40));
          local.narIndex.table.put(info.narSha256, new Uint8Array(40));
        });
        await expect(store.info(info.path)).rejects.toMatchObject({ code: "ERR_STORE_INDEX" });
        const { damage } = await verifyStore(store, { repair: true, source });
        expect(new Set(damage.map((one) => one.kind))).toEqual(new Set(["directory", "path-info", "nar"]));
        expect((await verifyStore(store)).damage).toEqual([]);
        expect((await store.info(info.path)).narSize).toBe(info.narSize);
      });
    });
  });
});
