import { fc } from "../property.ts";
import { describe, expect, test } from "vitest";
import { formatConf, parseConf, resolveConf } from "../../lib/formats/conf.ts";
import { codeOf } from "./codes.ts";

describe("nix.conf", () => {
  // What Nix 2.8 makes of the same text.
  test("words, comments, includes", () => {
    const text =
      "# comment\n\nsandbox  =   false   # c\nsubstituters = a\tb\ninclude other.conf\n!include  perhaps.conf\nx = a=b\nempty =\n";
    expect(parseConf(text)).toEqual([
      { type: "setting", name: "sandbox", value: "false", line: 3 },
      { type: "setting", name: "substituters", value: "a b", line: 4 },
      { type: "include", path: "other.conf", optional: false, line: 5 },
      { type: "include", path: "perhaps.conf", optional: true, line: 6 },
      { type: "setting", name: "x", value: "a=b", line: 7 },
      { type: "setting", name: "empty", value: "", line: 8 },
    ]);
  });

  test("later lines win, extra- adds", () => {
    const lines = parseConf("a = 1\nextra-s = c\na = 2\nextra-s = d e\nextra-new = x\n");
    expect(resolveConf(lines, new Map([["s", "b"]]))).toEqual(
      new Map([
        ["s", "b c d e"],
        ["a", "2"],
        ["new", "x"],
      ]),
    );
  });

  test.each(["keep-going=true", "word", "include", "include a b", "a b = c"])("%s is refused", (text) => {
    expect(codeOf(() => parseConf(text))).toBe("ERR_CONF_SYNTAX");
  });

  test("what is written reads back", () => {
    const word = fc.string({ unit: fc.constantFrom("a", "-", "é", "="), minLength: 1, maxLength: 5 });
    const name = word.filter((each) => !each.includes("=") && !each.startsWith("extra-"));
    fc.assert(
      fc.property(fc.array(fc.tuple(name, fc.array(word))), (entries) => {
        const settings = new Map(entries.map(([key, words]) => [key, words.join(" ")]));
        expect(resolveConf(parseConf(formatConf(settings)))).toEqual(settings);
      }),
    );
    expect(codeOf(() => formatConf(new Map([["a", "b\nc = d"]])))).toBe("ERR_CONF_VALUE");
    expect(codeOf(() => formatConf(new Map([["a b", "c"]])))).toBe("ERR_CONF_VALUE");
  });

  test("arbitrary text throws typed errors only", () => {
    fc.assert(fc.property(fc.string({ unit: "binary" }), (text) => void codeOf(() => parseConf(text))));
  });
});
