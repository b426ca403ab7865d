// Patterns for names: what fnmatch(3) says of them.
import { spawnSync } from "node:child_process";
import { expect, test } from "vitest";
import { globMatcher } from "../../lib/nix/glob.ts";

const PATTERNS = [
  "*",
  "a*",
  "*.b",
  "a?c",
  "[abc]",
  "[!abc]*",
  "[a-c][^-x]",
  "a[]]b",
  "[]-a]",
  "[a",
  "\\*",
  "\\",
  "a\\.b",
];
PATTERNS.push("[[:digit:]]*", "*[[:upper:]x]", "**a**", "", "a*b*c*d", "[a-]", "[\\]a]", "x.[!.]*", "é?");
const NAMES = [
  "",
  "a",
  "b",
  "abc",
  "a.b",
  "a/b",
  "*",
  "[a",
  "]",
  "a]b",
  "-",
  "1x",
  "X",
  "ax",
  ".a",
  "x.y",
  "axbxcxd",
  "\\",
  "é1",
];

/** What Python's binding of the C library says; it has no other way to be asked from a test. */
function byLibrary(): boolean[][] | undefined {
  const program = `
import ctypes, json, locale, sys
locale.setlocale(locale.LC_ALL, "C.UTF-8")
libc = ctypes.CDLL(None)
patterns, names = json.load(sys.stdin)
print(json.dumps([[libc.fnmatch(p.encode(), n.encode(), 0) == 0 for n in names] for p in patterns]))`;
  const { status, stdout } = spawnSync("python3", ["-c", program], { input: JSON.stringify([PATTERNS, NAMES]) });
  return status === 0 ? (JSON.parse(stdout.toString()) as boolean[][]) : undefined;
}

test("some patterns and what they match", () => {
  const matching = (pattern: string): string[] => NAMES.filter(globMatcher(pattern));
  expect(matching("a*")).toEqual(["a", "abc", "a.b", "a/b", "a]b", "ax", "axbxcxd"]);
  expect(matching("a?b")).toEqual(["a.b", "a/b", "a]b"]);
  expect(matching("[[:upper:]é]*")).toEqual(["X", "é1"]);
  expect(matching("a*b*c*d")).toEqual(["axbxcxd"]);
  expect(matching("[a")).toEqual(["[a"]);
});

const answers = byLibrary();

test.runIf(answers !== undefined)("the C library says the same", () => {
  expect(PATTERNS.map((pattern) => [pattern, NAMES.filter(globMatcher(pattern))])).toEqual(
    PATTERNS.map((pattern, i) => [pattern, NAMES.filter((_, j) => answers?.[i]?.[j])]),
  );
});

test("a pattern of many stars takes no time", () => {
  expect(globMatcher(`${"*a".repeat(2000)}b`)("a".repeat(4000))).toBe(false);
});
