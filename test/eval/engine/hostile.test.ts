import { fc } from "../../property.ts";
import { expect, test } from "vitest";
import { bytesToLatin1 } from "../../../lib/base/text.ts";
import { JSON_BUILDER } from "../../../lib/eval/builtins/json.ts";
import { Regex } from "../../../lib/eval/engine/regex/regex.ts";
import { Replacer } from "../../../lib/eval/engine/replace.ts";
import { parseToml } from "../../../lib/eval/engine/toml.ts";
import { compareVersions, parseDrvName, splitVersion } from "../../../lib/eval/engine/version.ts";
import { EvalError } from "../../../lib/eval/error.ts";

const bytes = fc.uint8Array({ maxLength: 60 }).map(bytesToLatin1);

function answersOrRefuses(run: () => unknown): void {
  try {
    run();
  } catch (error) {
    if (!(error instanceof EvalError)) throw error;
  }
}

test("TOML: any text ends in a value or an error", () => {
  const piece = fc.constantFrom(
    ..."[]{}=,.#\"'\\\n\r\t 01x_+-eE".split(""),
    "a",
    "b",
    '"""',
    "'''",
    "inf",
    "1979-05-27",
    "\\u00e9",
    "\u00ff",
  );
  const text = fc.array(piece, { maxLength: 25 }).map((pieces) => pieces.join(""));
  fc.assert(
    fc.property(fc.oneof(bytes, text), (document) => answersOrRefuses(() => parseToml(document, JSON_BUILDER))),
    { numRuns: 3000 },
  );
});

test("TOML: depth is bounded, and says so", () => {
  expect(() => parseToml(`a=${"[".repeat(100_000)}`, JSON_BUILDER)).toThrow("nested more than 1000 deep at line 1");
  expect(() => parseToml(`a=${"{a=".repeat(100_000)}`, JSON_BUILDER)).toThrow("nested more than 1000 deep");
  const keys = (length: number): string => Array.from({ length }, () => "a").join(".");
  expect(() => parseToml(`${keys(100_000)}=1`, JSON_BUILDER)).toThrow("more than 1000 parts");
  expect(() => parseToml(`[${keys(1000)}]\n${keys(1000)}=1`, JSON_BUILDER)).not.toThrow();
});

test("regular expressions: any pattern on any subject ends in an answer or an error", () => {
  fc.assert(
    fc.property(bytes, bytes, (pattern, subject) =>
      answersOrRefuses(() => {
        const regex = new Regex(pattern);
        regex.match(subject);
        const parts = regex.split(subject);
        expect(parts.length % 2).toBe(1);
      }),
    ),
    { numRuns: 1000 },
  );
});

test("the parts of a split and what was between them are the whole", () => {
  fc.assert(
    fc.property(fc.string({ unit: fc.constantFrom("a", "b", "-") }), (subject) => {
      const texts = new Regex("(-+)").split(subject);
      expect(texts.map((part) => (Array.isArray(part) ? part[0] : part)).join("")).toBe(subject);
    }),
  );
});

test("replacing several strings is what trying them in order at each place does", () => {
  const model = (text: string, from: readonly string[]): string => {
    let out = "";
    for (let at = 0; at <= text.length; ) {
      const found = from.findIndex((sought) => text.startsWith(sought, at));
      const length = found === -1 ? 0 : (from[found] as string).length;
      out += (found === -1 ? "" : `<${found}>`) + (length === 0 ? text.charAt(at) : "");
      at += Math.max(1, length);
    }
    return out;
  };
  const letters = fc.string({ unit: fc.constantFrom("a", "b", "c"), maxLength: 3 });
  fc.assert(
    fc.property(fc.array(letters, { maxLength: 7 }), fc.array(letters, { maxLength: 9 }), (from, pieces) => {
      const text = pieces.join("");
      expect(new Replacer(from).replace(text, (i) => `<${i}>`)).toBe(model(text, from));
    }),
    { numRuns: 1000 },
  );
});

test("replacing single strings is what JavaScript's replaceAll does", () => {
  const text = fc.string({ unit: fc.constantFrom("a", "b", "c"), maxLength: 20 });
  const sought = fc.string({ unit: fc.constantFrom("a", "b"), minLength: 1, maxLength: 3 });
  fc.assert(
    fc.property(text, sought, (subject, from) => {
      expect(new Replacer([from]).replace(subject, () => "<>")).toBe(subject.replaceAll(from, "<>"));
    }),
  );
});

test("versions: comparing is antisymmetric, and what is split off a name can be put back", () => {
  const version = fc.string({ unit: fc.constantFrom("1", "0", ".", "-", "a", "pre", "9999999999"), maxLength: 8 });
  fc.assert(
    fc.property(version, version, (a, b) => {
      expect(compareVersions(a, b) + compareVersions(b, a)).toBe(0);
      expect(splitVersion(a).join("")).toBe(a.replace(/[.-]/g, ""));
      const { name, version: rest } = parseDrvName(a);
      expect(rest === "" ? name : `${name}-${rest}`).toBe(a);
    }),
  );
});
