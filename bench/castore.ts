// Rows: reading from a local store in this process, what a second version costs, and a store of a million blobs.
import { execFileSync, spawnSync } from "node:child_process";
import { createCipheriv, randomBytes } from "node:crypto";
import { closeSync, mkdirSync, mkdtempSync, openSync, readSync, rmSync, writeFileSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { openBlob } from "../lib/castore/blob/range.ts";
import type { Digest } from "../lib/castore/digest.ts";
import { blake3Async } from "../lib/native/blake3.ts";
import { countStore, openStore, type Store } from "../lib/store/index.ts";
import type { BenchRow } from "./row.ts";

const GIB = 1 << 30;
const READ = 4096;
const READS = 50_000;

let scratch = "";
let store: Store;
let plain = "";
let digest: Digest;

/** A file of 1 GiB of random bytes, in the scratch folder and in a store. */
async function prepareBlob(): Promise<void> {
  scratch = mkdtempSync(join(tmpdir(), "tvix-bench-"));
  plain = join(scratch, "plain");
  const fd = openSync(plain, "w");
  for (let at = 0; at < GIB; at += 1 << 24) writeSync(fd, randomBytes(1 << 24));
  closeSync(fd);
  store = await openStore(join(scratch, "store"));
  const { root } = await store.importPath(plain);
  if (root.type !== "file") throw new Error("the blob is no file");
  digest = root.digest;
  // Warm: both the pack and the plain file are in the page cache, and the chunks have been verified once.
  await streamAll();
  // What was just written must not be on its way to the disk while reads are timed.
  execFileSync("sync");
}

async function removeStore(): Promise<void> {
  await store.close();
  rmSync(scratch, { recursive: true, force: true });
}

async function streamAll(): Promise<number> {
  const start = performance.now();
  let bytes = 0;
  for await (const piece of (await openBlob(store.blobs, digest)).stream(0, GIB, true)) bytes += piece.length;
  if (bytes !== GIB) throw new Error(`${bytes} bytes came out`);
  return GIB / 1e6 / (performance.now() - start);
}

const offsets = Array.from({ length: READS }, (_, i) => ((i * 2_654_435_761) % (GIB / READ)) * READ);

async function randomReads(): Promise<number> {
  const reader = await openBlob(store.blobs, digest);
  const start = performance.now();
  for (const offset of offsets) await reader.read(offset, READ);
  return (READS * READ) / 1e6 / (performance.now() - start);
}

function randomPreads(): number {
  const fd = openSync(plain, "r");
  const start = performance.now();
  for (const offset of offsets) readSync(fd, new Uint8Array(READ), 0, READ, offset);
  const rate = (READS * READ) / 1e6 / (performance.now() - start);
  closeSync(fd);
  return rate;
}

let hashed: Uint8Array | undefined;

async function hashAll(): Promise<number> {
  hashed ??= new Uint8Array(randomBytes(1 << 28));
  const bytes = hashed;
  const start = performance.now();
  await blake3Async(bytes, { threads: 1 });
  return bytes.length / 1e6 / (performance.now() - start);
}

/** Files of 1 to 40 MB, 500 MB together. */
const SIZES = Array.from({ length: 25 }, (_, i) => (i % 2 === 0 ? 1_000_000 : 40_000_000));

const TREE = SIZES.reduce((sum, size) => sum + size, 0);

/** Random bytes that are the same in every run of the benchmark: the key stream of a cipher keyed with `seed`. */
function seededBytes(seed: number): (length: number) => Buffer {
  const key = Buffer.alloc(32);
  key.writeUInt32LE(seed);
  const cipher = createCipheriv("aes-256-ctr", key, Buffer.alloc(16));
  return (length) => cipher.update(Buffer.alloc(length));
}

/** Where the edits are: one somewhere in each of as many equal sections of the tree, so that no two share a chunk often. */
function placeEdits(edits: number, random: (length: number) => Buffer): number[][] {
  const places: number[][] = SIZES.map(() => []);
  for (let edit = 0; edit < edits; edit++) {
    let at = ((edit + random(4).readUInt32LE() / 2 ** 32) * TREE) / edits;
    const file = SIZES.findIndex((size) => {
      if (at < size) return true;
      at -= size;
      return false;
    });
    places[file]?.push(Math.floor(at));
  }
  return places;
}

/** Writes the tree, with `run` random bytes at each of `places`: every other time in place, else inserted. */
function writeVersion(
  files: readonly Buffer[],
  places: readonly number[][],
  run: number,
  random: (length: number) => Buffer,
): void {
  mkdirSync(join(scratch, "tree"), { recursive: true });
  let inPlace = false;
  for (const [i, file] of files.entries()) {
    const parts: Buffer[] = [];
    let at = 0;
    for (const place of places[i] ?? []) {
      const from = Math.max(at, Math.min(place, file.length - run));
      parts.push(file.subarray(at, from), random(run));
      inPlace = !inPlace;
      at = inPlace ? from + run : from;
    }
    parts.push(file.subarray(at));
    writeFileSync(join(scratch, "tree", `f${i}`), Buffer.concat(parts));
  }
}

/** Samples taken: each has bytes and edits of its own, for they share a store. */
let versions = 0;

/** What 1 % of changes in edits of `run` bytes cost. */
async function secondVersion(run: number): Promise<number> {
  const random = seededBytes(++versions);
  const files = SIZES.map((size) => random(size));
  writeVersion(files, [], run, random);
  await store.importPath(join(scratch, "tree"));
  const before = (await countStore(store)).packBytes;
  writeVersion(files, placeEdits(Math.round((TREE * 0.01) / run), random), run, random);
  await store.importPath(join(scratch, "tree"));
  return ((await countStore(store)).packBytes - before) / 1e9;
}

interface MillionResult {
  readonly opened: number;
  readonly seconds: number;
  readonly rss: number;
}

/** Open, existence of 10 000 blobs, collection, in a process of its own whose memory is measured. */
function millionBlobs(phase: "fill" | "use"): MillionResult {
  // Bundled beside this program.
  const program = join(dirname(process.argv[1] as string), "million.mjs");
  const result = spawnSync(process.execPath, [program, phase, join(scratch, "million")]);
  if (result.status !== 0) throw new Error(result.stderr.toString());
  return JSON.parse(result.stdout.toString()) as MillionResult;
}

function secondVersionRow(row: Pick<BenchRow, "name" | "reach">, run: number): BenchRow {
  return {
    ...row,
    work: `bytes stored for a 500 MB tree, 1 % changed in edits of ${run >> 10} KiB`,
    peer: "the tree",
    sense: "size",
    prepare: async () => {
      scratch = mkdtempSync(join(tmpdir(), "tvix-bench-"));
      store = await openStore(join(scratch, "store"));
    },
    ours: () => secondVersion(run),
    peers: () => Promise.resolve(TREE / 1e9),
    cleanup: removeStore,
  };
}

export const rows: readonly BenchRow[] = [
  {
    name: "read-random",
    work: "random 4 KiB reads of a 1 GiB blob, warm store",
    peer: "pread of a plain file",
    reach: 0.3,
    sense: "throughput",
    prepare: prepareBlob,
    ours: randomReads,
    peers: () => Promise.resolve(randomPreads()),
    cleanup: removeStore,
  },
  {
    name: "read-stream",
    work: "sequential read of a 1 GiB blob, verified",
    peer: "BLAKE3 of bytes in memory, one thread",
    reach: 0.7,
    sense: "throughput",
    prepare: prepareBlob,
    ours: streamAll,
    peers: hashAll,
    cleanup: removeStore,
  },
  secondVersionRow({ name: "second-version", reach: 0.05 }, 1 << 18),
  // A chunk is 256 KiB on average, so smaller edits that are spread out cost more: docs/store.md.
  secondVersionRow({ name: "second-version-fine", reach: null }, 1 << 16),
  {
    name: "million",
    work: "1 million blobs: peak memory of exists and gc",
    peer: "500 MB",
    reach: 1,
    sense: "size",
    prepare: () => {
      scratch = mkdtempSync(join(tmpdir(), "tvix-bench-"));
      return Promise.resolve();
    },
    ours: () => {
      millionBlobs("fill");
      const { opened, seconds, rss } = millionBlobs("use");
      console.error(`1 million blobs: open in ${opened.toFixed(2)} s, exists and gc in ${seconds.toFixed(1)} s`);
      return Promise.resolve(rss / 1e9);
    },
    peers: () => Promise.resolve(0.5),
    cleanup: () => Promise.resolve(rmSync(scratch, { recursive: true, force: true })),
  },
];
