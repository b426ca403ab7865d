// The hash functions in TypeScript alone against node:crypto.
import { createHash } from "node:crypto";
import { expect, test } from "vitest";
import { portableDigest } from "../../lib/formats/digest-portable.ts";

test.each(["md5", "sha1", "sha256", "sha512"] as const)(
  "%s of every length up to two blocks, and of many blocks",
  (algo) => {
    const lengths = [...Array.from({ length: 258 }, (_, i) => i), 10_007];
    for (const length of lengths) {
      const bytes = Uint8Array.from({ length }, (_, i) => (i * 167 + length) & 255);
      const digest = createHash(algo).update(bytes).digest("hex");
      expect(Buffer.from(portableDigest(algo, bytes)).toString("hex"), `${length} bytes`).toBe(digest);
    }
  },
);
