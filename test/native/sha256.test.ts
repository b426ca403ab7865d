// SHA-256: every implementation here agrees with node:crypto, however the input is given.
import { createHash } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fc } from "../property.ts";
import { afterAll, describe, expect, it } from "vitest";
import {
  forceSha256Implementation,
  Sha256,
  sha256,
  sha256Async,
  sha256File,
  sha256Implementation,
  sha256Implementations,
} from "../../lib/native/sha256.ts";

const data = Uint8Array.from({ length: 600_000 }, (_, i) => (i * 7919) >> 3);
const oracle = (bytes: Uint8Array): Uint8Array => new Uint8Array(createHash("sha256").update(bytes).digest());

const folder = mkdtempSync(join(tmpdir(), "tvix-sha256-"));
afterAll(() => rmSync(folder, { recursive: true }));

describe.each([...sha256Implementations()])("the %s implementation", (name) => {
  it("gives the digests of every length to 1100", () => {
    forceSha256Implementation(name);
    try {
      expect(sha256Implementation()).toBe(name);
      for (let length = 0; length <= 1100; length++) {
        expect(sha256(data.subarray(0, length))).toEqual(oracle(data.subarray(0, length)));
      }
    } finally {
      forceSha256Implementation("auto");
    }
  });

  it("gives the same in pieces and in copies", () => {
    forceSha256Implementation(name);
    try {
      fc.assert(
        fc.property(fc.array(fc.nat(500), { maxLength: 30 }), (sizes) => {
          const whole = new Sha256();
          let from = 0;
          for (const size of sizes) {
            const fork = whole.copy().update(data.subarray(from, from + size));
            whole.update(data.subarray(from, from + size));
            from += size;
            expect(fork.digest()).toEqual(whole.digest());
          }
          expect(whole.digest()).toEqual(oracle(data.subarray(0, from)));
        }),
        { numRuns: 40 },
      );
    } finally {
      forceSha256Implementation("auto");
    }
  });
});

describe("off the event loop", () => {
  it("hashes bytes and files", async () => {
    expect(await sha256Async(data.subarray(5))).toEqual(oracle(data.subarray(5)));
    for (const size of [0, 1, 262_143, 262_144, 262_145, data.length]) {
      const path = join(folder, `size-${size}`);
      writeFileSync(path, data.subarray(0, size));
      expect(await sha256File(path)).toEqual({ digest: oracle(data.subarray(0, size)), size });
    }
  });

  it("says which file cannot be read, and why", async () => {
    await expect(sha256File(join(folder, "missing"))).rejects.toMatchObject({
      code: "ERR_NATIVE_READ",
      message: `cannot hash ${folder}/missing: No such file or directory`,
    });
    await expect(sha256File(folder)).rejects.toThrow(/not a regular file$/);
  });
});

describe("arguments", () => {
  it("are named when they are wrong", async () => {
    const text = "text" as unknown as Uint8Array;
    expect(() => sha256(text)).toThrow(new TypeError("bytes must be a Uint8Array"));
    expect(() => new Sha256().update(text)).toThrow(new TypeError("bytes must be a Uint8Array"));
    await expect(sha256Async(text)).rejects.toThrow(new TypeError("bytes must be a Uint8Array"));
    await expect(sha256File("")).rejects.toMatchObject({ code: "ERR_TREE_PATH" });
    expect(() => forceSha256Implementation("sha-512")).toThrow(RangeError);
    expect(sha256Implementations().at(-1)).toBe("portable");
  });
});
