// The contracts of blob and directory services as suites that any backend can be put through, under any test runner.
//
//   import { describe, test } from "vitest"; // or node:test, mocha, …
//   import { blobServiceContract } from "tvix/castore/testing";
//   blobServiceContract("mine", { describe, test }, async () => ({ service: await open(), close: async () => {} }));
import assert from "node:assert/strict";
import { concatBytes } from "../base/bytes.ts";
import { encodeUtf8 } from "../base/text.ts";
import { collectBytes, readBlob } from "./blob/range.ts";
import type { BlobService } from "./blob/service.ts";
import { type Digest, digestHex, digestOf, EMPTY_DIGEST } from "./digest.ts";
import { Directory, EMPTY_DIRECTORY } from "./directory.ts";
import type { DirectoryService } from "./directory/service.ts";

/** What a suite needs of a test runner: vitest, node:test, jest and mocha (with `test: it`) all have it. */
export interface TestRunner {
  readonly describe: (name: string, body: () => void) => unknown;
  readonly test: (name: string, body: () => Promise<void>) => unknown;
}

/** One fresh, empty service under test and how to end it. */
export interface Subject<Service> {
  readonly service: Service;
  readonly close: () => Promise<void>;
}

/** Registers tests that each run against a fresh subject. */
export function suite<Service>(
  name: string,
  runner: TestRunner,
  open: () => Promise<Subject<Service>>,
  tests: Readonly<Record<string, (service: Service) => Promise<void>>>,
): void {
  runner.describe(name, () => {
    for (const [title, body] of Object.entries(tests)) {
      runner.test(title, async () => {
        const subject = await open();
        try {
          await body(subject.service);
        } finally {
          await subject.close();
        }
      });
    }
  });
}

/** Reproducible bytes without structure, so that chunkers and compressors meet what they are for. */
export function pseudoRandomBytes(length: number, seed: number): Uint8Array {
  const words = new Uint32Array(Math.ceil(length / 4));
  let state = (seed * 2654435761 + 1) >>> 0;
  for (let i = 0; i < words.length; i++) {
    // xorshift32: quick, and good enough to have no repeats within a test.
    state ^= state << 13;
    state >>>= 0;
    state ^= state >>> 17;
    state ^= state << 5;
    state >>>= 0;
    words[i] = state;
  }
  return new Uint8Array(words.buffer, 0, length);
}

function sameBytes(actual: Uint8Array, expected: Uint8Array, what: string): void {
  assert.equal(actual.length, expected.length, `${what}: length`);
  assert.equal(digestHex(digestOf(actual)), digestHex(digestOf(expected)), what);
}

const SMALL = encodeUtf8("Hello World!");
/** Longer than several chunks of any sensible chunker. */
const LARGE = pseudoRandomBytes(3_000_017, 1);
const ABSENT = digestOf(encodeUtf8("never stored"));

const blobTests: Record<string, (blobs: BlobService) => Promise<void>> = {
  "has what was put, and the empty blob always": async (blobs) => {
    const asked = [digestOf(SMALL), ABSENT, EMPTY_DIGEST];
    assert.deepEqual(await blobs.has(asked), [false, false, true]);
    await blobs.put([SMALL]);
    assert.deepEqual(await blobs.has(asked), [true, false, true]);
    assert.deepEqual(await blobs.has([]), []);
  },
  "names a blob by its BLAKE3": async (blobs) => {
    const [digest] = await blobs.put([SMALL]);
    assert.equal(digestHex(digest as Digest), "5ca7815adcb484e9a136c11efe69c1d530176d549b5d18d038eb5280b4b3470c");
  },
  "puts many at once, repeats among them, in order": async (blobs) => {
    const many = Array.from({ length: 300 }, (_, i) => encodeUtf8(`blob ${i % 250}`));
    const digests = await blobs.put(many);
    assert.deepEqual(digests.map(digestHex), many.map(digestOf).map(digestHex));
    assert.ok((await blobs.has(digests)).every(Boolean));
    for (const i of [0, 123, 249, 299]) {
      sameBytes(await readBlob(blobs, digests[i] as Digest), many[i] as Uint8Array, `blob ${i}`);
    }
  },
  "keeps what was put though the caller's buffer changes": async (blobs) => {
    const buffer = SMALL.slice();
    const [digest] = await blobs.put([buffer]);
    buffer.fill(0);
    sameBytes(await readBlob(blobs, digest as Digest), SMALL, "the blob");
  },
  "reads nothing that is absent": async (blobs) => {
    assert.equal(await blobs.openRead(ABSENT), undefined);
    assert.equal(await blobs.chunks(ABSENT), undefined);
  },
  "reads the empty blob": async (blobs) => {
    const reader = await blobs.openRead(EMPTY_DIGEST);
    assert.equal(reader?.size, 0);
    assert.equal((await reader?.read(0, 10))?.length, 0);
    assert.equal((await collectBytes(reader?.stream() ?? [])).length, 0);
    assert.deepEqual(await blobs.chunks(EMPTY_DIGEST), []);
    assert.deepEqual(await blobs.put([new Uint8Array(0)]), [EMPTY_DIGEST]);
  },
  "writes a stream of any piece sizes": async (blobs) => {
    const writer = blobs.openWrite();
    for (let at = 0, step = 1; at < LARGE.length; at += step, step = ((step * 7) % 90_001) + 1) {
      const piece = LARGE.slice(at, at + step);
      await writer.write(piece);
      piece.fill(0xaa);
    }
    const digest = await writer.close();
    assert.equal(digestHex(digest), digestHex(digestOf(LARGE)));
    assert.equal(digestHex(await writer.close()), digestHex(digest), "closing again gives the same digest");
    sameBytes(await readBlob(blobs, digest), LARGE, "the blob");
  },
  "writes the empty stream as the empty blob": async (blobs) => {
    assert.deepEqual(await blobs.openWrite().close(), EMPTY_DIGEST);
  },
  "keeps a blob invisible until it is closed, and for ever when aborted": async (blobs) => {
    const writer = blobs.openWrite();
    await writer.write(LARGE);
    assert.deepEqual(await blobs.has([digestOf(LARGE)]), [false]);
    writer.abort();
    await assert.rejects(writer.write(SMALL), { code: "ERR_CASTORE_CLOSED" });
    await assert.rejects(writer.close(), { code: "ERR_CASTORE_CLOSED" });
    assert.deepEqual(await blobs.has([digestOf(LARGE)]), [false]);
  },
  "refuses writes after close": async (blobs) => {
    const writer = blobs.openWrite();
    await writer.write(SMALL);
    const digest = await writer.close();
    await assert.rejects(writer.write(SMALL), { code: "ERR_CASTORE_CLOSED" });
    writer.abort();
    sameBytes(await readBlob(blobs, digest), SMALL, "the blob");
  },
  "reads any range": async (blobs) => {
    const [digest] = await blobs.put([LARGE]);
    const reader = await blobs.openRead(digest as Digest);
    assert.ok(reader);
    assert.equal(reader.size, LARGE.length);
    for (const [offset, length] of [
      [0, 1],
      [0, 4096],
      [LARGE.length - 1, 1],
      [LARGE.length - 10, 100],
      [LARGE.length, 5],
      [LARGE.length + 99, 5],
      [131_071, 262_147],
      [1_000_003, 1_700_001],
      [77, 0],
      [0, LARGE.length],
      [524_288, 4096],
    ] as const) {
      const expected = LARGE.slice(offset, offset + length);
      sameBytes(await reader.read(offset, length), expected, `${length} bytes at ${offset}`);
    }
    await assert.rejects(reader.read(-1, 5), { code: "ERR_CASTORE_RANGE" });
    await assert.rejects(reader.read(0.5, 5), { code: "ERR_CASTORE_RANGE" });
  },
  "streams the whole and parts": async (blobs) => {
    const [digest] = await blobs.put([LARGE]);
    const reader = await blobs.openRead(digest as Digest);
    assert.ok(reader);
    for await (const piece of reader.stream()) assert.ok(piece.length > 0, "no empty pieces");
    sameBytes(await collectBytes(reader.stream()), LARGE, "the whole");
    sameBytes(await collectBytes(reader.stream(2_000_000)), LARGE.slice(2_000_000), "the end");
    sameBytes(await collectBytes(reader.stream(5, 6)), LARGE.slice(5, 6), "one byte");
    assert.equal((await collectBytes(reader.stream(9, 9))).length, 0);
    const copies: Uint8Array[] = [];
    let before: Uint8Array | undefined;
    for await (const piece of reader.stream(3, LARGE.length - 3, true)) {
      // A recycled piece is whole until two further ones have been asked for.
      if (before) copies.push(before.slice());
      before = piece;
    }
    if (before) copies.push(before.slice());
    sameBytes(await collectBytes(copies), LARGE.slice(3, -3), "recycled pieces");
    // … the last one also while the next stream runs.
    const last = before?.slice();
    for await (const piece of reader.stream(0, LARGE.length, true)) assert.ok(piece.length > 0);
    if (before && last) sameBytes(before, last, "the last recycled piece");
  },
  "serves readers and writers at the same time": async (blobs) => {
    const inputs = Array.from({ length: 8 }, (_, i) => pseudoRandomBytes(200_000 + i, 10 + i));
    const digests = await Promise.all(
      inputs.map(async (bytes) => {
        const writer = blobs.openWrite();
        for (let at = 0; at < bytes.length; at += 50_000) await writer.write(bytes.subarray(at, at + 50_000));
        return await writer.close();
      }),
    );
    const read = await Promise.all(digests.map((digest) => readBlob(blobs, digest)));
    for (const [i, bytes] of read.entries()) sameBytes(bytes, inputs[i] as Uint8Array, `blob ${i}`);
  },
  "lists chunks that make up the blob and can be read by themselves": async (blobs) => {
    const [digest] = await blobs.put([LARGE]);
    const chunks = await blobs.chunks(digest as Digest);
    assert.ok(chunks);
    if (chunks.length === 0) return;
    assert.equal(
      chunks.reduce((sum, chunk) => sum + chunk.size, 0),
      LARGE.length,
    );
    assert.ok((await blobs.has(chunks.map((chunk) => chunk.digest))).every(Boolean));
    const parts = await Promise.all(chunks.map((chunk) => readBlob(blobs, chunk.digest)));
    for (const [i, chunk] of chunks.entries()) assert.equal(parts[i]?.length, chunk.size);
    sameBytes(concatBytes(parts), LARGE, "the chunks in order");
  },
};

/** The contract of a {@link BlobService}. `open` gives a fresh service without blobs for each test. */
export function blobServiceContract(name: string, runner: TestRunner, open: () => Promise<Subject<BlobService>>): void {
  suite(`blob service: ${name}`, runner, open, blobTests);
}

const keep = Directory.of([
  { name: encodeUtf8(".keep"), node: { type: "file", digest: EMPTY_DIGEST, size: 0, executable: false } },
]);
const complicated = Directory.of([
  { name: encodeUtf8("keep"), node: keep.node() },
  { name: encodeUtf8(".keep"), node: { type: "file", digest: EMPTY_DIGEST, size: 0, executable: false } },
  { name: encodeUtf8("aa"), node: { type: "symlink", target: encodeUtf8("/nix/store/somewhereelse") } },
]);
/** Both children of the root are the same directory, one of them once more a level down. */
const diamond = Directory.of([
  { name: encodeUtf8("left"), node: complicated.node() },
  { name: encodeUtf8("right"), node: complicated.node() },
  { name: encodeUtf8("deep"), node: keep.node() },
]);

async function collect(closure: AsyncIterable<Directory>): Promise<string[]> {
  const out: string[] = [];
  for await (const directory of closure) out.push(digestHex(directory.digest()));
  return out;
}

const hex = (...directories: Directory[]) => directories.map((directory) => digestHex(directory.digest()));

const directoryTests: Record<string, (directories: DirectoryService) => Promise<void>> = {
  "gets what was put as a closure of one, by its digest": async (directories) => {
    assert.equal(await directories.get(keep.digest()), undefined);
    assert.equal(digestHex(await directories.putClosure([keep])), hex(keep)[0]);
    assert.equal(hex(keep)[0], "8b5b5d642b646bb8ed504b0862c39413e87e57491497de7bd075953f7b83810e");
    assert.ok((await directories.get(keep.digest()))?.equals(keep));
  },
  "keeps the empty directory": async (directories) => {
    assert.equal(digestHex(await directories.putClosure([EMPTY_DIRECTORY])), digestHex(EMPTY_DIGEST));
    assert.ok((await directories.get(EMPTY_DIGEST))?.equals(EMPTY_DIRECTORY));
  },
  "has in bulk, in the order asked": async (directories) => {
    await directories.putClosure([keep, complicated]);
    assert.deepEqual(await directories.has([ABSENT, complicated.digest()]), [false, true]);
    assert.deepEqual(await directories.has([]), []);
  },
  "puts several at once": async (directories) => {
    const digests = await directories.put([keep, complicated, keep]);
    assert.deepEqual(digests.map(digestHex), hex(keep, complicated, keep));
    assert.ok((await directories.get(complicated.digest()))?.equals(complicated));
  },
  "gives a closure parents first, each directory once": async (directories) => {
    await directories.putClosure([keep, complicated, diamond]);
    const got = await collect(directories.getClosure(diamond.digest()));
    assert.equal(got[0], hex(diamond)[0]);
    assert.deepEqual(new Set(got), new Set(hex(diamond, complicated, keep)));
    assert.equal(got.length, 3);
  },
  "gives nothing for a closure whose root is absent": async (directories) => {
    assert.deepEqual(await collect(directories.getClosure(ABSENT)), []);
  },
  "allows repeats in a closure and asynchronous sources": async (directories) => {
    async function* source() {
      yield* [keep, keep, complicated];
    }
    assert.equal(digestHex(await directories.putClosure(source())), hex(complicated)[0]);
    assert.equal((await collect(directories.getClosure(complicated.digest()))).length, 2);
  },
  "refuses closures in the wrong order, with two roots, with wrong sizes, or empty": async (directories) => {
    const code = (closure: Directory[], expected: string) =>
      assert.rejects(directories.putClosure(closure), { code: expected });
    await code([complicated, keep], "ERR_CASTORE_CLOSURE_ORDER");
    await code([complicated], "ERR_CASTORE_CLOSURE_ORDER");
    await code([keep, EMPTY_DIRECTORY], "ERR_CASTORE_CLOSURE_ROOT");
    await code([keep, complicated, keep], "ERR_CASTORE_CLOSURE_ROOT");
    await code([], "ERR_CASTORE_CLOSURE_EMPTY");
    const lying = Directory.of([{ name: encodeUtf8("keep"), node: { ...keep.node(), size: 7 } }]);
    await code([keep, lying], "ERR_CASTORE_CLOSURE_SIZE");
    assert.equal(await directories.get(lying.digest()), undefined);
  },
  "reads directories whose child sizes follow the rule before 2024": async (directories) => {
    const old = Directory.of([{ name: encodeUtf8("keep"), node: { ...keep.node(), size: 1 } }]);
    await directories.putClosure([keep, old]);
    assert.equal((await collect(directories.getClosure(old.digest()))).length, 2);
  },
  "holds many directories and deep ones": async (directories) => {
    const chain: Directory[] = [EMPTY_DIRECTORY];
    for (let i = 0; i < 300; i++) {
      chain.push(Directory.of([{ name: encodeUtf8(`d${i}`), node: (chain.at(-1) as Directory).node() }]));
    }
    const root = await directories.putClosure(chain);
    assert.equal((await collect(directories.getClosure(root))).length, 301);
  },
};

/** The contract of a {@link DirectoryService}. `open` gives a fresh service without directories for each test. */
export function directoryServiceContract(
  name: string,
  runner: TestRunner,
  open: () => Promise<Subject<DirectoryService>>,
): void {
  suite(`directory service: ${name}`, runner, open, directoryTests);
}
