import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { TvixError } from "../../../lib/base/error.ts";
import { compileRegex, Regex } from "../../../lib/eval/engine/regex/regex.ts";
import { parseRegex } from "../../../lib/eval/engine/regex/syntax.ts";
import { translateRegex } from "../../../lib/eval/engine/regex/translation.ts";
import { oraclePresent } from "./oracle.ts";
import { oracleAnswers, ourAnswer, randomCases, type RegexCase } from "./regex-cases.ts";

const recorded = JSON.parse(
  readFileSync(new URL("../../data/eval/regex.json", import.meta.url), "utf8"),
) as RegexCase[];

function refusalOf(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    if (error instanceof TvixError) return error.message.split(" regular expression ")[0] as string;
    throw error;
  }
  return "none";
}

describe("answers recorded from Nix 2.34.8", () => {
  test("there are enough of them", () => {
    expect(recorded.length).toBeGreaterThan(2000);
    expect(recorded.filter((answer) => answer.length === 2).length).toBeGreaterThan(140);
  });
  test.each([
    ["as compiled", false],
    ["on the automaton alone", true],
  ])("%s", (_, automaton) => {
    const wrong = recorded.filter(
      (answer) =>
        JSON.stringify(ourAnswer(answer[0], answer.length === 4 ? answer[1] : "", automaton)) !==
        JSON.stringify(answer),
    );
    expect(wrong).toEqual([]);
  });
});

test.runIf(oraclePresent())("fresh random patterns against the installed Nix", () => {
  const seed = Date.now() % 1_000_000;
  const cases = randomCases(seed, 150, 30).filter(([pattern]) => pattern.length < 30);
  for (const answer of oracleAnswers(cases)) {
    const subject = answer.length === 4 ? answer[1] : "";
    expect(ourAnswer(answer[0], subject), `seed ${seed}`).toEqual(answer);
    expect(ourAnswer(answer[0], subject, true), `seed ${seed}`).toEqual(answer);
  }
});

describe("size", () => {
  const MB = 1 << 20;

  test.each([
    ["(a|b)*c", `${"ab".repeat(MB / 2)}c`, ["b"]],
    ["((a)|b)*", `a${"b".repeat(MB)}`, ["b", "a"]],
    ["(.*)(.*)x", `${"y".repeat(MB)}x`, ["y".repeat(MB), ""]],
  ])("%s on a megabyte", (pattern, subject, groups) => {
    expect(new Regex(pattern).match(subject)).toEqual(groups);
    expect(new Regex(pattern, { translate: false }).match(subject)).toEqual(groups);
  });

  test.each(["(a|a)*b", "(a*)*b", "((a*)*)*b", "(a|aa)+$b", "(a?){30}a{30}b", ".*.*.*.*.*.*b"])(
    "%s cannot be made to backtrack for long",
    (pattern) => {
      expect(compileRegex(pattern).match("a".repeat(5000))).toBeUndefined();
      expect(compileRegex(pattern).split("a".repeat(500))).toHaveLength(1);
    },
  );

  test("splitting is linear in the subject", () => {
    expect(compileRegex("a*b|a").split("a".repeat(20_000)).length).toBe(40_001);
    expect(compileRegex("").split("a".repeat(20_000)).length).toBe(40_003);
    expect(compileRegex("(a|ab)").split("ab".repeat(20_000)).length).toBe(40_001);
    for (const pattern of [" +$", " *$", " +x", "( +)$"]) {
      expect(compileRegex(pattern).split(`${" ".repeat(300_000)}-`).length, pattern).toBe(pattern === " *$" ? 3 : 1);
    }
  });

  test("what is too large is refused", () => {
    expect(refusalOf(() => compileRegex("(".repeat(200_000)))).toBe("memory limit exceeded by");
    expect(refusalOf(() => compileRegex("((((((((a{9}){9}){9}){9}){9}){9}){9}){9})"))).toBe("memory limit exceeded by");
    expect(refusalOf(() => compileRegex("[".repeat(100_000)))).toBe("invalid");
    expect(compileRegex("a".repeat(90_000)).match("a".repeat(90_000))).toEqual([]);
    expect(compileRegex(`a${"*".repeat(50_000)}`).match("aaa")).toEqual([]);
    expect(compileRegex(`${"(".repeat(1000)}a${")".repeat(1000)}`).match("a")).toHaveLength(1000);
  });
});

test("patterns of the kind that nixpkgs uses run as JavaScript", () => {
  for (const pattern of [
    "[[:alnum:]+_?=-][[:alnum:]+._?=-]*",
    "([0-9]+)(.*)",
    "^(.*)-([0-9].*)$",
    "[[:space:]]*(.*[^[:space:]])[[:space:]]*",
    "([a-z]+)://([^/]+)(/.*)?",
  ]) {
    expect(translateRegex(parseRegex(pattern), "match"), pattern).toBeDefined();
  }
  for (const pattern of ["\\.", "(-)", "[ \n\t]+", "/|:", "([0-9]+)"]) {
    expect(translateRegex(parseRegex(pattern), "search")?.maxLength, pattern).toBe(Number.POSITIVE_INFINITY);
  }
  for (const pattern of ["^ *", " *$", "[a-z]*"]) {
    expect(translateRegex(parseRegex(pattern), "search"), pattern).toBeDefined();
  }
  for (const pattern of [".*:.*", "([^/]+).*", "(.+)://(.+)"]) {
    expect(translateRegex(parseRegex(pattern), "match")?.maxLength, pattern).toBe(Number.POSITIVE_INFINITY);
  }
  for (const pattern of ["((a)|b)*", "(x?)*", "(a|a)*b"]) {
    expect(translateRegex(parseRegex(pattern), "match"), pattern).toBeUndefined();
  }
  expect(translateRegex(parseRegex("a|ab"), "search")).toBeUndefined();
});

test("an error names the pattern and says what is wrong where", () => {
  expect(() => compileRegex("a(b")).toThrow("invalid regular expression 'a(b'");
  try {
    compileRegex("[b-a]");
    expect.unreachable();
  } catch (error) {
    expect((error as TvixError).notes).toEqual(["the range 'b-a' is empty (at byte 5)"]);
  }
});

test("the cache returns the same object and stays bounded", () => {
  const regex = compileRegex("cache me");
  expect(compileRegex("cache me")).toBe(regex);
  for (let i = 0; i < 2000; i++) compileRegex(`x${i}`);
  expect(compileRegex("cache me")).not.toBe(regex);
});
