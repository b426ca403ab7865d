import { fc } from "../property.ts";
import { describe, expect, test } from "vitest";
import { concatBytes } from "../../lib/base/bytes.ts";
import { TvixError } from "../../lib/base/error.ts";
import { readBzip2 } from "../../lib/formats/bzip2.ts";
import {
  type Compression,
  compress,
  compressionExtension,
  decompress,
  detectCompression,
  parseCompression,
} from "../../lib/formats/compress.ts";
import { codeOf, codeOfAsync } from "./codes.ts";
import { golden } from "./golden.ts";
import { collectBytes, pieces } from "./pieces.ts";

const SAMPLE = golden("compress/sample");
const names = ["gzip", "br", "bzip2", "xz", "zstd"] as const;

const compressed = (name: Compression): Uint8Array => golden(`compress/sample${compressionExtension(name)}`);
const read = (name: Compression, bytes: Uint8Array, size = 4096): Promise<Uint8Array> =>
  collectBytes(decompress(name, pieces(bytes, size)));

describe("compression", () => {
  test.each(names)("%s made by its own tool is read, in pieces of any size", async (name) => {
    for (const size of [7, 1000, 1 << 20]) expect(await read(name, compressed(name), size)).toEqual(SAMPLE);
  });

  test.each(names)("%s that is cut off, empty, or not what it says is refused", async (name) => {
    const bytes = compressed(name);
    const half = bytes.length >> 1;
    for (const bad of [new Uint8Array(0), bytes.subarray(0, 3), bytes.subarray(0, half), bytes.subarray(0, -3)]) {
      expect(await codeOfAsync(() => read(name, bad))).toMatch(/^ERR_(COMPRESS_CORRUPT|BZIP2_TRUNCATED)$/);
    }
    const other = name === "gzip" ? compressed("bzip2") : compressed("gzip");
    expect(await codeOfAsync(() => read(name, other))).toMatch(/^ERR_(COMPRESS|BZIP2)_CORRUPT$/);
  });

  test.each(names)("%s with bytes changed throws typed errors only", async (name) => {
    const bytes = compressed(name);
    await fc.assert(
      fc.asyncProperty(fc.array(fc.tuple(fc.nat(bytes.length - 1), fc.nat(255)), { minLength: 1 }), async (changes) => {
        const changed = bytes.slice();
        for (const [at, byte] of changes) changed[at] = byte;
        await codeOfAsync(() => read(name, changed));
      }),
      { numRuns: 40 },
    );
  });

  test("what is compressed reads back", async () => {
    for (const name of ["none", "gzip", "br", "zstd"] as const) {
      const bytes = await collectBytes(compress(name, pieces(SAMPLE, 1000)));
      expect(await read(name, bytes)).toEqual(SAMPLE);
    }
    expect(await codeOfAsync(() => collectBytes(compress("xz", pieces(SAMPLE, 9))))).toBe("ERR_COMPRESS_UNAVAILABLE");
    expect(await read("none", new Uint8Array(0))).toEqual(new Uint8Array(0));
  });

  test("the source's own errors come through, whichever the decoder", async () => {
    async function* failing(bytes: Uint8Array): AsyncGenerator<Uint8Array, void, undefined> {
      yield bytes.subarray(0, 20);
      throw new TvixError("ERR_TEST_SOURCE", "the network is gone");
    }
    for (const name of ["none", ...names] as const) {
      const bytes = name === "none" ? SAMPLE : compressed(name);
      expect(await codeOfAsync(() => collectBytes(decompress(name, failing(bytes)))), name).toBe("ERR_TEST_SOURCE");
    }
  });

  test.each(names)("%s stops reading when nobody wants more", async (name) => {
    let closed = false;
    async function* endless(): AsyncGenerator<Uint8Array, void, undefined> {
      try {
        for (;;) yield compressed(name);
      } finally {
        closed = true;
      }
    }
    for await (const _ of decompress(name, endless())) break;
    await expect.poll(() => closed).toBe(true);
  });

  test("names, extensions, first bytes", () => {
    expect(["none", "gzip", "br", "bzip2", "xz", "zstd"].map(parseCompression).map(compressionExtension)).toEqual([
      "",
      ".gz",
      ".br",
      ".bz2",
      ".xz",
      ".zst",
    ]);
    expect(codeOf(() => parseCompression("lrzip"))).toBe("ERR_COMPRESS_UNKNOWN");
    expect(codeOf(() => parseCompression("constructor"))).toBe("ERR_COMPRESS_UNKNOWN");
    for (const name of ["gzip", "bzip2", "xz", "zstd"] as const) expect(detectCompression(compressed(name))).toBe(name);
    expect(detectCompression(SAMPLE)).toBe("none");
    expect(detectCompression(Uint8Array.of(0x1f))).toBe("none");
  });
});

describe("bzip2", () => {
  const bytes = compressed("bzip2");
  const run = (input: Uint8Array): Promise<string | undefined> =>
    codeOfAsync(() => collectBytes(readBzip2(pieces(input, 99))));
  /** The sample with bits flipped at a byte. */
  const flipped = (at: number, bits: number): Uint8Array => bytes.map((byte, i) => (i === at ? byte ^ bits : byte));

  test("several streams are one", async () => {
    expect(await read("bzip2", concatBytes([bytes, bytes]))).toEqual(concatBytes([SAMPLE, SAMPLE]));
  });

  test("a stream without blocks is empty", async () => {
    const empty = Uint8Array.of(0x42, 0x5a, 0x68, 0x39, 0x17, 0x72, 0x45, 0x38, 0x50, 0x90, 0, 0, 0, 0);
    expect(await read("bzip2", empty)).toEqual(new Uint8Array(0));
  });

  test.each([
    ["a wrong level", flipped(3, 0x20), "ERR_BZIP2_CORRUPT"],
    ["a wrong block mark", flipped(4, 1), "ERR_BZIP2_CORRUPT"],
    ["a wrong block checksum", flipped(10, 1), "ERR_BZIP2_CHECKSUM"],
    ["a randomised block", flipped(14, 0x80), "ERR_BZIP2_CORRUPT"],
    ["a wrong stream checksum", flipped(bytes.length - 2, 1), "ERR_BZIP2_CHECKSUM"],
    ["what follows the end", concatBytes([bytes, Uint8Array.of(1)]), "ERR_BZIP2_TRUNCATED"],
    ["more of what follows the end", concatBytes([bytes, new Uint8Array(9)]), "ERR_BZIP2_CORRUPT"],
  ])("%s is refused", async (_, input, code) => {
    expect(await run(input)).toBe(code);
  });

  test("a file of a gigabyte in a few bytes leaves in small pieces", async () => {
    // 900 kB of packed runs of 259 zeros a block: what a decompression bomb is made of.
    const zeros = concatBytes(Array.from({ length: 50 }, () => golden("compress/zeros.bz2")));
    let total = 0;
    for await (const piece of readBzip2(pieces(zeros, 4096))) {
      expect(piece.length).toBeLessThanOrEqual(65536);
      total += piece.length;
      if (total > 20_000_000) break;
    }
    expect(total).toBeGreaterThan(20_000_000);
  });
});
