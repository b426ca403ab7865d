// The evaluator in a browser: bundled for one, and run where there is nothing of Node and no code may be made of text.
import { createHash } from "node:crypto";
import { join } from "node:path";
import { createContext, Script } from "node:vm";
import { build } from "esbuild";
import { toHex } from "../../lib/base/bytes.ts";
import { encodeUtf8 } from "../../lib/base/text.ts";
import { blake3 } from "../../lib/native/blake3.ts";
import { beforeAll, expect, test } from "vitest";

/** A page with a policy that forbids to make code of text; `TextEncoder` and the like are a browser's own. */
const page = createContext(
  { TextEncoder, TextDecoder, performance },
  { codeGeneration: { strings: false, wasm: false } },
);

/** What a script says in the page, as text: objects of the page are not of the classes of this one. */
const inPage = (script: string): string => String(new Script(script).runInContext(page));

beforeAll(async () => {
  const bundled = await build({
    entryPoints: [join(import.meta.dirname, "../../lib/eval/browser.ts")],
    bundle: true,
    platform: "browser",
    format: "iife",
    globalName: "tvix",
    write: false,
    // Nothing of Node may be asked for.
    logLevel: "silent",
  });
  inPage(bundled.outputFiles[0]?.text as string);
});

test("the page has neither Node nor code made of text", () => {
  expect(inPage("typeof process + typeof require")).toBe("undefinedundefined");
  expect(() => inPage("new Function('return 1')()")).toThrow(/Code generation from strings disallowed/);
});

test.each([
  ["let fib = n: if n < 2 then n else fib (n - 1) + fib (n - 2); in fib 15", "610"],
  ["map (x: x * 2) [ 1 2 ]", "[2,4]"],
  ['builtins.match "([a-z]+)-([0-9.]+)" "hello-2.10"', '["hello","2.10"]'],
  ["builtins.fromJSON (builtins.toJSON { a = [ 1 2.5 null ]; })", '{"a":[1,2.5,null]}'],
  ["builtins.sort builtins.lessThan [ 3 1 2 ]", "[1,2,3]"],
  ['(builtins.fromTOML "a = 1").a', "1"],
  ['(builtins.tryEval (throw "no")).success', "false"],
])("%s", (expression, answer) => {
  expect(inPage(`JSON.stringify(tvix.evaluate(${JSON.stringify(expression)}))`)).toBe(answer);
});

test.each(["md5", "sha1", "sha256", "sha512"])("hashString %s", (algo) => {
  // Lengths on either side of where padding takes another block.
  for (const length of [0, 1, 55, 56, 63, 64, 111, 112, 119, 120, 127, 128, 1000]) {
    const text = "tvix ".repeat(200).slice(0, length);
    const expression = `builtins.hashString "${algo}" "${text}"`;
    const digest = createHash(algo).update(text).digest("hex");
    expect(inPage(`tvix.evaluate(${JSON.stringify(expression)})`)).toBe(digest);
  }
});

test("hashString blake3, where that is allowed", () => {
  for (const length of [0, 1, 64, 1023, 1024, 1025, 5000]) {
    const text = "tvix ".repeat(1000).slice(0, length);
    const script = `tvix.evaluate('builtins.hashString "blake3" "${text}"', { settings: { features: new Set(["blake3-hashes"]) } })`;
    expect(inPage(script)).toBe(toHex(blake3(encodeUtf8(text))));
  }
});

test("files are those in memory", () => {
  const script = `JSON.stringify(tvix.evaluate("import /lib.nix { n = 20; }", {
    io: tvix.memoryIO({ files: { "/lib.nix": "{ n }: n * 2 + (import ./two.nix)", "/two.nix": "2" } }),
  }))`;
  expect(inPage(script)).toBe("42");
});

test("errors have their code and their place", () => {
  const script = `try { tvix.evaluate("let a = 1; in a.b"); } catch (error) {
    error.code + "\\n" + tvix.renderDiagnostic(tvix.diagnose(error)); }`;
  const text = inPage(script);
  expect(text).toMatch(/^ERR_EVAL_/);
  expect(text).toContain("a.b");
});
