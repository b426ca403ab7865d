import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fc } from "../property.ts";
import { afterAll, describe, expect, test } from "vitest";
import { encodeUtf8 } from "../../lib/base/text.ts";
import { decodeStat, encodeStat, ObjectBlobService } from "../../lib/castore/blob/object.ts";
import { readBlob } from "../../lib/castore/blob/range.ts";
import { digestHex, digestOf, EMPTY_DIGEST } from "../../lib/castore/digest.ts";
import { ObjectDirectoryService } from "../../lib/castore/directory/object.ts";
import { ingestTree } from "../../lib/castore/ingest/portable.ts";
import { DirObjectStore } from "../../lib/castore/object/dir.ts";
import { checkKey } from "../../lib/castore/object/service.ts";
import { compress, decompress, decompressPortably } from "../../lib/castore/object/zstd.ts";
import { blobServiceContract, directoryServiceContract, pseudoRandomBytes } from "../../lib/castore/testing.ts";

const base = await mkdtemp(join(tmpdir(), "tvix-object-"));
let count = 0;
const fresh = () => join(base, String(count++));
afterAll(() => rm(base, { recursive: true, force: true }));

blobServiceContract("objects in a directory", { describe, test }, async () => ({
  service: new ObjectBlobService(await DirObjectStore.open(fresh())),
  close: async () => {},
}));
directoryServiceContract("objects in a directory", { describe, test }, async () => ({
  service: new ObjectDirectoryService(await DirObjectStore.open(fresh())),
  close: async () => {},
}));

describe("the layout of objects", () => {
  test("is that of the protocol: sharded by two bytes, chunks and lists apart, one object per closure", async () => {
    const objects = await DirObjectStore.open(fresh());
    const castore = { blobs: new ObjectBlobService(objects), directories: new ObjectDirectoryService(objects) };
    const small = encodeUtf8("Hello World!");
    const large = pseudoRandomBytes(1_000_000, 5);
    const root = await ingestTree(castore, { entries: { a: small, b: { entries: { c: large } } } });
    const keys: string[] = [];
    for await (const key of objects.list("")) keys.push(key);
    const hello = "5ca7815adcb484e9a136c11efe69c1d530176d549b5d18d038eb5280b4b3470c";
    expect(keys).toContain(`chunks/b3/5ca7/${hello}`);
    expect(keys).not.toContain(`blobs/b3/5ca7/${hello}`);
    const list = await objects.get(`blobs/b3/${digestHex(digestOf(large)).slice(0, 4)}/${digestHex(digestOf(large))}`);
    const chunks = decodeStat(list ?? new Uint8Array(0));
    expect(chunks.reduce((sum, chunk) => sum + chunk.size, 0)).toBe(large.length);
    expect(encodeStat(chunks)).toEqual(list);
    expect(keys.filter((key) => key.startsWith("dirs/"))).toHaveLength(1);
    if (root.type !== "directory") throw new Error("not a directory");
    expect(await castore.directories.get(root.digest)).toBeDefined();
  });
  test("damaged objects are errors that name what is damaged", async () => {
    const directory = fresh();
    const objects = await DirObjectStore.open(directory);
    const blobs = new ObjectBlobService(objects);
    const [digest = EMPTY_DIGEST] = await blobs.put([encodeUtf8("Hello World!")]);
    const path = join(directory, "chunks/b3/5ca7", digestHex(digest));
    await writeFile(path, await compress(encodeUtf8("hello world!")));
    await expect(readBlob(blobs, digest)).rejects.toMatchObject({ code: "ERR_CASTORE_CORRUPT" });
    await writeFile(path, "no frame");
    await expect(readBlob(blobs, digest)).rejects.toMatchObject({ code: "ERR_ZSTD" });
  });
  test("keys cannot leave the directory", () => {
    for (const key of ["", "..", "a/../b", "/a", "a//b", "a/.b", "a\0", "ä"]) {
      expect(() => checkKey(key)).toThrow(expect.objectContaining({ code: "ERR_OBJECT_KEY" }));
    }
    expect(checkKey("chunks/b3/5ca7/x.y_z-0")).toBe("chunks/b3/5ca7/x.y_z-0");
  });
});

describe("zstd", () => {
  const same = (a: Uint8Array, b: Uint8Array) => Buffer.compare(a, b) === 0;
  const cases = [new Uint8Array(0), encodeUtf8("x"), encodeUtf8("text ".repeat(9999)), pseudoRandomBytes(400_001, 2)];
  test.each(cases.map((bytes) => [bytes.length, bytes] as const))("%d bytes round trip", async (_length, bytes) => {
    const frame = await compress(bytes);
    expect(same(await decompress(frame, 1 << 20), bytes)).toBe(true);
    expect(same(await decompressPortably(frame, 1 << 20), bytes)).toBe(true);
  });
  test("repeats take little room", async () => {
    expect((await compress(encodeUtf8("text ".repeat(9999)))).length).toBeLessThan(100);
  });
  test("frames may follow one another; contents are bounded, announced or not", async () => {
    const two = Uint8Array.of(...(await compress(encodeUtf8("ab"))), ...(await compress(encodeUtf8("cd"))));
    expect(await decompressPortably(two, 4)).toEqual(encodeUtf8("abcd"));
    await expect(decompressPortably(two, 3)).rejects.toMatchObject({ code: "ERR_ZSTD" });
    const bomb = await compress(new Uint8Array(50 << 20));
    expect(bomb.length).toBeLessThan(10_000);
    await expect(decompress(bomb, 1 << 20)).rejects.toMatchObject({ code: "ERR_ZSTD" });
    await expect(decompressPortably(bomb, 1 << 20)).rejects.toMatchObject({ code: "ERR_ZSTD" });
  });
  test("raw and repeated blocks, frames with a window or a checksum are read; large windows are not", async () => {
    const frame = Uint8Array.of(0x28, 0xb5, 0x2f, 0xfd, 0x04, 0x58, (5 << 3) | 3, 0, 0, 0x61, 1, 2, 3, 4);
    expect(await decompressPortably(frame, 10)).toEqual(encodeUtf8("aaaaa"));
    frame[5] = 0xa0;
    await expect(decompressPortably(frame, 10)).rejects.toMatchObject({ code: "ERR_ZSTD" });
  });
  test("any bytes are either frames or an error", async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 300 }), fc.nat(400), fc.nat(255), async (bytes, at, value) => {
        const frame = (await compress(Uint8Array.of(...bytes, ...bytes))).slice();
        frame[at % frame.length] = value;
        for (const decode of [decompress, decompressPortably]) {
          try {
            expect(await decode(frame, 1 << 20)).toBeInstanceOf(Uint8Array);
          } catch (error) {
            expect((error as { code?: string }).code).toMatch(/^ERR_ZSTD/);
          }
        }
      }),
    );
  });
});
