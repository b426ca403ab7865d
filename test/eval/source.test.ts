// Positions in sources, and the way from bytes to text.

import { fc } from "../property.ts";
import { describe, expect, test } from "vitest";

import { byteStringToText, Source, textToByteString } from "../../lib/eval/source.ts";

describe("positions", () => {
  test("count lines and byte columns from 1", () => {
    const source = Source.string("ab\ncé\n");
    expect(source.position(0)).toEqual({ line: 1, column: 1 });
    expect(source.position(2)).toEqual({ line: 1, column: 3 });
    expect(source.position(3)).toEqual({ line: 2, column: 1 });
    expect(source.position(6)).toEqual({ line: 2, column: 4 });
    expect(source.position(7)).toEqual({ line: 3, column: 1 });
    expect(source.lineCount).toBe(3);
  });

  test("know the line breaks of all systems", () => {
    const source = Source.string("a\r\nb\rc\nd");
    expect([1, 2, 3, 4].map((line) => source.line(line))).toEqual(["a", "b", "c", "d"]);
    expect(source.position(source.text.indexOf("b"))).toEqual({ line: 2, column: 1 });
    expect(source.line(5)).toBe("");
  });

  test("agree with counting by hand on any text", () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom("a", "\n", "bc", "\n\n"), { maxLength: 40 }), (pieces) => {
        const text = pieces.join("");
        const source = Source.string(text);
        for (let i = 0; i <= text.length; i++) {
          const before = text.slice(0, i).split("\n");
          expect(source.position(i)).toEqual({ line: before.length, column: (before.at(-1) as string).length + 1 });
        }
      }),
    );
  });
});

describe("names and directories", () => {
  test("of files", () => {
    expect(Source.file("/a/b.nix", "1")).toMatchObject({ name: "/a/b.nix", directory: "/a", text: "1" });
    expect(Source.file("/b.nix", "1").directory).toBe("/");
  });

  test("of strings and standard input", () => {
    expect(byteStringToText(Source.string("1").name)).toBe("«string»");
    expect(byteStringToText(Source.stdin("1", "/work").name)).toBe("«stdin»");
    expect(Source.stdin("1", "/work").directory).toBe("/work");
  });
});

describe("byte strings", () => {
  test("hold one char per byte", () => {
    expect(textToByteString("é€")).toBe("\xc3\xa9\xe2\x82\xac");
    expect(Source.string(new Uint8Array([0xff, 0x41])).text).toBe("\xffA");
  });

  test("that are not UTF-8 are shown with escapes", () => {
    expect(byteStringToText("a\xff")).toBe("a\\xff");
  });

  test("go there and back", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), (text) => {
        expect(byteStringToText(textToByteString(text))).toBe(text);
      }),
      { numRuns: 50 },
    );
  });
});
