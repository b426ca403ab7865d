// Pack files: what is written is read back verified, damage is named, crashes and full disks lose nothing.
import { spawnSync } from "node:child_process";
import {
  appendFileSync,
  closeSync,
  ftruncateSync,
  openSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { blake3 } from "@noble/hashes/blake3.js";
import { describe, expect, onTestFinished, test } from "vitest";
import { concatBytes, equalBytes } from "../../lib/base/bytes.ts";
import { type PackExtents, PackReader, type PackScan, PackWriter, scanPack } from "../../lib/native/pack.ts";
import { noise, temporary } from "./trees.ts";

const dir = temporary();
let serial = 0;
const fresh = (): string => join(dir, `${serial++}.pack`);
const digestsOf = (chunks: readonly Uint8Array[]): Uint8Array => concatBytes(chunks.map((chunk) => blake3(chunk)));

async function written(path: string, chunks: readonly Uint8Array[]): Promise<PackExtents> {
  const writer = await PackWriter.open(path);
  const digests = digestsOf(chunks);
  const offsets = await writer.append(chunks, digests);
  await writer.sync();
  await writer.close();
  return { offsets, lengths: Uint32Array.from(chunks, (chunk) => chunk.length), digests };
}

async function scanned(path: string): Promise<PackScan[]> {
  const all: PackScan[] = [];
  for await (const batch of scanPack(path)) all.push(batch);
  return all;
}

const chunks = [1, 2, 4056, 4057, 100_000, 17].map((size, i) => noise(size, i));

describe("writing and reading", () => {
  test("chunks come back, in one call and one by one", async () => {
    const path = fresh();
    const extents = await written(path, chunks);
    const reader = PackReader.open(path);
    expect(equalBytes(await reader.read(extents), concatBytes(chunks))).toBe(true);
    const into = new Uint8Array(200_000);
    const part = await reader.read(extents, into);
    expect(part.buffer).toBe(into.buffer);
    expect(equalBytes(part, concatBytes(chunks))).toBe(true);
    for (const [i, chunk] of chunks.entries()) {
      const digest = extents.digests.subarray(32 * i, 32 * i + 32);
      const offset = extents.offsets[i] as number;
      expect(equalBytes(reader.readSync(offset, chunk.length, digest), chunk)).toBe(true);
      const range = new Uint8Array(Math.ceil(chunk.length / 2));
      for (let twice = 0; twice < 2; twice++) {
        reader.readRangeSync(offset, chunk.length, digest, chunk.length - range.length, range);
        expect(equalBytes(range, chunk.subarray(chunk.length - range.length))).toBe(true);
      }
      expect(() => reader.readRangeSync(offset, chunk.length, digest, 1, new Uint8Array(chunk.length))).toThrow(
        RangeError,
      );
    }
    reader.close();
    await expect(async () => await reader.read(extents)).rejects.toMatchObject({ code: "ERR_PACK_CLOSED" });
  });

  test("more than the buffers hold, over many syncs; what was synced is never written again", async () => {
    const path = fresh();
    const writer = await PackWriter.open(path);
    const big = Array.from({ length: 12 }, (_, i) => noise(1_000_003, i));
    const digests = digestsOf(big);
    const offsets = new Float64Array(big.length);
    let before = new Uint8Array(0);
    for (let i = 0; i < big.length; i += 3) {
      offsets.set(await writer.append(big.slice(i, i + 3), digests.subarray(32 * i, 32 * i + 96)), i);
      await writer.sync();
      const now = readFileSync(path);
      expect(now.length).toBe(writer.size);
      expect(now.length % 4096).toBe(0);
      expect(equalBytes(now.subarray(0, before.length), before)).toBe(true);
      before = now;
    }
    await writer.sync();
    expect(statSync(path).size).toBe(before.length);
    await writer.close();
    const reader = PackReader.open(path);
    const lengths = Uint32Array.from(big, (chunk) => chunk.length);
    expect(equalBytes(await reader.read({ offsets, lengths, digests }), concatBytes(big))).toBe(true);
    const [batch] = await scanned(path);
    expect(batch).toEqual({ offsets, lengths, digests, intact: new Uint8Array(12).fill(1) });
  });

  test("reopened for appending, the pack goes on behind what is there, also after a torn tail", async () => {
    const path = fresh();
    const first = await written(path, chunks);
    appendFileSync(path, noise(5000, 99));
    const second = await written(path, chunks);
    expect(second.offsets[0]).toBeGreaterThan(statSync(path).size / 2 - 4096);
    const batches = await scanned(path);
    expect(batches.flatMap((batch) => [...batch.offsets])).toEqual([...first.offsets, ...second.offsets]);
    expect(batches.every((batch) => batch.intact.every((flag) => flag === 1))).toBe(true);
  });

  test("copy moves chunks verified to another pack", async () => {
    const path = fresh();
    const extents = await written(path, chunks);
    const reader = PackReader.open(path);
    const target = fresh();
    const writer = await PackWriter.open(target);
    const pick = [4, 0, 5];
    const picked: PackExtents = {
      offsets: Float64Array.from(pick, (i) => extents.offsets[i] as number),
      lengths: Uint32Array.from(pick, (i) => extents.lengths[i] as number),
      digests: concatBytes(pick.map((i) => extents.digests.subarray(32 * i, 32 * i + 32))),
    };
    const offsets = await writer.copy(reader, picked);
    await writer.sync();
    await writer.close();
    const copied = await PackReader.open(target).read({ ...picked, offsets });
    expect(equalBytes(copied, concatBytes(pick.map((i) => chunks[i] as Uint8Array)))).toBe(true);
    const wrong = { ...picked, digests: picked.digests.map((byte) => byte ^ 1) };
    const other = await PackWriter.open(fresh());
    await expect(other.copy(reader, wrong)).rejects.toMatchObject({ code: "ERR_PACK_CORRUPT" });
    await other.close();
  });
});

describe("damage", () => {
  test("any flipped byte of a record is found, by the read and by the scan", async () => {
    const path = fresh();
    const extents = await written(path, chunks);
    const good = readFileSync(path);
    for (const at of [
      extents.offsets[3] as number,
      (extents.offsets[4] as number) + 99_999,
      extents.offsets[0] as number,
    ]) {
      const bad = Uint8Array.from(good);
      bad[at] = (bad[at] as number) ^ 4;
      writeFileSync(path, bad);
      await expect(PackReader.open(path).read(extents)).rejects.toMatchObject({
        code: "ERR_PACK_CORRUPT",
        message: expect.stringContaining(path),
      });
      const batches = await scanned(path);
      const intact = batches.flatMap((batch) => [...batch.intact]);
      expect(intact.filter((flag) => flag === 0).length).toBe(1);
      expect(intact.length).toBe(chunks.length);
    }
    writeFileSync(path, good);
    expect((await PackReader.open(path).read(extents)).length).toBeGreaterThan(0);
  });

  test("a damaged head loses its record, and the next sync's records are found again", async () => {
    const path = fresh();
    const first = await written(path, chunks);
    const second = await written(path, chunks);
    const bytes = readFileSync(path);
    bytes[(first.offsets[2] as number) - 40] = 0xff;
    bytes[(first.offsets[2] as number) - 37] = 0xff;
    writeFileSync(path, bytes);
    const offsets = (await scanned(path)).flatMap((batch) => [...batch.offsets]);
    expect(offsets).not.toContain(first.offsets[2]);
    for (const offset of [first.offsets[0], first.offsets[1], ...second.offsets]) expect(offsets).toContain(offset);
  });

  test("a pack cut short", async () => {
    const path = fresh();
    const extents = await written(path, chunks);
    const fd = openSync(path, "r+");
    ftruncateSync(fd, extents.offsets[4]);
    closeSync(fd);
    await expect(PackReader.open(path).read(extents)).rejects.toMatchObject({ code: "ERR_PACK_CORRUPT" });
    expect((await scanned(path)).flatMap((batch) => [...batch.offsets])).toEqual([...extents.offsets].slice(0, 4));
  });

  test("what is no pack, a newer one, an interrupted creation", async () => {
    const path = fresh();
    expect(() => PackReader.open(path)).toThrowError(expect.objectContaining({ code: "ERR_PACK_MISSING" }));
    writeFileSync(path, noise(10_000, 1));
    expect(() => PackReader.open(path)).toThrowError(expect.objectContaining({ code: "ERR_PACK_FORMAT" }));
    await expect(PackWriter.open(path)).rejects.toMatchObject({ code: "ERR_PACK_FORMAT" });
    await written(fresh(), chunks);
    const newer = Buffer.alloc(4096);
    newer.write("tvixpack");
    newer[8] = 2;
    writeFileSync(path, newer);
    expect(() => PackReader.open(path)).toThrowError(expect.objectContaining({ code: "ERR_PACK_FORMAT" }));
    await expect(PackWriter.open(path)).rejects.toMatchObject({ code: "ERR_PACK_FORMAT" });
    for (const rest of [Buffer.alloc(0), Buffer.from("tvix"), Buffer.alloc(4096)]) {
      writeFileSync(path, rest);
      await written(path, chunks);
      expect((await scanned(path)).length).toBe(1);
      rmSync(path);
    }
  });
});

describe("one writer, and disks that fail", () => {
  test("a second writer is refused while the first is open", async () => {
    const path = fresh();
    const writer = await PackWriter.open(path);
    await expect(PackWriter.open(path)).rejects.toMatchObject({ code: "ERR_PACK_LOCKED" });
    await writer.close();
    await expect(writer.sync()).rejects.toMatchObject({ code: "ERR_PACK_CLOSED" });
    await expect(writer.append([noise(1, 1)], new Uint8Array(32))).rejects.toMatchObject({ code: "ERR_PACK_CLOSED" });
    await (await PackWriter.open(path)).close();
  });

  test("a full disk fails sync and all that follows, and the pack can be gone on with later", async () => {
    const mount = join(dir, "full");
    const mounted =
      spawnSync("sh", ["-c", `mkdir ${mount} && mount -t tmpfs -o size=256k tmpfs ${mount}`]).status === 0;
    if (!mounted) {
      console.warn("SKIPPING the full disk: no right to mount a tmpfs");
      return;
    }
    onTestFinished(() => {
      spawnSync("umount", ["-l", mount]);
    });
    const path = join(mount, "0.pack");
    const kept = await written(path, chunks);
    const writer = await PackWriter.open(path);
    const big = [noise(1 << 20, 1)];
    await writer.append(big, digestsOf(big));
    await expect(writer.sync()).rejects.toMatchObject({ code: "ERR_PACK_FULL" });
    await expect(writer.append(big, digestsOf(big))).rejects.toMatchObject({ code: "ERR_PACK_FULL" });
    await writer.close();
    expect((await PackReader.open(path).read(kept)).length).toBeGreaterThan(0);
    const fd = openSync(path, "r+");
    ftruncateSync(fd, 128 * 1024);
    writeSync(fd, Buffer.alloc(1), 0, 1, 128 * 1024);
    closeSync(fd);
    const after = await written(path, [noise(10, 1)]);
    expect((await PackReader.open(path).read(after)).length).toBe(10);
  });
});
