import { readFileSync } from "node:fs";
import { fc } from "../../property.ts";
import { describe, expect, test } from "vitest";
import { bytesToLatin1, encodeUtf8, latin1ToBytes } from "../../../lib/base/text.ts";
import { type JsonBuilder, parseJson } from "../../../lib/eval/engine/json-parse.ts";
import { jsonFloat, JsonOutput } from "../../../lib/eval/engine/json-write.ts";
import { utf8Fault } from "../../../lib/eval/engine/utf8.ts";
import { EvalError } from "../../../lib/eval/error.ts";
import { formatFixed } from "../../../lib/eval/text/float.ts";

/** Builds what JSON.parse builds; strings stay one char per byte. */
const PLAIN: JsonBuilder<unknown, readonly string[]> = {
  null: null,
  true: true,
  false: false,
  integer: (value) => value,
  bigInteger: Number,
  float: (value) => value,
  string: (text) => text,
  list: (items) => items,
  layout: (names) => names,
  object: (names, values) =>
    Object.defineProperties(
      {},
      Object.fromEntries(
        names.map((name, i) => [name, { value: values[i], enumerable: true, configurable: true, writable: true }]),
      ),
    ),
};

const latin1 = (text: string): string => bytesToLatin1(encodeUtf8(text));

/** All strings inside, and names, in UTF-8 bytes. */
function inBytes(value: unknown): unknown {
  if (typeof value === "string") return latin1(value);
  if (Array.isArray(value)) return value.map(inBytes);
  if (typeof value !== "object" || value === null) return Object.is(value, -0) ? 0 : value;
  return PLAIN.object(Object.keys(value).map(latin1), Object.values(value).map(inBytes));
}

describe("reading JSON", () => {
  test("gives what JSON.parse gives", () => {
    fc.assert(
      fc.property(fc.jsonValue({ noUnicodeString: false }), fc.constantFrom(0, 1, 3), (value, indent) => {
        // What cannot be encoded (lone surrogates) is no text.
        fc.pre(!/\\ud[89a-f]/i.test(JSON.stringify(value)));
        expect(parseJson(latin1(JSON.stringify(value, null, indent)), PLAIN)).toEqual(inBytes(value));
      }),
      { numRuns: 50 },
    );
  });

  test("accepts what JSON.parse accepts, and refuses the rest with an error of ours", () => {
    const piece = fc.constantFrom(
      ...'[]{},:"\\ntfu0123456789.eE+- \t'.split(""),
      "true",
      "null",
      '"a"',
      "\\u00e9",
      "1e5",
      "é",
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 12 }), (pieces) => {
        const text = pieces.join("");
        let expected: unknown;
        try {
          expected = JSON.parse(text);
        } catch {
          expected = undefined;
        }
        try {
          expect(parseJson(latin1(text), PLAIN)).toEqual(inBytes(expected));
        } catch (error) {
          if (!(error instanceof EvalError)) throw error;
          expect(error.code).toBe("ERR_EVAL_JSON");
          // Only numbers too large for a float and lone surrogates divide us.
          expect(expected === undefined || /overflow|surrogate/.test(error.message)).toBe(true);
        }
      }),
      { numRuns: 2000 },
    );
  });

  test("any bytes end in a value or an error", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
        try {
          parseJson(bytesToLatin1(bytes), PLAIN);
        } catch (error) {
          expect(error).toBeInstanceOf(EvalError);
        }
      }),
    );
  });

  test("depth is bounded by memory only", () => {
    const depth = 500_000;
    let value = parseJson("[".repeat(depth) + "]".repeat(depth), PLAIN);
    let seen = 0;
    for (; Array.isArray(value); value = value[0]) seen++;
    expect(seen).toBe(depth);
  });

  test("objects of many kinds, and with names repeated", () => {
    const kinds = Array.from({ length: 30_000 }, (_, i) => `{"k${i}":${i},"x":1}`);
    expect(parseJson(`[${kinds.join(",")},{"k7":1,"x":2}]`, PLAIN)).toHaveLength(30_001);
    expect(parseJson('[{"a":1,"b":2},{"a":1,"c":3},{"a":1,"b":4},{"ab":5},{"a":1,"a":2}]', PLAIN)).toEqual([
      { a: 1, b: 2 },
      { a: 1, c: 3 },
      { a: 1, b: 4 },
      { ab: 5 },
      { a: 2 },
    ]);
  });
});

describe("writing JSON", () => {
  test("strings read back", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), (text) => {
        const out = new JsonOutput();
        out.string(latin1(text));
        expect(out.text).toBe(latin1(JSON.stringify(text).replace(/\\u007f/g, "\x7f")));
        expect(parseJson(out.text, PLAIN)).toBe(latin1(text));
      }),
    );
  });

  test("floats are written as Nix writes them", () => {
    const recorded = JSON.parse(readFileSync(new URL("../../data/eval/floats.json", import.meta.url), "utf8")) as [
      string,
      string,
      string,
    ][];
    expect(recorded.length).toBeGreaterThan(300);
    for (const [value, json, fixed] of recorded) {
      expect(jsonFloat(Number(value))).toBe(json);
      expect(formatFixed(Number(value))).toBe(fixed);
    }
  });

  test("floats read back", () => {
    fc.assert(
      fc.property(fc.double({ noNaN: true, noDefaultInfinity: true }), (value) => {
        expect(Number(jsonFloat(value))).toBe(value);
        expect(jsonFloat(value)).toMatch(/[.e]/);
      }),
      { numRuns: 2000 },
    );
    expect(jsonFloat(Number.NaN)).toBe("null");
  });
});

test("UTF-8 is what TextDecoder takes for it", () => {
  const decoder = new TextDecoder("utf-8", { fatal: true });
  const byte = fc.constantFrom(
    0x41,
    0x80,
    0x8f,
    0x90,
    0x9f,
    0xa0,
    0xbf,
    0xc0,
    0xc2,
    0xe0,
    0xe1,
    0xed,
    0xf0,
    0xf4,
    0xf5,
  );
  fc.assert(
    fc.property(fc.array(byte, { maxLength: 6 }), (bytes) => {
      const text = String.fromCharCode(...bytes);
      let valid = true;
      try {
        decoder.decode(latin1ToBytes(text));
      } catch {
        valid = false;
      }
      expect(utf8Fault(text) === -1).toBe(valid);
    }),
    { numRuns: 3000 },
  );
});
