import { readdirSync, writeFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { TvixError } from "../../lib/base/error.ts";
import { encodeUtf8 } from "../../lib/base/text.ts";
import { MemoryBlobService } from "../../lib/castore/blob/memory.ts";
import { digestHex, digestOf } from "../../lib/castore/digest.ts";
import { MemoryDirectoryService } from "../../lib/castore/directory/memory.ts";
import { PendingContents, type PendingFile } from "../../lib/castore/ingest/pending.ts";
import { ingestHost } from "../../lib/castore/ingest/portable.ts";
import { pseudoRandomBytes } from "../../lib/castore/testing.ts";

const base = await mkdtemp(join(tmpdir(), "tvix-ingest-"));
afterAll(() => rm(base, { recursive: true, force: true }));

/** Takes small blobs only. */
class RefusingBlobs extends MemoryBlobService {
  override openWrite(): never {
    throw new TvixError("ERR_STORE_READONLY", "no");
  }
}

describe("ingestion into any castore", () => {
  test.skipIf(process.platform !== "linux")("closes the file it reads when the store refuses it", async () => {
    const file = join(base, "large");
    writeFileSync(file, pseudoRandomBytes(400_000, 1));
    const castore = { blobs: new RefusingBlobs(), directories: new MemoryDirectoryService() };
    const openFiles = () => readdirSync("/proc/self/fd").length;
    await expect(ingestHost(castore, file)).rejects.toMatchObject({ code: "ERR_STORE_READONLY" });
    const before = openFiles();
    for (let i = 0; i < 5; i++) await expect(ingestHost(castore, file)).rejects.toThrow();
    expect(openFiles()).toBe(before);
  });

  test("tells every file its digest, whatever its size, and the reader may use its buffer again", async () => {
    const blobs = new MemoryBlobService();
    const contents = new PendingContents(blobs);
    const files: { file: PendingFile; bytes: Uint8Array }[] = [];
    for (const [i, size] of [0, 1, 262_144, 262_145, 1_000_000].entries()) {
      const bytes = pseudoRandomBytes(size, i);
      const file: PendingFile = { type: "file", executable: false, size, digest: undefined };
      files.push({ file, bytes });
      contents.start(file);
      for (let at = 0; at < size; at += 100_000) {
        const piece = bytes.slice(at, at + 100_000);
        await contents.write(piece);
        piece.fill(0);
      }
    }
    await contents.flush();
    for (const { file, bytes } of files)
      expect(digestHex(file.digest ?? digestOf(encodeUtf8("none")))).toBe(digestHex(digestOf(bytes)));
    expect(await blobs.has(files.map(({ bytes }) => digestOf(bytes)))).toEqual(files.map(() => true));
  });
});
