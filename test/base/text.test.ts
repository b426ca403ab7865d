import { fc } from "../property.ts";
import { describe, expect, test } from "vitest";
import { bytesToLatin1, decodeUtf8, displayBytes, encodeUtf8, latin1ToBytes } from "../../lib/base/text.ts";

describe("text", () => {
  test("latin1 holds every byte", () => {
    fc.assert(
      fc.property(fc.uint8Array(), (b) => {
        expect(latin1ToBytes(bytesToLatin1(b))).toEqual(b);
      }),
    );
  });
  test("invalid UTF-8 is refused, a byte order mark is kept", () => {
    expect(decodeUtf8(Uint8Array.of(0xc3))).toBeUndefined();
    expect(decodeUtf8(encodeUtf8("\ufeffx"))).toBe("\ufeffx");
  });
  test("shown bytes carry no control characters", () => {
    expect(displayBytes(Uint8Array.of(0x61, 0x00, 0x1b))).toBe("a\\x00\\x1b");
    expect(displayBytes(Uint8Array.of(0x61, 0xff))).toBe("a\\xff");
  });
});
