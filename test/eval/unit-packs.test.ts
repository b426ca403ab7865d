// The directory of compiled units: what is kept, what is replaced, and that it never ends in an error.

import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { unitPacks } from "../../lib/eval/node.ts";

let root: string;
let made = 0;

beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), "tvix-packs-"));
});

afterAll(() => {
  rmSync(root, { recursive: true, force: true });
});

const key = (n: number): string => n.toString(16).padStart(88, "0");
const bytes = (n: number, length = 100): Uint8Array => new Uint8Array(length).fill(n);
const fresh = (): string => join(root, `d${made++}`, "units");

test("what one writes another reads; nothing else is there", () => {
  const directory = fresh();
  expect(unitPacks(directory).read(key(1))).toBeUndefined();
  unitPacks(directory).write([1, 300, 2].map((n) => ({ key: key(n), bytes: bytes(n) })));
  const packs = unitPacks(directory);
  for (const n of [1, 2, 300]) expect([...(packs.read(key(n)) ?? [])]).toEqual([...bytes(n)]);
  expect(packs.read(key(3))).toBeUndefined();
  expect(readdirSync(directory)).toHaveLength(1);
});

test("the youngest unit counts, also of those that have been taken into another pack", () => {
  const directory = fresh();
  const packs = unitPacks(directory);
  packs.write([{ key: key(1), bytes: bytes(1, 10_000) }]);
  packs.write([{ key: key(2), bytes: bytes(2, 10) }]);
  expect(readdirSync(directory)).toHaveLength(2);
  packs.write([{ key: key(1), bytes: bytes(9, 10) }]);
  expect(readdirSync(directory)).toHaveLength(2);
  expect(packs.read(key(1))).toHaveLength(10);
  expect(packs.read(key(2))).toHaveLength(10);
  packs.write([{ key: key(3), bytes: bytes(3, 10_000) }]);
  expect(readdirSync(directory)).toHaveLength(1);
  expect(packs.read(key(1))).toHaveLength(10);
});

test("packs stay few, and all that was written is there", () => {
  const directory = fresh();
  const packs = unitPacks(directory);
  for (let n = 0; n < 300; n++) packs.write([{ key: key(n), bytes: bytes(n & 255, 1 + ((n * 7919) % 2000)) }]);
  expect(readdirSync(directory).length).toBeLessThan(16);
  for (let n = 0; n < 300; n++) expect(packs.read(key(n))).toHaveLength(1 + ((n * 7919) % 2000));
});

test("the oldest packs go where all together would be too large", () => {
  const directory = fresh();
  const packs = unitPacks(directory, 20_000);
  for (const [n, length] of [12_000, 5_000, 2_000].entries()) packs.write([{ key: key(n), bytes: bytes(n, length) }]);
  expect(readdirSync(directory)).toHaveLength(3);
  packs.write([{ key: key(3), bytes: bytes(3, 900) }]);
  expect(readdirSync(directory)).toHaveLength(3);
  expect([0, 1, 2, 3].map((n) => packs.read(key(n))?.length)).toEqual([undefined, 5_000, 2_000, 900]);
});

test("a damaged pack is as if it were not there", () => {
  const directory = fresh();
  unitPacks(directory).write([{ key: key(1), bytes: bytes(1) }]);
  const [name] = readdirSync(directory) as [string];
  const whole = readFileSync(join(directory, name));
  for (const bad of [whole.subarray(0, 20), whole.subarray(0, whole.length - 1), Buffer.alloc(100, 255)]) {
    writeFileSync(join(directory, name), bad);
    expect(unitPacks(directory).read(key(1))).toBeUndefined();
  }
  unitPacks(directory).write([{ key: key(2), bytes: bytes(2) }]);
  expect(unitPacks(directory).read(key(2))).toHaveLength(100);
});

test("where nothing can be written, nothing is", () => {
  const directory = join(root, "file", "units");
  writeFileSync(join(root, "file"), "");
  const packs = unitPacks(directory);
  packs.write([{ key: key(1), bytes: bytes(1) }]);
  expect(packs.read(key(1))).toBeUndefined();
});
