// FastCDC: the vectors of the format's description, and pieces against the whole.
import { createHash } from "node:crypto";
import { fc } from "../property.ts";
import { describe, expect, test } from "vitest";
import { concatBytes, toHex } from "../../lib/base/bytes.ts";
import { blake3 } from "../../lib/native/blake3.ts";
import { Chunker, chunkLengths } from "../../lib/native/chunk.ts";
import { noise } from "./trees.ts";

/** sha256 of an 8-byte big-endian counter, for 0, 1, 2, …, cut to `size` bytes. */
function counterStream(size: number): Uint8Array {
  const out = new Uint8Array(Math.ceil(size / 32) * 32);
  const counter = Buffer.alloc(8);
  for (let i = 0; i * 32 < size; i++) {
    counter.writeBigUInt64BE(BigInt(i));
    out.set(createHash("sha256").update(counter).digest(), i * 32);
  }
  return out.subarray(0, size);
}

describe("chunkLengths", () => {
  test("the vector for chunks of 128, 256 and 512 KiB", () => {
    const stream = counterStream(4_206_649);
    expect(createHash("sha256").update(stream).digest("hex")).toBe(
      "55b2346b7826a2b8311dbe6428cc8ad9f31755bd716cc4d7487439ed4453a5f7",
    );
    expect([...chunkLengths(stream)]).toEqual([
      300369, 280185, 223385, 205363, 321680, 319739, 315571, 313612, 277184, 287192, 508036, 289414, 471079, 93840,
    ]);
    expect(
      [stream.subarray(0, 300_369), stream.subarray(300_369, 580_554)].map((chunk) => toHex(blake3(chunk))),
    ).toEqual([
      "71e7da987fa54f2c94d96a391fa206b25332cb84fa367c0b5a1dba145c2f2b8c",
      "4e6bd4f8fd5d850722e45768cd9d5d0581a8c639073d4d1f922aa00400f4609c",
    ]);
  });

  test("zeros are never cut before the maximum", () => {
    expect([...chunkLengths(new Uint8Array(3_000_001))]).toEqual([524288, 524288, 524288, 524288, 524288, 378561]);
  });

  test("no chunk for nothing, one for little", () => {
    expect([...chunkLengths(new Uint8Array(0))]).toEqual([]);
    expect([...chunkLengths(new Uint8Array(1))]).toEqual([1]);
    expect([...chunkLengths(noise(131_072, 1))]).toEqual([131_072]);
  });

  test("a changed byte moves only the cuts around it", () => {
    const before = noise(1 << 20, 5);
    const after = concatBytes([before.subarray(0, 500_000), new Uint8Array(1), before.subarray(500_000)]);
    const ends = (lengths: Uint32Array): number[] => {
      let at = 0;
      return [...lengths].map((length) => (at += length));
    };
    const params = { average: 4096 };
    const old = new Set(ends(chunkLengths(before, params)).map((end) => before.length - end));
    const kept = ends(chunkLengths(after, params)).filter((end) => old.has(after.length - end));
    expect(kept.length).toBeGreaterThan(old.size * 0.4);
  });

  test("averages that are refused", () => {
    for (const average of [0, 1022, 1025, 1026, 1 << 24, 2000.5, Number.NaN]) {
      expect(() => chunkLengths(new Uint8Array(1), { average })).toThrowError(
        expect.objectContaining({ code: "ERR_CHUNK_PARAMS" }),
      );
    }
  });
});

test("Chunker: pieces of any size give the same cuts, twice over", () => {
  fc.assert(
    fc.property(
      fc.integer(),
      fc.nat(60_000),
      fc.array(fc.integer({ min: 1, max: 9000 }), { minLength: 1 }),
      (seed, size, steps) => {
        const blob = noise(size, seed);
        const params = { average: 1024 };
        const chunker = new Chunker(params);
        for (let round = 0; round < 2; round++) {
          const lengths: number[] = [];
          for (let at = 0, i = 0; at < size; i++) {
            const step = steps[i % steps.length] as number;
            lengths.push(...chunker.push(blob.subarray(at, at + step)));
            at += step;
          }
          lengths.push(...chunker.end());
          expect(lengths).toEqual([...chunkLengths(blob, params)]);
        }
      },
    ),
  );
});
