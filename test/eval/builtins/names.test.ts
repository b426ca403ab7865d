// The set `builtins`: the names that Nix 2.34 has, each function with its arity, and each in some case of the suites.
//
// test/data/eval/builtins.json is `builtins.attrNames builtins` of Nix 2.34.8 with the number of arguments that
// `nix __dump-language` tells (of four that it leaves out, those they take); null for what is no function of C++.
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { Evaluator, force, PrimOp, symbolName } from "../../../lib/eval/index.ts";
import { readCases, topics } from "../../lang/cases.ts";

const theirs = JSON.parse(readFileSync(new URL("../../data/eval/builtins.json", import.meta.url), "utf8")) as Record<
  string,
  number | null
>;

const { shape, values } = new Evaluator().builtins.flatten();
const ours = new Map(shape.keys.map((key, i) => [symbolName(key), values[i]]));

test("the names are Nix's", () => {
  expect([...ours.keys()].sort()).toEqual(Object.keys(theirs).sort());
});

test.each(Object.entries(theirs).filter(([, arity]) => arity !== null))("%s takes %d", (name, arity) => {
  const value = force(ours.get(name) ?? null);
  expect(value instanceof PrimOp ? value.builtin.arity : value).toBe(arity);
});

test("each is in a case that Nix has answered", () => {
  const texts = topics().flatMap((topic) => readCases(topic).map(({ text }) => text));
  const all = texts.join("\n");
  const isWord = (name: string): boolean => new RegExp(`(?<![\\w'-])(?:__)?${name}(?![\\w'-])`).test(all);
  expect(Object.keys(theirs).filter((name) => !isWord(name))).toEqual([]);
});
