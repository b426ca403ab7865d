// Aggregates in numbers: many levels of them, each made of several, that come to an end in reasonable space.
import { expect, test } from "vitest";
import { completeDerivation } from "../../lib/derivation/index.ts";
import { type JobLink, type JobResult, resolveAggregates } from "../../lib/nix/aggregates.ts";

function link(name: string, named?: readonly string[]): JobLink {
  const { path, text, modulo } = completeDerivation(
    {
      name,
      outputs: new Map([["out", { path: "", hashAlgo: "", hash: "" }]]),
      inputDrvs: new Map(),
      inputSrcs: [],
      system: "s",
      builder: "b",
      args: [],
      env: new Map([["out", ""]]),
    },
    () => undefined,
  );
  const draft = named && { named, isGlob: false, text, inputs: {} };
  return { drvPath: path.absolute(), output: "out", modulo, ...(draft === undefined ? {} : { draft }) };
}

const pairs = (levels: number): [string, JobResult][] =>
  Array.from({ length: levels }, (_, i) => i).flatMap((i) =>
    ["a", "b"].map((side): [string, JobResult] => [`${side}${i}`, link(`${side}${i}`, [`a${i + 1}`, `b${i + 1}`])]),
  );

test("each is rewritten once, however many are made of it", () => {
  const jobs = new Map<string, JobResult>([...pairs(100), ["a100", link("a")], ["b100", link("b")]]);
  const resolved = [...resolveAggregates(jobs).values()];
  expect(resolved).toHaveLength(200);
  for (const one of resolved) expect("complete" in one && one.complete.derivation.inputDrvs.size).toBe(2);
});

test("what is wrong far below is told in a line for each constituent", () => {
  const jobs = new Map<string, JobResult>([...pairs(100), ["a100", { error: "one\ntwo\n" }], ["b100", link("b")]]);
  const resolved = resolveAggregates(jobs);
  expect(resolved.get("a99")).toEqual({ error: "a100: one\ntwo\n" });
  expect(resolved.get("b98")).toEqual({ error: "a99: a100: one\nb99: a100: one\n" });
  for (const one of resolved.values()) expect("error" in one && one.error.length).toBeLessThan(2000);
});

test("too many levels are an error, not a stack that overflows", () => {
  const chain = Array.from({ length: 20_000 }, (_, i): [string, JobResult] => [`a${i}`, link("x", [`a${i + 1}`])]);
  const resolved = resolveAggregates(new Map<string, JobResult>([...chain, ["a20000", link("end")]]));
  const first = resolved.get("a0");
  expect(first !== undefined && "error" in first && first.error).toContain("nested too deeply");
  expect(resolved.get("a19999")).toHaveProperty("complete");
});
