import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { equalBytes } from "../../lib/base/bytes.ts";
import { encodeUtf8 } from "../../lib/base/text.ts";
import { readBlob } from "../../lib/castore/blob/range.ts";
import type { ChunkMeta } from "../../lib/castore/blob/service.ts";
import { type Digest, digestOf, digestText } from "../../lib/castore/digest.ts";
import { LocalIndex } from "../../lib/castore/local/index.ts";
import { decodeLocation, encodeLocation } from "../../lib/castore/local/packs.ts";
import { LocalStore } from "../../lib/castore/local/store.ts";
import { blobServiceContract, directoryServiceContract, pseudoRandomBytes } from "../../lib/castore/testing.ts";

const base = await mkdtemp(join(tmpdir(), "tvix-local-"));
let count = 0;
const fresh = () => join(base, String(count++));
afterAll(() => rm(base, { recursive: true, force: true }));

blobServiceContract("local", { describe, test }, async () => {
  const store = await LocalStore.open(fresh());
  return { service: store.blobs, close: () => store.close() };
});
directoryServiceContract("local", { describe, test }, async () => {
  const store = await LocalStore.open(fresh());
  return { service: store.directories, close: () => store.close() };
});

describe("ranges", () => {
  test("touch the chunks they cover and no other", async () => {
    const directory = fresh();
    const writer = await LocalStore.open(directory);
    const contents = pseudoRandomBytes(3_000_000, 11);
    const [digest] = await writer.blobs.put([contents]);
    const chunks = (await writer.blobs.chunks(digest as Digest)) ?? [];
    expect(chunks.length).toBeGreaterThan(5);
    const damaged = chunks[2] as ChunkMeta;
    const { pack, offset } = writer.blobs.place(damaged);
    await writer.close();
    const path = join(directory, "packs", `${String(pack).padStart(6, "0")}.pack`);
    const bytes = await readFile(path);
    bytes[offset + 1000] = (bytes[offset + 1000] ?? 0) ^ 1;
    await writeFile(path, bytes);
    const store = await LocalStore.open(directory);
    const reader = store.blobs.openReadSync(digest as Digest);
    const first = chunks[0]?.size ?? 0;
    const second = first + (chunks[1]?.size ?? 0);
    const after = second + damaged.size;
    for (const [from, to] of [
      [0, second],
      [after, contents.length],
      [first - 5, first + 5],
      [after, after + 4096],
    ] as const) {
      expect(equalBytes((await reader?.read(from, to - from)) ?? bytes, contents.subarray(from, to))).toBe(true);
    }
    for (const [from, to] of [
      [second, second + 1],
      [after - 1, after],
      [0, contents.length],
    ] as const) {
      await expect(reader?.read(from, to - from)).rejects.toMatchObject({
        code: "ERR_CASTORE_CORRUPT",
        message: expect.stringContaining(digestText(damaged.digest)),
      });
    }
    await store.close();
  });
});

describe("streams", () => {
  test("use their buffers again only when told to, and not while a piece is needed", async () => {
    const store = await LocalStore.open(fresh());
    const contents = pseudoRandomBytes(24_000_000, 7);
    const [digest] = await store.blobs.put([contents]);
    const reader = store.blobs.openReadSync(digest as Digest);
    expect(reader).toBeDefined();
    for (const recycle of [false, true]) {
      const pieces: Uint8Array[] = [];
      let at = 0;
      for await (const piece of reader?.stream(0, contents.length, recycle) ?? []) {
        const before = pieces.at(-1);
        if (before) expect(equalBytes(before, contents.subarray(at - before.length, at))).toBe(true);
        expect(equalBytes(piece, contents.subarray(at, at + piece.length))).toBe(true);
        pieces.push(piece);
        at += piece.length;
      }
      expect(at).toBe(contents.length);
      const buffers = new Set(pieces.map((piece) => piece.buffer)).size;
      if (recycle) expect(buffers).toBeLessThan(pieces.length);
      else expect(buffers).toBe(pieces.length);
    }
    await store.close();
  });
});

describe("the index", () => {
  test("keeps views of larger buffers as they are", async () => {
    const index = await LocalIndex.open(fresh(), false);
    const table = index.table("test");
    const key = encodeUtf8("xxkeyxx").subarray(2, 5);
    const value = encodeUtf8("xxvaluexx").subarray(2, 7);
    index.write(() => table.putSealed(key, value));
    expect(new TextDecoder().decode(table.getSealed(encodeUtf8("key")))).toBe("value");
    expect([...table.entries()].map((entry) => new TextDecoder().decode(entry.key))).toEqual(["key"]);
    await index.close();
  });
  test("pages through more entries than a page", async () => {
    const index = await LocalIndex.open(fresh(), false);
    const table = index.table("test");
    index.write(() => {
      for (let i = 0; i < 3000; i++) table.put(encodeUtf8(String(i).padStart(5, "0")), encodeUtf8(`v${i}`));
    });
    const values = [...table.entries()].map((entry) => new TextDecoder().decode(entry.value));
    expect(values).toEqual(Array.from({ length: 3000 }, (_, i) => `v${i}`));
    expect(table.count).toBe(3000);
    await index.close();
  });
  test("forgets what a failed transaction wrote", async () => {
    const index = await LocalIndex.open(fresh(), false);
    const table = index.table("test");
    expect(() =>
      index.write(() => {
        table.put(encodeUtf8("a"), encodeUtf8("b"));
        throw new Error("no");
      }),
    ).toThrow("no");
    expect(table.has(encodeUtf8("a"))).toBe(false);
    await index.close();
  });
  test("refuses a newer format, for writing and for reading, and leaves it as it is", async () => {
    const directory = fresh();
    const index = await LocalIndex.open(directory, false);
    index.write(() => index.table("meta").putSealed(encodeUtf8("format"), encodeUtf8("2")));
    await index.close();
    const before = await readFile(join(directory, "index.lmdb/data.mdb"));
    const newer = { code: "ERR_STORE_VERSION", message: expect.stringContaining("2") };
    await expect(LocalStore.open(directory)).rejects.toMatchObject(newer);
    await expect(LocalStore.open(directory, { readOnly: true })).rejects.toMatchObject(newer);
    expect(Buffer.compare(await readFile(join(directory, "index.lmdb/data.mdb")), before)).toBe(0);
    expect(await readdir(directory)).toEqual(["index.lmdb"]);
  });
  test("locations round trip and nonsense is refused", () => {
    const location = { pack: 4_000_000_000, offset: 2 ** 52 + 12_345, length: 2 ** 30 };
    expect(decodeLocation(encodeLocation(location.pack, location.offset, location.length))).toEqual(location);
    expect(decodeLocation(new Uint8Array(15))).toBeUndefined();
    expect(decodeLocation(new Uint8Array(16).fill(255))).toBeUndefined();
  });
});

describe("a local store", () => {
  test("opens again with what was acknowledged", async () => {
    const directory = fresh();
    const large = pseudoRandomBytes(1_500_000, 3);
    const first = await LocalStore.open(directory);
    const [digest] = await first.blobs.put([large]);
    await first.close();
    const again = await LocalStore.open(directory);
    expect(Buffer.compare(await readBlob(again.blobs, digest ?? digestOf(large)), large)).toBe(0);
    // The next process goes on in the same pack.
    await again.blobs.put([encodeUtf8("more")]);
    await again.close();
    expect(await readdir(join(directory, "packs"))).toEqual(["000000.pack"]);
  });
  test("stores a chunk once", async () => {
    const store = await LocalStore.open(fresh());
    const large = pseudoRandomBytes(1_500_000, 4);
    await store.blobs.put([large, large]);
    const size = (await store.packs.take()).writer.size;
    await store.blobs.put([large]);
    const pack = await store.packs.take();
    expect(pack.writer.size).toBe(size);
    expect(size).toBeLessThan(1_600_000);
    await store.close();
  });
  test("two opened in one process write to packs of their own and see each other's blobs", async () => {
    const directory = fresh();
    const a = await LocalStore.open(directory);
    const b = await LocalStore.open(directory);
    const bytes = encodeUtf8("shared");
    await a.blobs.put([encodeUtf8("first")]);
    await b.blobs.put([bytes]);
    expect(await a.blobs.has([digestOf(bytes)])).toEqual([true]);
    expect(await readBlob(a.blobs, digestOf(bytes))).toEqual(bytes);
    expect(await readdir(join(directory, "packs"))).toEqual(["000000.pack", "000001.pack"]);
    await a.close();
    await b.close();
  });
  test("is not made where it is only to be read", async () => {
    await expect(LocalStore.open(fresh(), { readOnly: true })).rejects.toMatchObject({ code: "ERR_STORE_MISSING" });
  });
  test("opened for reading reads and refuses writes", async () => {
    const directory = fresh();
    const writer = await LocalStore.open(directory);
    const [digest] = await writer.blobs.put([encodeUtf8("x")]);
    await writer.close();
    const reader = await LocalStore.open(directory, { readOnly: true });
    expect(await readBlob(reader.blobs, digest ?? digestOf(new Uint8Array(0)))).toEqual(encodeUtf8("x"));
    await expect(reader.blobs.put([encodeUtf8("y")])).rejects.toMatchObject({ code: "ERR_STORE_READONLY" });
    await reader.close();
  });
});
