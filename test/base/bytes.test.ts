import { fc } from "../property.ts";
import { describe, expect, test } from "vitest";
import { compareBytes, concatBytes, equalBytes, fromHex, toHex } from "../../lib/base/bytes.ts";

describe("bytes", () => {
  test("order is that of memcmp, prefixes first", () => {
    expect(compareBytes(Uint8Array.of(1), Uint8Array.of(1, 0))).toBeLessThan(0);
    expect(compareBytes(Uint8Array.of(0xff), Uint8Array.of(0x7f, 1))).toBeGreaterThan(0);
    expect(compareBytes(Uint8Array.of(3, 4), Uint8Array.of(3, 4))).toBe(0);
  });
  test("hex round trips and refuses what is not hex", () => {
    fc.assert(fc.property(fc.uint8Array(), (b) => equalBytes(fromHex(toHex(b)) ?? new Uint8Array(1), b)));
    expect(fromHex("abc")).toBeUndefined();
    expect(fromHex("zz")).toBeUndefined();
    expect(fromHex("AbCd")).toEqual(Uint8Array.of(0xab, 0xcd));
  });
  test("concat keeps order", () => {
    expect(concatBytes([Uint8Array.of(1), new Uint8Array(0), Uint8Array.of(2, 3)])).toEqual(Uint8Array.of(1, 2, 3));
  });
});
