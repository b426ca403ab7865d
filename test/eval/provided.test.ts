// Built-in functions that need a store or the network: known by name everywhere, and clear when nobody provides them.

import { describe, expect, test } from "vitest";
import { define } from "../../lib/eval/builtins/define.ts";
import { PROVIDED_BUILTINS } from "../../lib/eval/builtins/provided.ts";
import { evaluate } from "../../lib/eval/index.ts";

describe("a function that nobody provides", () => {
  test.each(PROVIDED_BUILTINS)("$name is there, and says what is missing when it is called", ({ name, arity }) => {
    expect(evaluate(`builtins.isFunction builtins.${name}`)).toBe(true);
    expect(() => evaluate(`builtins.${name}${" 1".repeat(arity)}`)).toThrow(
      new RegExp(`^cannot call builtins.${name}: this evaluator has no (store|fetchers)$`),
    );
  });

  test("those that Nix has without a prefix are variables", () => {
    expect(evaluate("map builtins.isFunction [ fetchGit fetchMercurial fetchTarball fetchTree __fetchurl ]")).toEqual(
      Array(5).fill(true),
    );
  });

  test("an embedder's own takes its place", () => {
    const fetchTarball = define("fetchTarball", "!", "A constant.", () => "unpacked");
    expect(evaluate('fetchTarball "https://example.org/a.tar.gz"', { builtins: [fetchTarball] })).toBe("unpacked");
  });
});
