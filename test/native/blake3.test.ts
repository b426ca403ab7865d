// BLAKE3: all implementations here, our TypeScript, @noble/hashes and b3sum agree, however the input is given.
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { blake3 as noble } from "@noble/hashes/blake3.js";
import { fc } from "../property.ts";
import { afterAll, describe, expect, it, test } from "vitest";
import { toHex } from "../../lib/base/bytes.ts";
import { TvixError } from "../../lib/base/error.ts";
import {
  Blake3,
  blake3,
  blake3Async,
  blake3Blobs,
  blake3File,
  blake3Implementation,
  blake3Implementations,
  forceBlake3Implementation,
} from "../../lib/native/blake3.ts";
import { Blake3Portable, blake3Portable } from "../../lib/native/blake3-portable.ts";

// The input of the published vectors.
const data = Uint8Array.from({ length: 1_500_000 }, (_, i) => i % 251);
const prefix = (length: number): Uint8Array => data.subarray(0, length);
const published = [
  0, 1, 2, 3, 4, 5, 6, 7, 8, 63, 64, 65, 127, 128, 129, 1023, 1024, 1025, 2048, 2049, 3072, 3073, 4096, 4097, 5120,
  5121, 6144, 6145, 7168, 7169, 8192, 8193, 16384, 31744, 102400,
];
const expected = new Map<number, string>();
for (const length of [...Array(8194).keys(), ...published]) expected.set(length, toHex(noble(prefix(length))));

const folder = mkdtempSync(join(tmpdir(), "tvix-blake3-"));
afterAll(() => rmSync(folder, { recursive: true }));

describe.each([...blake3Implementations()])("the %s implementation", (name) => {
  it("gives the digests of every length to 8193 and of the published lengths", () => {
    forceBlake3Implementation(name);
    try {
      expect(blake3Implementation()).toBe(name);
      const wrong = [...expected].filter(([length, hex]) => toHex(blake3(prefix(length))) !== hex);
      expect(wrong.map(([length]) => length)).toEqual([]);
    } finally {
      forceBlake3Implementation("auto");
    }
  });

  it("gives the same in pieces, in copies and in batches", () => {
    forceBlake3Implementation(name);
    try {
      fc.assert(
        fc.property(fc.array(fc.nat(40_000), { maxLength: 12 }), fc.nat(12), (sizes, at) => {
          const whole = new Blake3();
          let fork = whole.copy();
          let from = 0;
          const pieces = sizes.map((size) => data.subarray(from, (from += size)));
          pieces.forEach((piece, i) => {
            whole.update(piece);
            if (i < at) fork = whole.copy();
            else fork.update(piece);
          });
          expect(whole.digest()).toEqual(blake3(prefix(from)));
          expect(fork.digest()).toEqual(whole.digest());
          expect(blake3Blobs(pieces)).toEqual(pieces.map((piece) => blake3(piece)));
        }),
        { numRuns: 40 },
      );
    } finally {
      forceBlake3Implementation("auto");
    }
  });
});

describe("implementations by name", () => {
  it("refuses those this machine does not have", () => {
    expect(blake3Implementations().at(-1)).toBe("portable");
    expect(() => forceBlake3Implementation("avx1024")).toThrow(RangeError);
    expect(() => forceBlake3Implementation(1 as unknown as string)).toThrow(/name must be a string/);
    expect(blake3Implementation()).toBe(blake3Implementations()[0]);
  });
});

describe("BLAKE3 in TypeScript", () => {
  it("gives the digests of every length to 8193 and of the published lengths", () => {
    const wrong = [...expected].filter(([length, hex]) => toHex(blake3Portable(prefix(length))) !== hex);
    expect(wrong.map(([length]) => length)).toEqual([]);
  });

  it("gives the same in pieces and in copies", () => {
    fc.assert(
      fc.property(fc.array(fc.nat(3000), { maxLength: 8 }), (sizes) => {
        const whole = new Blake3Portable();
        let from = 0;
        for (const size of sizes) {
          const fork = whole.copy().update(data.subarray(from, from + size));
          whole.update(data.subarray(from, from + size));
          from += size;
          expect(fork.digest()).toEqual(whole.digest());
        }
        expect(toHex(whole.digest())).toBe(toHex(blake3(prefix(from))));
      }),
      { numRuns: 40 },
    );
  });

  it("refuses what is not bytes", () => {
    expect(() => new Blake3Portable().update("text" as unknown as Uint8Array)).toThrow(/bytes must be a Uint8Array/);
  });
});

describe("off the event loop", () => {
  it("agrees whatever the number of threads", async () => {
    for (const length of [0, 1, 65536, 524_288, 524_289, 1_000_000, data.length]) {
      const digest = blake3(prefix(length));
      for (const threads of [1, 2, 3, 16]) expect(await blake3Async(prefix(length), { threads })).toEqual(digest);
      expect(await blake3Async(prefix(length))).toEqual(digest);
    }
  });

  it("sees only the view's part of a buffer, and keeps the buffer", async () => {
    const digest = blake3(data.subarray(1000, 900_000));
    const promises = Array.from({ length: 8 }, () => blake3Async(data.slice().subarray(1000, 900_000)));
    for (const got of await Promise.all(promises)) expect(got).toEqual(digest);
  });

  it("takes bytes of a buffer that shrinks before it is read", async () => {
    type Resizable = ArrayBuffer & { resize(length: number): void };
    const Buffers = ArrayBuffer as unknown as new (length: number, options: object) => Resizable;
    const buffer = new Buffers(1_000_000, { maxByteLength: 1_000_000 });
    const promise = blake3Async(new Uint8Array(buffer));
    buffer.resize(0);
    expect(await promise).toEqual(blake3(new Uint8Array(1_000_000)));
  });
});

describe("files", () => {
  it("hashes them by one thread and by several", async () => {
    for (const size of [0, 1, 4096, 262_144, 524_288, 524_289, data.length]) {
      const path = join(folder, `size-${size}`);
      writeFileSync(path, prefix(size));
      for (const threads of [1, 2, 5]) {
        expect(await blake3File(path, { threads })).toEqual({ digest: blake3(prefix(size)), size });
      }
    }
  });

  it("takes paths as bytes, in no encoding", async () => {
    const path = Buffer.concat([Buffer.from(join(folder, "name-")), Uint8Array.of(0xff, 0xfe)]);
    writeFileSync(path, "x");
    expect((await blake3File(new Uint8Array(path))).digest).toEqual(blake3(Uint8Array.of(0x78)));
  });

  it("reads files that say they are empty to their end", async () => {
    expect((await blake3File("/proc/version")).size).toBeGreaterThan(0);
  });

  it("says which file cannot be read, and why", async () => {
    const missing = join(folder, "missing");
    const error = await blake3File(missing).catch((e: unknown) => e);
    expect(error).toBeInstanceOf(TvixError);
    expect(error).toMatchObject({
      code: "ERR_NATIVE_READ",
      message: `cannot hash ${missing}: No such file or directory`,
    });
    mkdirSync(join(folder, "directory"));
    await expect(blake3File(join(folder, "directory"))).rejects.toThrow(/directory: not a regular file$/);
    await expect(blake3File("/dev/null")).rejects.toMatchObject({ code: "ERR_NATIVE_READ" });
    await expect(blake3File("a\0b")).rejects.toMatchObject({ code: "ERR_TREE_PATH" });
  });
});

describe("arguments", () => {
  it("are named when they are wrong", async () => {
    const text = "text" as unknown as Uint8Array;
    expect(() => blake3(text)).toThrow(new TypeError("bytes must be a Uint8Array"));
    expect(() => blake3(new Uint16Array(2) as unknown as Uint8Array)).toThrow(TypeError);
    expect(() => new Blake3().update(text)).toThrow(new TypeError("bytes must be a Uint8Array"));
    expect(() => blake3Blobs([new Uint8Array(1), text])).toThrow(new TypeError("blobs[1] must be a Uint8Array"));
    expect(() => blake3Blobs(text as unknown as Uint8Array[])).toThrow(new TypeError("blobs must be an array"));
    await expect(blake3Async(text)).rejects.toThrow(new TypeError("bytes must be a Uint8Array"));
    await expect(blake3Async(prefix(1), { threads: 0 })).rejects.toThrow(/options.threads must be an integer/);
    await expect(blake3Async(prefix(1), { threads: "2" as unknown as number })).rejects.toThrow(TypeError);
    await expect(blake3File(1 as unknown as string)).rejects.toThrow(
      new TypeError("path must be a string or a Uint8Array"),
    );
  });
});

const b3sum = ((): boolean => {
  try {
    execFileSync("b3sum", ["--version"]);
    return true;
  } catch {
    console.warn("b3sum is not installed: NOT comparing with it");
    return false;
  }
})();

test.skipIf(!b3sum)("b3sum gives the same digests", () => {
  const lengths = [...published, 1_048_576, data.length];
  const paths = lengths.map((length) => join(folder, `b3sum-${length}`));
  lengths.forEach((length, i) => writeFileSync(paths[i] as string, prefix(length)));
  const lines = execFileSync("b3sum", ["--no-names", ...paths], { encoding: "utf8" })
    .trim()
    .split("\n");
  expect(lines).toEqual(lengths.map((length) => toHex(blake3(prefix(length)))));
});
