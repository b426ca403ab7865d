// Outboards: made of any pieces they prove exactly the blob's bytes, and no others.
import { fc } from "../property.ts";
import { describe, expect, test } from "vitest";
import { GROUP_SIZE, OutboardBuilder, outboardLength, VerifiedTree } from "../../lib/castore/blob/outboard.ts";
import { digestHex, digestOf } from "../../lib/castore/digest.ts";
import { pseudoRandomBytes } from "../../lib/castore/testing.ts";

function build(bytes: Uint8Array, step = bytes.length || 1) {
  const builder = new OutboardBuilder();
  for (let at = 0; at < bytes.length; at += step) builder.update(bytes.subarray(at, at + step));
  return builder.finish();
}

const corrupt = expect.objectContaining({ code: "ERR_CASTORE_CORRUPT" });
const SIZES = [
  0,
  1,
  1024,
  GROUP_SIZE - 1,
  GROUP_SIZE,
  GROUP_SIZE + 1,
  2 * GROUP_SIZE,
  3 * GROUP_SIZE,
  100_000,
  700_001,
];

describe("an outboard", () => {
  test.each(SIZES)("of %d bytes has the blob's digest as its root, however it was fed", (size) => {
    const bytes = pseudoRandomBytes(size, size + 1);
    const { digest, outboard } = build(bytes);
    expect(digestHex(digest)).toBe(digestHex(digestOf(bytes)));
    expect(outboard.length).toBe(outboardLength(size));
    for (const step of [1000, GROUP_SIZE, 50_000]) {
      expect(Buffer.compare(build(bytes, step).outboard, outboard)).toBe(0);
    }
  });

  test.each(SIZES)("of %d bytes proves every aligned range", (size) => {
    const bytes = pseudoRandomBytes(size, size + 1);
    const { digest, outboard } = build(bytes);
    for (let at = 0; at === 0 || at < size; at += GROUP_SIZE) {
      for (const length of [GROUP_SIZE, 4 * GROUP_SIZE]) {
        if (size <= GROUP_SIZE || at + length <= size || length === GROUP_SIZE) {
          new VerifiedTree(digest, outboard).check(at, bytes.subarray(at, at + length));
        }
      }
    }
  });

  test("a flipped bit in the bytes, the outboard or the digest is found, and only where it matters", () => {
    const bytes = pseudoRandomBytes(300_000, 7);
    const { digest, outboard } = build(bytes);
    const last = Math.floor(bytes.length / GROUP_SIZE);
    fc.assert(
      fc.property(fc.nat(bytes.length - 1), fc.nat(7), fc.nat(last), (where, bit, other) => {
        const damaged = bytes.slice();
        damaged[where] = (damaged[where] as number) ^ (1 << bit);
        const tree = new VerifiedTree(digest, outboard);
        const group = Math.floor(where / GROUP_SIZE);
        const range = (i: number) => damaged.subarray(i * GROUP_SIZE, (i + 1) * GROUP_SIZE);
        expect(() => tree.check(group * GROUP_SIZE, range(group))).toThrow(corrupt);
        if (other !== group) tree.check(other * GROUP_SIZE, range(other));
      }),
    );
    fc.assert(
      fc.property(fc.nat(outboard.length - 1), fc.nat(7), (where, bit) => {
        const damaged = outboard.slice();
        damaged[where] = (damaged[where] as number) ^ (1 << bit);
        const readAll = () => {
          const tree = new VerifiedTree(digest, damaged);
          tree.check(0, bytes);
          if (tree.size !== bytes.length) throw new Error("a wrong size was believed");
        };
        expect(readAll).toThrow(corrupt);
      }),
    );
  });

  test("bytes of one place are no proof for another, nor for more or fewer", () => {
    const bytes = pseudoRandomBytes(10 * GROUP_SIZE, 3);
    bytes.set(bytes.subarray(0, GROUP_SIZE), 5 * GROUP_SIZE);
    const { digest, outboard } = build(bytes);
    const tree = new VerifiedTree(digest, outboard);
    expect(() => tree.check(GROUP_SIZE, bytes.subarray(0, GROUP_SIZE))).toThrow(corrupt);
    expect(() => tree.check(0, bytes.subarray(0, GROUP_SIZE - 1))).toThrow(corrupt);
    tree.check(5 * GROUP_SIZE, bytes.subarray(5 * GROUP_SIZE, 6 * GROUP_SIZE));
  });

  test("of a wrong length is refused", () => {
    const { digest, outboard } = build(pseudoRandomBytes(100_000, 1));
    for (const wrong of [new Uint8Array(0), outboard.subarray(0, 7), outboard.subarray(0, -1)]) {
      expect(() => new VerifiedTree(digest, wrong)).toThrow(corrupt);
    }
  });
});
