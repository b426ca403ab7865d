import { fc } from "../property.ts";
import { describe, expect, test } from "vitest";
import { concatBytes } from "../../lib/base/bytes.ts";
import { readFramed, writeFramed } from "../../lib/formats/daemon/framed.ts";
import { readExport, writeExport } from "../../lib/formats/export.ts";
import { packNar } from "../../lib/formats/nar/tree.ts";
import { StorePath } from "../../lib/formats/store-path.ts";
import { WireReader, WireWriter } from "../../lib/formats/wire.ts";
import { codeOf, codeOfAsync } from "./codes.ts";
import { golden } from "./golden.ts";
import { collect, collectBytes, pieces } from "./pieces.ts";

const reading = (bytes: Uint8Array, size = 3): WireReader => new WireReader(pieces(bytes, size));

describe("fields", () => {
  const size = fc.integer({ min: 1, max: 20 });

  test("read back whatever the pieces", async () => {
    const number = fc.maxSafeNat();
    const text = fc.uint8Array().map((bytes) => String.fromCharCode(...bytes));
    await fc.assert(
      fc.asyncProperty(number, fc.boolean(), text, fc.array(text), size, async (n, flag, one, many, cut) => {
        const bytes = new WireWriter().u64(n).bool(flag).string(one).strings(many).u64(Number.POSITIVE_INFINITY).take();
        expect(bytes.length % 8).toBe(0);
        const reader = reading(bytes, cut);
        expect(await reader.u64()).toBe(n);
        expect(await reader.bool()).toBe(flag);
        expect(await reader.string()).toBe(one);
        expect(await reader.strings()).toEqual(many);
        expect(await reader.u64OrInfinity()).toBe(Number.POSITIVE_INFINITY);
        expect(await reader.atEnd()).toBe(true);
        expect(reader.offset).toBe(bytes.length);
      }),
    );
  });

  test.each<[string, Uint8Array, (reader: WireReader) => Promise<unknown>, string]>([
    ["a number cut off", new Uint8Array(7), (reader) => reader.u64(), "ERR_WIRE_TRUNCATED"],
    ["a number too large", new Uint8Array(8).fill(255), (reader) => reader.u64(), "ERR_WIRE_NUMBER"],
    ["a string too long", new Uint8Array(8).fill(255), (reader) => reader.string(), "ERR_WIRE_STRING_TOO_LONG"],
    [
      "a string over its limit",
      new WireWriter().string("abc").take(),
      (reader) => reader.string(2),
      "ERR_WIRE_STRING_TOO_LONG",
    ],
    [
      "a string cut off",
      new WireWriter().string("abc").take().subarray(0, 10),
      (reader) => reader.string(),
      "ERR_WIRE_TRUNCATED",
    ],
    [
      "padding that is not zero",
      Uint8Array.of(1, 0, 0, 0, 0, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0),
      (reader) => reader.string(),
      "ERR_WIRE_BAD_PADDING",
    ],
    ["a list too long", new Uint8Array(8).fill(255), (reader) => reader.strings(), "ERR_WIRE_LIST_TOO_LONG"],
    ["a list cut off", new WireWriter().u64(3).string("").take(), (reader) => reader.strings(), "ERR_WIRE_TRUNCATED"],
  ])("%s is refused", async (_, bytes, read, code) => {
    expect(await codeOfAsync(() => read(reading(bytes)))).toBe(code);
  });

  test("numbers that are none are not written", () => {
    for (const value of [-1, 1.5, 2 ** 53, Number.NaN]) {
      expect(codeOf(() => new WireWriter().u64(value))).toBe("ERR_WIRE_NUMBER");
    }
  });

  test("what is given back is read again", async () => {
    const reader = reading(Uint8Array.of(1, 2, 3, 4, 5));
    expect(await reader.some()).toEqual(Uint8Array.of(1, 2, 3));
    reader.unread(Uint8Array.of(2, 3));
    expect(reader.offset).toBe(1);
    expect(await reader.raw(3)).toEqual(Uint8Array.of(2, 3, 4));
  });
});

describe("framed streams", () => {
  test("read back, and leave what follows", async () => {
    const parts = fc.array(fc.uint8Array());
    await fc.assert(
      fc.asyncProperty(parts, fc.integer({ min: 1, max: 20 }), async (all, cut) => {
        const bytes = concatBytes([await collectBytes(writeFramed(all)), Uint8Array.of(7)]);
        const reader = reading(bytes, cut);
        expect(await collectBytes(readFramed(reader))).toEqual(concatBytes(all));
        expect(await reader.raw(1)).toEqual(Uint8Array.of(7));
      }),
    );
  });

  test("are skipped to their end when nobody reads on", async () => {
    const bytes = concatBytes([
      await collectBytes(writeFramed([new Uint8Array(9), new Uint8Array(9)])),
      Uint8Array.of(7),
    ]);
    const reader = reading(bytes);
    for await (const _ of readFramed(reader)) break;
    expect(await reader.raw(1)).toEqual(Uint8Array.of(7));
  });

  test.each<[string, Uint8Array, string]>([
    ["a frame cut off", new WireWriter().u64(9).u64(0).take(), "ERR_WIRE_TRUNCATED"],
    ["no last frame", new WireWriter().u64(8).u64(0).take(), "ERR_WIRE_TRUNCATED"],
    ["a frame of 2^64", new Uint8Array(8).fill(255), "ERR_WIRE_NUMBER"],
  ])("%s is refused", async (_, bytes, code) => {
    expect(await codeOfAsync(() => collect(readFramed(reading(bytes))))).toBe(code);
  });
});

describe("export", () => {
  const made = golden("paths.export");

  test("what nix-store exported reads and writes back", async () => {
    for (const size of [1, 7, 64, made.length]) {
      const objects: { nar: Uint8Array[]; path: StorePath; references: readonly StorePath[]; deriver?: StorePath }[] =
        [];
      let nar: Uint8Array[] = [];
      for await (const item of readExport(pieces(made, size))) {
        if (item.type === "nar") {
          nar.push(item.bytes.slice());
        } else {
          const { path, references, deriver } = item;
          objects.push({ nar, path, references, ...(deriver === undefined ? {} : { deriver }) });
          nar = [];
        }
      }
      expect(objects.map(({ path }) => path.name).sort()).toEqual([
        "built",
        "flat",
        "flat-sha1",
        "referring",
        "self",
        "text",
      ]);
      expect(objects.find(({ path }) => path.name === "built")?.deriver?.name).toBe("built.drv");
      expect(await collectBytes(writeExport(objects))).toEqual(made);
    }
  });

  test("nothing exports as an end", async () => {
    expect(await collectBytes(writeExport([]))).toEqual(new Uint8Array(8));
    expect(await collect(readExport(pieces(new Uint8Array(8), 8)))).toEqual([]);
  });

  const nar = packNar({ type: "symlink", target: Uint8Array.of(0x61) });
  const path = `/nix/store/${"0".repeat(32)}-a`;
  const head = (): WireWriter => new WireWriter().u64(1).raw(nar);
  const MAGIC = 0x4558494e;
  test.each<[string, Uint8Array, string]>([
    ["nothing", new Uint8Array(0), "ERR_WIRE_TRUNCATED"],
    ["another mark", new WireWriter().u64(2).take(), "ERR_EXPORT_MARK"],
    ["no archive", new WireWriter().u64(1).take(), "ERR_NAR_TRUNCATED"],
    ["a bad archive", new WireWriter().u64(1).string("nix-archive-2").take(), "ERR_NAR_BAD_MAGIC"],
    ["no magic", head().u64(0).take(), "ERR_EXPORT_MAGIC"],
    ["no path", head().u64(MAGIC).string("").take(), "ERR_STORE_PATH_OUTSIDE"],
    ["a bad reference", head().u64(MAGIC).string(path).strings(["x"]).take(), "ERR_STORE_PATH_OUTSIDE"],
    ["a signature", head().u64(MAGIC).string(path).strings([]).string("").u64(1).take(), "ERR_EXPORT_SIGNATURE"],
    ["no end", head().u64(MAGIC).string(path).strings([]).string("").u64(0).take(), "ERR_WIRE_TRUNCATED"],
    ["bytes after the end", new WireWriter().u64(0).u64(0).take(), "ERR_EXPORT_TRAILING_BYTES"],
  ])("%s is refused", async (_, bytes, code) => {
    expect(await codeOfAsync(() => collect(readExport(pieces(bytes, 5))))).toBe(code);
  });

  test("exports with bytes changed throw typed errors only", async () => {
    const change = fc.tuple(fc.nat(made.length - 1), fc.nat(255));
    await fc.assert(
      fc.asyncProperty(fc.array(change, { minLength: 1, maxLength: 3 }), async (changes) => {
        const bytes = made.slice();
        for (const [at, byte] of changes) bytes[at] = byte;
        await codeOfAsync(() => collect(readExport(pieces(bytes, 512))));
      }),
      { numRuns: 300 },
    );
  });
});
