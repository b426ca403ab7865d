// What is fetched before it is asked for: windows of a file that is read in order, directories below one, files beside one.
import { mkdirSync, writeFileSync } from "node:fs";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { equalBytes } from "../../lib/base/bytes.ts";
import { digestKey } from "../../lib/castore/digest.ts";
import type { BlobReader } from "../../lib/castore/blob/service.ts";
import { MemoryBlobService } from "../../lib/castore/blob/memory.ts";
import { MemoryDirectoryService } from "../../lib/castore/directory/memory.ts";
import { ingestHost } from "../../lib/castore/ingest/portable.ts";
import { pseudoRandomBytes } from "../../lib/castore/testing.ts";
import { AheadReader } from "../../lib/mount/ahead.ts";
import { mountFuse } from "../../lib/mount/index.ts";
import { openStore } from "../../lib/store/open.ts";
import { scratch } from "../store/fixture.ts";
import { hindrance } from "./fixture.ts";

const { fresh } = scratch("mount-ahead");
const MiB = 1 << 20;

/** A reader of random bytes that notes what it was asked for, and fails where it is told to. */
function noted(size: number): { reader: BlobReader; bytes: Uint8Array; asked: string[]; failing: Set<number> } {
  const bytes = pseudoRandomBytes(size, 5);
  const asked: string[] = [];
  const failing = new Set<number>();
  const read = async (offset: number, length: number) => {
    asked.push(`${offset}+${length}`);
    if (failing.has(offset)) throw new Error(`no bytes at ${offset}`);
    return bytes.slice(offset, offset + length);
  };
  const stream = (): never => {
    throw new Error("nobody streams");
  };
  return { reader: { size, read, stream }, bytes, asked, failing };
}

describe("a reader in order", () => {
  test("is served from windows that were fetched ahead", async () => {
    const { reader, bytes, asked } = noted(9 * MiB);
    const ahead = new AheadReader(reader);
    for (let at = 0; at < 9; at++) {
      expect(equalBytes(await ahead.read(at * MiB, MiB), bytes.subarray(at * MiB, (at + 1) * MiB))).toBe(true);
    }
    const window = 2 * MiB;
    expect(asked).toEqual([
      `0+${MiB}`,
      `${window}+${window}`,
      `${MiB}+${MiB}`,
      `${2 * window}+${window}`,
      `${3 * window}+${window}`,
      `${4 * window}+${MiB}`,
    ]);
  });

  test("does not suffer from a failure ahead, only from its own", async () => {
    const { reader, bytes, failing } = noted(6 * MiB);
    const ahead = new AheadReader(reader);
    failing.add(2 * MiB);
    await ahead.read(0, MiB);
    await ahead.read(MiB, MiB);
    await expect(ahead.read(2 * MiB, MiB)).rejects.toThrow(`no bytes at ${2 * MiB}`);
    failing.clear();
    expect(equalBytes(await ahead.read(2 * MiB, MiB), bytes.subarray(2 * MiB, 3 * MiB))).toBe(true);
  });

  test("is told from one that jumps, for whom nothing is fetched ahead", async () => {
    const { reader, asked } = noted(9 * MiB);
    const ahead = new AheadReader(reader);
    for (const at of [5, 1, 7, 3]) await ahead.read(at * MiB, 4096);
    expect(asked).toHaveLength(4);
  });
});

describe.runIf(hindrance === undefined)("a mount", () => {
  test("fetches the directories below one along with it", async () => {
    const tree = fresh();
    for (let i = 0; i < 10; i++) {
      mkdirSync(join(tree, `child-${i}`), { recursive: true });
      writeFileSync(join(tree, `child-${i}`, `file-${i}`), "");
    }
    const inner = { blobs: new MemoryBlobService(), directories: new MemoryDirectoryService() };
    const root = await ingestHost(inner, tree);
    const got = new Set<string>();
    const directories = Object.assign(Object.create(inner.directories) as MemoryDirectoryService, {
      get: (digest: Parameters<MemoryDirectoryService["get"]>[0]) => {
        got.add(digestKey(digest));
        return inner.directories.get(digest);
      },
    });
    const mountpoint = fresh();
    mkdirSync(mountpoint);
    const mount = await mountFuse({ castore: { blobs: inner.blobs, directories }, roots: root, mountpoint });
    try {
      expect(await readdir(mountpoint)).toHaveLength(10);
      await expect.poll(() => got.size).toBe(11);
      const { asked } = mount.counts();
      for (let i = 0; i < 10; i++) expect(await readdir(join(mountpoint, `child-${i}`))).toEqual([`file-${i}`]);
      expect(mount.counts().asked).toBe(asked);
    } finally {
      await mount.unmount();
    }
  });

  test("looks up the places of the files beside one along with its own", async () => {
    const tree = fresh();
    mkdirSync(tree);
    for (let i = 0; i < 40; i++) writeFileSync(join(tree, `file-${String(i).padStart(2, "0")}`), `content ${i}`);
    const store = await openStore(fresh());
    const mountpoint = fresh();
    mkdirSync(mountpoint);
    const { path } = await store.importPath(tree, { name: "tree" });
    const mount = await mountFuse({ store, mountpoint });
    try {
      const mounted = join(mountpoint, path.basename);
      const [first = "", ...others] = (await readdir(mounted)).sort();
      expect(await readFile(join(mounted, first), "utf8")).toBe("content 0");
      const before = mount.counts();
      for (const [i, name] of others.entries()) {
        expect(await readFile(join(mounted, name), "utf8")).toBe(`content ${i + 1}`);
      }
      const after = mount.counts();
      expect(after.requests).toBeGreaterThanOrEqual(before.requests + others.length);
      expect(after.asked).toBe(before.asked);
    } finally {
      await mount.unmount();
      await store.close();
    }
  });
});
