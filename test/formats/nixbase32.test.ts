import { fc } from "../property.ts";
import { describe, expect, test } from "vitest";
import { compareBytes, fromHex } from "../../lib/base/bytes.ts";
import * as base32 from "../../lib/formats/nixbase32.ts";
import { codeOf } from "./codes.ts";

const bytes = (hex: string): Uint8Array => fromHex(hex) as Uint8Array;

describe("nixbase32", () => {
  test.each([
    ["", ""],
    ["1f", "0z"],
    ["8a12321522fd91efbd60ebb2481af88580f61600", "00bgd045z0d4icpbc2yyz4gx48ak44la"],
  ])("%s is %s", (hex, text) => {
    expect(base32.encode(bytes(hex))).toBe(text);
    expect(base32.decode(text)).toEqual(bytes(hex));
  });

  test.each([
    [16, 26],
    [20, 32],
    [32, 52],
    [64, 103],
  ])("%i bytes take %i digits", (size, digits) => {
    expect(base32.encodedLength(size)).toBe(digits);
    expect(base32.encode(new Uint8Array(size))).toBe("0".repeat(digits));
  });

  test.each([
    ["zz", "ERR_NIXBASE32_SURPLUS_BITS"],
    ["c0", "ERR_NIXBASE32_SURPLUS_BITS"],
    ["0", "ERR_NIXBASE32_LENGTH"],
    ["0zz", "ERR_NIXBASE32_LENGTH"],
    ["0e", "ERR_NIXBASE32_DIGIT"],
    ["0Z", "ERR_NIXBASE32_DIGIT"],
    ["0é", "ERR_NIXBASE32_DIGIT"],
    ["0\u0130", "ERR_NIXBASE32_DIGIT"],
  ])("%s is refused", (text, code) => {
    expect(codeOf(() => base32.decode(text))).toBe(code);
  });

  test("round trips", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 70 }), (b) => {
        expect(base32.decode(base32.encode(b))).toEqual(b);
      }),
    );
  });

  test("any text is either refused or the one encoding of its bytes", () => {
    fc.assert(
      fc.property(
        fc.string({ unit: fc.constantFrom("0", "1", "5", "b", "f", "g", "r", "z"), maxLength: 60 }),
        (text) => {
          if (codeOf(() => base32.decode(text)) === undefined) expect(base32.encode(base32.decode(text))).toBe(text);
        },
      ),
    );
  });

  test("orders as the reversed bytes do", () => {
    const digest = fc.uint8Array({ minLength: 20, maxLength: 20 });
    fc.assert(
      fc.property(digest, digest, (a, b) => {
        const order = compareBytes(a.toReversed(), b.toReversed());
        const texts = [base32.encode(a), base32.encode(b)] as const;
        expect(texts[0] < texts[1] ? -1 : Number(texts[0] > texts[1])).toBe(Math.sign(order));
      }),
    );
  });
});
