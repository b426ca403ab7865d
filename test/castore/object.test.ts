import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, describe, expect, test } from "vitest";
import { encodeUtf8 } from "../../lib/base/text.ts";
import { decodeStat, encodeStat, ObjectBlobService } from "../../lib/castore/blob/object.ts";
import { readBlob } from "../../lib/castore/blob/range.ts";
import { digestHex, digestOf, EMPTY_DIGEST } from "../../lib/castore/digest.ts";
import { ObjectDirectoryService } from "../../lib/castore/directory/object.ts";
import { ingestTree } from "../../lib/castore/ingest/portable.ts";
import { DirObjectStore } from "../../lib/castore/object/dir.ts";
import { checkKey } from "../../lib/castore/object/service.ts";
import { compress, decompress, readStoredFrames, storeFrame } from "../../lib/castore/object/zstd.ts";
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
    expect(keys).toContain(`blobs/b3/5ca7/${hello}`);
    expect(await objects.get(`blobs/b3/5ca7/${hello}`)).toEqual(new Uint8Array(0));
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
    await writeFile(path, compress(encodeUtf8("hello world!")));
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
  const cases = [new Uint8Array(0), encodeUtf8("x"), pseudoRandomBytes(131_072, 1), pseudoRandomBytes(400_001, 2)];
  test.each(cases.map((bytes) => [bytes.length, bytes] as const))("frames of %d bytes round trip", (_length, bytes) => {
    expect(decompress(compress(bytes), 1 << 20)).toEqual(bytes);
    expect(readStoredFrames(storeFrame(bytes), 1 << 20)).toEqual(bytes);
    expect(decompress(storeFrame(bytes), 1 << 20)).toEqual(bytes);
  });
  test("frames may follow one another; contents are bounded", () => {
    const two = Uint8Array.of(...storeFrame(encodeUtf8("ab")), ...storeFrame(encodeUtf8("cd")));
    expect(readStoredFrames(two, 4)).toEqual(encodeUtf8("abcd"));
    expect(() => readStoredFrames(two, 3)).toThrow(expect.objectContaining({ code: "ERR_ZSTD" }));
  });
  test("repeated blocks, frames with a window or a checksum are read", () => {
    const frame = Uint8Array.of(0x28, 0xb5, 0x2f, 0xfd, 0x04, 0x58, (5 << 3) | 3, 0, 0, 0x61, 1, 2, 3, 4);
    expect(readStoredFrames(frame, 10)).toEqual(encodeUtf8("aaaaa"));
  });
  test("any bytes are either frames or an error", () => {
    fc.assert(
      fc.property(fc.uint8Array(), fc.nat(40), fc.nat(255), (bytes, at, value) => {
        const frame = storeFrame(bytes);
        frame[at % frame.length] = value;
        try {
          expect(readStoredFrames(frame, 1 << 20)).toBeInstanceOf(Uint8Array);
        } catch (error) {
          expect((error as { code?: string }).code).toMatch(/^ERR_ZSTD/);
        }
      }),
    );
  });
});
