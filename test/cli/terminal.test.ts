// What others say is shown without their escape sequences.
import { expect, test } from "vitest";
import { fitBytesForTerminal, fitForTerminal } from "../../lib/cli/render/terminal.ts";
import { tvix } from "./tvix.ts";

test.each([
  ["plain \t text\n", "plain \t text\n"],
  ["a\x1b[31mred\x1b[0m", "ared"],
  ["a\x1b]0;title\x07b\x1b]8;;http://x\x1b\\c", "abc"],
  ["a\x1b[2J\x1b[1;1Hb\x1bcd\x1b(Be", "abde"],
  ["a\x9b31mb\x9d0;t\x9cc\x1bPq#0\x1b\\d", "abcd"],
  ["back\bspace\rreturn\0nul\x7f", "backspacereturnnul"],
  ["cut \x1b[3", "cut "],
  ["cut \x1b]0;never ended", "cut "],
  ["ünïcödé €", "ünïcödé €"],
])("%j", (text, shown) => {
  expect(fitForTerminal(text, false)).toBe(shown);
  expect(Buffer.from(fitBytesForTerminal(Buffer.from(text))).toString()).toBe(shown);
});

test("colours stay on a terminal, and nothing else", () => {
  expect(fitForTerminal("\x1b[1;31mred\x1b[0m\x1b[2J\x1b[5A", true)).toBe("\x1b[1;31mred\x1b[0m");
});

test("bytes that are not UTF-8 stay as they are", () => {
  const bytes = Uint8Array.of(0x61, 0xff, 0x80, 0x0a);
  expect(fitBytesForTerminal(bytes)).toBe(bytes);
});

test("messages of programs and errors come without them", () => {
  const hostile = String.raw`(builtins.fromJSON "\"a\\u001b]0;title\\u0007b\\u001b[2Jc\"")`;
  const traced = tvix(["eval", "--no-replay", "-E", `builtins.trace ${hostile} 1`]);
  expect(traced).toMatchObject({ stdout: "1\n", stderr: "trace: abc\n" });
  expect(tvix(["eval", "-E", `throw ${hostile}`]).stderr).toMatch(/^error: abc\n/);
  expect(tvix(["hash", "/none/\x1b[2J/there"]).stderr).not.toContain("\x1b");
});
