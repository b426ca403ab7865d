// Ingestion: trees, lists, NARs and blobs give the right digests, chunks and NAR hashes, and the packs hold the bytes.
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { appendFileSync, chmodSync, closeSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { concatBytes, toHex } from "../../lib/base/bytes.ts";
import { bytesToLatin1, latin1ToBytes } from "../../lib/base/text.ts";
import { blake3 } from "../../lib/native/blake3.ts";
import { chunkLengths } from "../../lib/native/chunk.ts";
import { Ingestion, type IngestResult, PushIngestion } from "../../lib/native/ingest.ts";
import { NarRender, type RenderPlan } from "../../lib/native/nar.ts";
import { PackReader, PackWriter } from "../../lib/native/pack.ts";
import {
  DIRECTORY,
  entryName,
  entryTarget,
  filterListing,
  SYMLINK,
  type TreeListing,
  walkTree,
} from "../../lib/native/tree.ts";
import { garden, narOf, noise, plant, temporary, type Tree } from "./trees.ts";

const dir = temporary();
let serial = 0;
const fresh = (): string => join(dir, `t${serial++}`);
const sha256 = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");

interface File {
  readonly entry: number;
  readonly digest: string;
  readonly size: number;
  readonly chunks: readonly { readonly digest: string; readonly length: number; readonly offset: number }[];
}

interface Taken {
  readonly files: readonly File[];
  readonly result: IngestResult;
  readonly pack: string;
  readonly stored: number;
}

/** Runs an ingestion to its end as a store would: fresh chunks go to a pack. */
async function taken(ingestion: Ingestion): Promise<Taken> {
  const pack = fresh();
  const writer = await PackWriter.open(pack);
  const known = new Map<string, number>();
  const chunks: { digest: string; length: number; offset: number }[] = [];
  const files: File[] = [];
  for (let batch = await ingestion.next(); batch; batch = await ingestion.next()) {
    const offsets = ingestion.store(batch, batch.chunkFresh, writer);
    for (const [i, length] of batch.chunkLengths.entries()) {
      const digest = toHex(batch.chunkDigests.subarray(32 * i, 32 * i + 32));
      expect(known.has(digest)).toBe(batch.chunkFresh[i] === 0);
      if ((offsets[i] as number) >= 0) known.set(digest, offsets[i] as number);
      chunks.push({ digest, length, offset: known.get(digest) as number });
    }
    for (const [i, entry] of batch.fileEntries.entries()) {
      files.push({
        entry,
        digest: toHex(batch.fileDigests.subarray(32 * i, 32 * i + 32)),
        size: batch.fileSizes[i] as number,
        chunks: chunks.splice(0, batch.fileChunkCounts[i]),
      });
    }
  }
  expect(chunks).toEqual([]);
  const result = await ingestion.finish();
  await writer.sync();
  await writer.close();
  return { files, result, pack, stored: known.size };
}

/** Runs an ingestion to its end without storing anything. */
async function drained(ingestion: Ingestion): Promise<void> {
  for (let batch = await ingestion.next(); batch; batch = await ingestion.next()) ingestion.release(batch);
}

/** What a file must have become, computed from the definition. */
function expected(bytes: Uint8Array): Omit<File, "entry" | "chunks"> & { readonly chunks: readonly object[] } {
  let at = 0;
  const chunks = [...chunkLengths(bytes)].map((length) => {
    const digest = toHex(blake3(bytes.subarray(at, at + length)));
    at += length;
    return { digest, length, offset: expect.any(Number) as number };
  });
  return { digest: toHex(blake3(bytes)), size: bytes.length, chunks };
}

/** The tree a listing and the files' contents describe. */
function treeOf(listing: TreeListing, contents: ReadonlyMap<number, Uint8Array>): Tree {
  const nodes: Tree[] = [];
  for (let i = 0; i < listing.kinds.length; i++) {
    const kind = listing.kinds[i];
    if (kind === DIRECTORY) nodes.push({ entries: {} });
    else if (kind === SYMLINK) nodes.push({ link: bytesToLatin1(entryTarget(listing, i)) });
    else nodes.push({ file: contents.get(i) as Uint8Array, executable: kind === 2 });
    if (i === 0) continue;
    const parent = nodes[listing.parents[i] as number] as { entries: Record<string, Tree> };
    parent.entries[bytesToLatin1(entryName(listing, i))] = nodes[i] as Tree;
  }
  return nodes[0] as Tree;
}

function planOf(all: Taken): RenderPlan {
  const chunks = all.files.flatMap((file) => file.chunks);
  return {
    listing: all.result.listing,
    chunkCounts: Uint32Array.from(all.files, (file) => file.chunks.length),
    extents: {
      offsets: Float64Array.from(chunks, (chunk) => chunk.offset),
      lengths: Uint32Array.from(chunks, (chunk) => chunk.length),
      digests: concatBytes(chunks.map((chunk) => Buffer.from(chunk.digest, "hex"))),
    },
    packs: new Uint32Array(chunks.length),
    readers: [PackReader.open(all.pack)],
  };
}

async function renderedFrom(all: Taken, piece: number): Promise<Uint8Array> {
  const render = new NarRender(planOf(all));
  const parts: Uint8Array[] = [];
  for await (const part of render.chunks(piece)) parts.push(part);
  return concatBytes(parts);
}

async function checkGarden(all: Taken): Promise<void> {
  const nar = narOf(garden());
  expect(toHex(all.result.narHash as Uint8Array)).toBe(sha256(nar));
  expect(all.result.narSize).toBe(nar.length);
  const contents = new Map<number, Uint8Array>();
  const reader = PackReader.open(all.pack);
  for (const file of all.files) {
    const parts = file.chunks.map((c) => reader.readSync(c.offset, c.length, Buffer.from(c.digest, "hex")));
    const bytes = concatBytes(parts);
    expect(file).toEqual({ entry: file.entry, ...expected(bytes) });
    contents.set(file.entry, bytes);
  }
  expect(sha256(narOf(treeOf(all.result.listing, contents)))).toBe(sha256(nar));
}

describe("trees", () => {
  test("a tree with everything: digests, chunks, listing, NAR hash, and the NAR back out of the pack", async () => {
    const path = fresh();
    plant(path, garden());
    const all = await taken(Ingestion.tree(path));
    await checkGarden(all);
    const nar = narOf(garden());
    expect(sha256(await renderedFrom(all, 1 << 20))).toBe(sha256(nar));
    expect(sha256(await renderedFrom(all, 99_991))).toBe(sha256(nar));
    const render = new NarRender(planOf(all));
    expect(render.size).toBe(nar.length);
    const file = fresh();
    const fd = openSync(file, "w");
    await render.toFile(fd);
    closeSync(fd);
    expect(sha256(readFileSync(file))).toBe(sha256(nar));
  });

  test("a file and a symlink as roots", async () => {
    for (const tree of [{ file: noise(300_000, 1), executable: true }, { link: "else/where" }] satisfies Tree[]) {
      const path = fresh();
      plant(path, tree);
      const all = await taken(Ingestion.tree(path));
      expect(toHex(all.result.narHash as Uint8Array)).toBe(sha256(narOf(tree)));
      expect(sha256(await renderedFrom(all, 1000))).toBe(sha256(narOf(tree)));
    }
  });

  test("small chunks, without NAR hash", async () => {
    const path = fresh();
    plant(path, { entries: { a: { file: noise(100_000, 1) }, b: { file: noise(100_000, 1) } } });
    const { files, result } = await taken(Ingestion.tree(path, { average: 1024, narHash: false }));
    expect(result.narHash).toBeUndefined();
    expect(files[0]?.chunks.map((chunk) => chunk.length)).toEqual([
      ...chunkLengths(noise(100_000, 1), { average: 1024 }),
    ]);
    expect(files[1]?.chunks).toEqual(files[0]?.chunks);
  });

  test("a filtered listing", async () => {
    const path = fresh();
    plant(path, garden());
    const listing = await walkTree(path);
    const kept = filterListing(listing, (i) => !/^(big|with space)/.test(bytesToLatin1(entryName(listing, i))));
    const tree = garden() as { entries: Record<string, Tree> };
    const rest = Object.entries(tree.entries).filter(([name]) => !/^(big|with space)/.test(name));
    const { result } = await taken(Ingestion.tree(path, {}, kept));
    expect(toHex(result.narHash as Uint8Array)).toBe(sha256(narOf({ entries: Object.fromEntries(rest) })));
    expect(result.listing).toEqual(kept);
  });

  test("a list of files", async () => {
    const paths = [300_000, 0, 5].map((size) => {
      const path = fresh();
      writeFileSync(path, noise(size, size));
      return path;
    });
    const { files, result } = await taken(Ingestion.files(paths));
    expect(files).toEqual([300_000, 0, 5].map((size, entry) => ({ entry, ...expected(noise(size, size)) })));
    expect(result.narHash).toBeUndefined();
    await expect(taken(Ingestion.files([dir]))).rejects.toMatchObject({ code: "ERR_TREE_KIND" });
  });

  test("walking gives the same listing as ingesting", async () => {
    const path = fresh();
    plant(path, garden());
    expect(await walkTree(path)).toEqual((await taken(Ingestion.tree(path))).result.listing);
  });
});

describe("needles", () => {
  test("are found wherever they are, and only then", async () => {
    const alphabet = "0123456789abcdfghijklmnpqrsvwxyz";
    const needle = (seed: number): string => Array.from(noise(32, seed), (byte) => alphabet[byte % 32]).join("");
    const names = Array.from({ length: 8 }, (_, i) => needle(i + 1));
    const text = noise(9_000_000, 77);
    const put = (at: number, bytes: string): void => text.set(latin1ToBytes(bytes), at);
    put(0, names[0] as string);
    put((4 << 20) - 300, names[1] as string); // around a buffer's end
    put(256 * 1024 - 17, names[2] as string);
    put(text.length - 32, names[3] as string);
    put(6_000_000, `${"0".repeat(40)}${names[4]}zzz`);
    put(7_000_000, (names[5] as string).slice(0, 31)); // one short
    const path = fresh();
    plant(path, { entries: { a: { file: text }, b: { link: `/nix/store/${names[6]}-x` } } });
    const { result } = await taken(Ingestion.tree(path, { needles: names.map(latin1ToBytes) }));
    expect([...result.found]).toEqual([1, 1, 1, 1, 1, 0, 1, 0]);
  });
});

describe("pushed bytes", () => {
  async function pushed(ingestion: PushIngestion, bytes: Uint8Array, piece: number): Promise<Taken> {
    const feed = (async () => {
      for (let at = 0; at < bytes.length; at += piece) await ingestion.push(bytes.slice(at, at + piece));
      ingestion.end();
    })();
    const all = await taken(ingestion);
    await feed;
    return all;
  }

  test("a NAR, in pieces of any size", async () => {
    for (const piece of [4099, 1 << 24]) await checkGarden(await pushed(PushIngestion.nar(), narOf(garden()), piece));
  });

  test("a NAR larger than all buffers", async () => {
    const nar = narOf({ file: noise(40_000_000, 1) });
    const all = await pushed(PushIngestion.nar(), nar, 1 << 20);
    expect(toHex(all.result.narHash as Uint8Array)).toBe(sha256(nar));
  });

  test("thousands of small files, many batches", async () => {
    const entries: Record<string, Tree> = {};
    for (let i = 0; i < 9000; i++) entries[`f${i}`] = { file: noise(i % 90 === 0 ? 20_000 : i % 50, i) };
    const nar = narOf({ entries });
    const { files, result } = await pushed(PushIngestion.nar(), nar, 100_000);
    expect(files.length).toBe(9000);
    expect(toHex(result.narHash as Uint8Array)).toBe(sha256(nar));
    for (const { entry, digest } of files.slice(0, 200)) {
      const file = entries[bytesToLatin1(entryName(result.listing, entry))] as { file: Uint8Array };
      expect(digest).toBe(toHex(blake3(file.file)));
    }
  });

  test("blobs", async () => {
    for (const size of [0, 1, 131_072, 131_073, 5_000_000]) {
      const { files } = await pushed(PushIngestion.blob(), noise(size, size), 77_777);
      expect(files).toEqual([{ entry: 0, ...expected(noise(size, size)) }]);
    }
  });

  test("a bad NAR ends the ingestion with its code, and pushing does not hang", async () => {
    const nar = narOf(garden());
    const bad = concatBytes([nar.subarray(0, nar.length - 8), new Uint8Array(8)]);
    await expect(pushed(PushIngestion.nar(), bad, 1 << 20)).rejects.toMatchObject({ code: "ERR_NAR_UNEXPECTED_TOKEN" });
    const short = PushIngestion.nar();
    const cut = pushed(short, nar.subarray(0, 5000), 1000);
    await expect(cut).rejects.toMatchObject({ code: "ERR_NAR_TRUNCATED" });
    await short.push(new Uint8Array(10));
    await expect(short.finish()).rejects.toMatchObject({ code: "ERR_NAR_TRUNCATED" });
  });
});

describe("what goes wrong", () => {
  test("missing, closed, busy", async () => {
    await expect(taken(Ingestion.tree(join(dir, "missing")))).rejects.toMatchObject({ code: "ERR_TREE_MISSING" });
    const path = fresh();
    plant(path, { file: new Uint8Array(80_000_000) });
    const ingestion = Ingestion.tree(path);
    await ingestion.next();
    const finish = ingestion.finish();
    ingestion.close();
    ingestion.close();
    await expect(finish).rejects.toMatchObject({ code: "ERR_INGEST_CLOSED" });
    await expect(ingestion.next()).rejects.toMatchObject({ code: "ERR_INGEST_CLOSED" });
    const waiting = PushIngestion.nar();
    const next = waiting.next();
    await expect(async () => await waiting.next()).rejects.toMatchObject({ code: "ERR_INGEST_BUSY" });
    waiting.close();
    await expect(next).rejects.toMatchObject({ code: "ERR_INGEST_CLOSED" });
  });

  test("an unreadable file", async () => {
    if (process.getuid?.() === 0) {
      console.warn("SKIPPING the unreadable file: root reads everything");
      return;
    }
    const path = fresh();
    plant(path, { file: noise(3, 1) });
    chmodSync(path, 0);
    await expect(taken(Ingestion.tree(path))).rejects.toMatchObject({ code: "ERR_TREE_UNREADABLE" });
  });

  test("a file that grows or vanishes while it is read", async () => {
    // Bytes for more buffers than there are: the session stands still in the middle of the file until it is answered.
    const path = fresh();
    plant(path, { entries: { a: { file: new Uint8Array(80_000_000) }, b: { file: noise(3, 1) } } });
    const grows = Ingestion.tree(path);
    await grows.next();
    appendFileSync(join(path, "a"), "more");
    await expect(drained(grows)).rejects.toMatchObject({
      code: "ERR_TREE_CHANGED",
      message: expect.stringContaining(join(path, "a")),
    });
    const vanishes = Ingestion.tree(path);
    await vanishes.next();
    rmSync(join(path, "b"));
    await expect(drained(vanishes)).rejects.toMatchObject({
      code: "ERR_TREE_CHANGED",
      message: expect.stringContaining("vanished"),
    });
  });

  test("a process that exits, and a worker that is terminated, in the middle", () => {
    const path = fresh();
    plant(path, { file: new Uint8Array(200_000_000) });
    const addon = JSON.stringify(join(import.meta.dirname, "../../build/core/Release/core.node"));
    const work = `
      const core = require(${addon});
      const bytes = (text) => new TextEncoder().encode(text);
      (async () => {
        const writer = await core.packWriterOpen(bytes(process.argv.at(-1)));
        const options = { average: 262144, narHash: true, needles: bytes("") };
        const ingestion = core.ingestTree(bytes(${JSON.stringify(path)}), undefined, options);
        for (let batch = await ingestion.next(); batch; batch = await ingestion.next())
          ingestion.store(batch.index, batch.chunkFresh.fill(1), writer);
      })();`;
    const exiting = (after: number): string => `setTimeout(() => process.exit(0), ${after});${work}`;
    const terminating = (after: number): string => `
      const { Worker } = require("node:worker_threads");
      const worker = new Worker(${JSON.stringify(work)}, { eval: true, argv: process.argv.slice(-1) });
      setTimeout(() => void worker.terminate(), ${after});`;
    for (const script of [exiting(30), exiting(90), terminating(60), terminating(200)]) {
      const run = spawnSync(process.execPath, ["-e", script, fresh()]);
      expect({ status: run.status, errors: run.stderr.toString() }).toEqual({ status: 0, errors: "" });
    }
  });

  test("a batch is answered once, with a byte per chunk", async () => {
    const path = fresh();
    plant(path, { file: noise(300_000, 1) });
    const ingestion = Ingestion.tree(path);
    const batch = await ingestion.next();
    if (!batch) throw new Error("there is one batch");
    const writer = await PackWriter.open(fresh());
    expect(() => ingestion.store(batch, new Uint8Array(9), writer)).toThrow(RangeError);
    ingestion.store(batch, new Uint8Array(batch.chunkLengths.length), writer);
    expect(() => ingestion.store(batch, batch.chunkFresh, writer)).toThrow(RangeError);
    await writer.close();
    const again = Ingestion.tree(path);
    const other = await again.next();
    if (!other) throw new Error("there is one batch");
    expect(() => again.store(other, other.chunkFresh, writer)).toThrowError(
      expect.objectContaining({ code: "ERR_PACK_CLOSED" }),
    );
    again.release(other);
    expect(await again.next()).toBeUndefined();
  });

  test("plans and listings that lie", async () => {
    const path = fresh();
    plant(path, garden());
    const all = await taken(Ingestion.tree(path));
    const plan = planOf(all);
    expect(() => new NarRender({ ...plan, chunkCounts: plan.chunkCounts.subarray(1) })).toThrow(RangeError);
    expect(() => new NarRender({ ...plan, packs: plan.packs.map(() => 7) })).toThrow(RangeError);
    const { listing } = plan;
    const lies: Partial<TreeListing>[] = [
      { kinds: listing.kinds.map(() => 9) },
      { parents: listing.parents.map(() => 5) },
      { ends: listing.ends.map((end) => end + 1e6) },
      { text: listing.text.map(() => 0x2f) },
      { sizes: listing.sizes.subarray(2) },
    ];
    for (const lie of lies) {
      expect(() => new NarRender({ ...plan, listing: { ...listing, ...lie } })).toThrow(RangeError);
      expect(() => Ingestion.tree(path, {}, { ...listing, ...lie })).toThrow(RangeError);
    }
  });
});
