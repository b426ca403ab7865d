// The cache of compiled units: hits, refusals, and that it never changes an answer.

import { expect, test } from "vitest";
import { decodeUnit, encodeUnit, type UnitEntry, type UnitStorage } from "../../lib/eval/cache.ts";
import { Evaluator, memoryIO, type Observer } from "../../lib/eval/index.ts";
import { nodeScriptHost, tieredBackend } from "../../lib/eval/node.ts";
import { diagnose } from "../../lib/eval/report.ts";
import { printValue } from "../../lib/eval/vm/print.ts";

class MemoryStorage implements UnitStorage {
  readonly entries = new Map<string, Uint8Array>();
  read(key: string): Uint8Array | undefined {
    return this.entries.get(key);
  }
  write(entries: readonly UnitEntry[]): void {
    for (const { key, bytes } of entries) this.entries.set(key, bytes);
  }
}

const FILE = `{ f = { a, b ? 2, ... }@s: [ a b s ]; path = ./x; n = 1.5; big = 9007199254740993; "__proto__" = "\\\${\xff";
  r = rec { x = 1; y = x; \${"d" + "yn"} = y; }; w = with { q = 3; }; q; pos = __curPos.line; }`;

function run(storage: UnitStorage, file: string, javascriptLimit?: number): { text: string; cached: number } {
  let cached = 0;
  const backend = tieredBackend({
    host: nodeScriptHost(),
    storage,
    ...(javascriptLimit === undefined ? {} : { javascriptLimit }),
  });
  const io = memoryIO({ files: { "/dir/f.nix": { bytes: file } } });
  const observer: Observer = {
    unit: (_file, _bytes, _ms, origin) => {
      if (origin === "cache") cached++;
    },
  };
  const evaluator = new Evaluator({ io, backend, observer });
  const text = printValue(evaluator.evaluate("let s = import /dir/f.nix; in [ (s.f { a = 1; c = 3; }) s ]"), {
    strict: true,
  });
  backend.flush();
  return { text, cached };
}

test("the second run takes the unit from the cache and answers the same", () => {
  const storage = new MemoryStorage();
  const first = run(storage, FILE);
  expect(first.cached).toBe(0);
  expect(storage.entries.size).toBe(1);
  const second = run(storage, FILE);
  expect(second).toEqual({ text: first.text, cached: 1 });
  expect(first.text).toContain("path = /dir/x");
});

test("a unit that ran as closures is remembered, stored cold when it is met again, and warmed by the next run", () => {
  const storage = new MemoryStorage();
  const stored = () => [...storage.entries.values()].map((bytes) => decodeUnit(bytes)?.warm);
  const first = run(storage, FILE, 100);
  expect(first.cached).toBe(0);
  expect(stored()).toEqual([undefined]);
  expect(run(storage, FILE, 100)).toEqual(first);
  expect(stored()).toEqual([false]);
  expect(run(storage, FILE, 100)).toEqual({ text: first.text, cached: 1 });
  expect(stored()).toEqual([true]);
});

test("in an evaluation of many sources the cache is used for the first ones", () => {
  const storage = new MemoryStorage();
  const files = Object.fromEntries(Array.from({ length: 20 }, (_, i) => [`/${i}.nix`, `{ value = ${i}; }`]));
  const sum = Object.keys(files).map((name) => `(import ${name}).value`);
  const run = (): number => {
    let cached = 0;
    const backend = tieredBackend({ host: nodeScriptHost(), storage, cachedSources: 5 });
    const observer: Observer = {
      unit: (_file, _bytes, _ms, origin) => {
        if (origin === "cache") cached++;
      },
    };
    expect(new Evaluator({ io: memoryIO({ files }), backend, observer }).evaluate(sum.join("+"))).toBe(190);
    backend.flush();
    return cached;
  };
  expect(run()).toBe(0);
  expect(storage.entries.size).toBe(5);
  expect(run()).toBe(5);
  expect(storage.entries.size).toBe(5);
});

test("of many small units the first run as JavaScript, the others as closures", () => {
  const storage = new MemoryStorage();
  const backend = tieredBackend({ host: nodeScriptHost(), storage, javascriptLimit: 100 });
  const files = Object.fromEntries(
    Array.from({ length: 20 }, (_, i) => [`/${i}.nix`, `{ value = ${i}; text = "${"x".repeat(50)}"; }`]),
  );
  const sum = Object.keys(files).map((name) => `(import ${name}).value`);
  expect(new Evaluator({ io: memoryIO({ files }), backend }).evaluate(sum.join("+"))).toBe(190);
  backend.flush();
  const warm = [...storage.entries.values()].filter((bytes) => decodeUnit(bytes)?.warm === true);
  expect(storage.entries.size).toBe(20);
  expect(warm.length).toBeGreaterThan(4);
  expect(warm.length).toBeLessThan(8);
});

test("another source or another realm has another key", () => {
  const storage = new MemoryStorage();
  run(storage, FILE);
  run(storage, `${FILE} `);
  expect(storage.entries.size).toBe(2);
});

test("a file that needs a feature is not taken from the cache where the feature is off", () => {
  const storage = new MemoryStorage();
  const io = memoryIO({ files: { "/pipe.nix": "1 |> (x: x + 1)" } });
  const evaluatePipe = (features: readonly "pipe-operators"[]): unknown => {
    const backend = tieredBackend({ host: nodeScriptHost(), storage });
    const value = new Evaluator({ io, backend, settings: { features: new Set(features) } }).evaluateFile("/pipe.nix");
    backend.flush();
    return value;
  };
  expect(evaluatePipe(["pipe-operators"])).toBe(2);
  expect(storage.entries.size).toBe(1);
  expect(() => evaluatePipe([])).toThrow("experimental Nix feature 'pipe-operators' is disabled");
});

test("what is not an entry is ignored", () => {
  const storage = new MemoryStorage();
  const { text } = run(storage, FILE);
  const [[key, entry]] = [...storage.entries] as [[string, Uint8Array]];
  for (const bad of [new Uint8Array(0), entry.subarray(0, 40), entry.subarray(1), new Uint8Array(entry.length)]) {
    storage.entries.set(key, bad);
    expect(run(storage, FILE)).toEqual({ text, cached: 0 });
  }
  const decoded = decodeUnit(entry);
  expect(decoded === undefined ? undefined : encodeUnit(decoded)).toEqual(entry);
});

test("an error in cached code has its place, whatever was loaded before", () => {
  const storage = new MemoryStorage();
  const failing = "let\n  set = { };\nin set.missing\n";
  const files = { "/failing.nix": failing, "/twin.nix": failing, "/other.nix": "1" };
  const place = (expression: string): string => {
    const backend = tieredBackend({ host: nodeScriptHost(), storage });
    try {
      new Evaluator({ io: memoryIO({ files }), backend }).evaluate(expression);
    } catch (error) {
      const [label] = diagnose(error)?.labels ?? [];
      return `${label?.source.name}:${label?.start}`;
    } finally {
      backend.flush();
    }
    return "no error";
  };
  const place1 = `/failing.nix:${failing.indexOf("missing")}`;
  expect(place("import /failing.nix")).toBe(place1);
  expect(place("import /other.nix + import /failing.nix")).toBe(place1);
  // A file with the same text shares the entry.
  expect(place("import /twin.nix")).toBe(place1.replace("failing", "twin"));
  expect(place("(builtins.tryEval (import /other.nix)).value + import /twin.nix")).toBe(
    place1.replace("failing", "twin"),
  );
});

test("files with the same text, both alive, keep their own places", () => {
  const storage = new MemoryStorage();
  const io = memoryIO({ files: { "/a.nix": "{ }: { x = { }.no; }", "/b.nix": "{ }: { x = { }.no; }" } });
  for (let run = 0; run < 3; run++) {
    const backend = tieredBackend({ host: nodeScriptHost(), storage });
    const evaluator = new Evaluator({ io, backend });
    evaluator.evaluate("builtins.deepSeq [ (import /a.nix) (import /b.nix) ] null");
    for (const file of ["/a.nix", "/b.nix", "/a.nix"]) {
      let error: unknown;
      try {
        evaluator.evaluate(`(import ${file} { }).x`);
      } catch (failure) {
        error = failure;
      }
      expect(diagnose(error)?.labels[0]?.source.name).toBe(file);
    }
    backend.flush();
  }
});
