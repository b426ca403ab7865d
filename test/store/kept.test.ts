// What is kept of what goes to a far castore: the same services, and nothing is asked of the far one that went by here.
import { describe, expect, test, vi } from "vitest";
import { MemoryBlobService } from "../../lib/castore/blob/memory.ts";
import { readBlob } from "../../lib/castore/blob/range.ts";
import { MemoryDirectoryService } from "../../lib/castore/directory/memory.ts";
import { blobServiceContract, directoryServiceContract, pseudoRandomBytes } from "../../lib/castore/testing.ts";
import { KeptCastore } from "../../lib/store/nar/kept.ts";
import { Spool } from "../../lib/store/nar/spool.ts";

const far = () => ({ blobs: new MemoryBlobService(), directories: new MemoryDirectoryService() });

for (const memory of [0, 1 << 16, 1 << 30]) {
  blobServiceContract(`kept, ${memory} bytes in memory`, { describe, test }, async () => {
    const kept = new KeptCastore(far(), memory);
    return { service: kept.blobs, close: () => kept.close() };
  });
}
directoryServiceContract("kept", { describe, test }, async () => ({
  service: new KeptCastore(far()).directories,
  close: async () => {},
}));

test("blobs written at the same time are told apart, in memory and beyond", async () => {
  const there = far();
  const kept = new KeptCastore(there, 100_000);
  const blobs = Array.from({ length: 40 }, (_, i) => pseudoRandomBytes(10_000 + i, i));
  const writeSlowly = async (bytes: Uint8Array) => {
    const writer = kept.blobs.openWrite();
    for (let at = 0; at < bytes.length; at += 999) await writer.write(bytes.subarray(at, at + 999));
    return await writer.close();
  };
  const digests = await Promise.all(
    blobs.map(async (bytes, i) =>
      i % 3 === 0 ? await writeSlowly(bytes) : ((await kept.blobs.put([bytes]))[0] as never),
    ),
  );
  const openRead = vi.spyOn(there.blobs, "openRead");
  const read = await Promise.all(digests.map((digest) => readBlob(kept.blobs, digest)));
  read.forEach((bytes, i) => expect(Buffer.compare(bytes, blobs[i] as Uint8Array)).toBe(0));
  expect(openRead.mock.calls.length).toBe(0);
  await kept.close();
  await kept.close();
});

test("a spool is read anywhere, in its file and in memory", async () => {
  const bytes = pseudoRandomBytes(50_000, 1);
  for (const memory of [0, 20_000, 1 << 20]) {
    const spool = new Spool(memory);
    for (let at = 0; at < bytes.length; at += 7000) await spool.write(bytes.subarray(at, at + 7000));
    for (const [at, length] of [
      [0, 50_000],
      [1, 6999],
      [6999, 2],
      [35_000, 15_000],
      [49_999, 1],
      [5, 0],
    ] as const) {
      expect(Buffer.compare(await spool.read(at, length), bytes.subarray(at, at + length))).toBe(0);
    }
    await spool.close();
  }
});
