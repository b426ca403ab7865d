// The rooms of formats and derivations run wherever three files are replaced: nothing else asks the platform.

import { readdirSync, readFileSync } from "node:fs";
import { blake3 } from "@noble/hashes/blake3.js";
import { md5, sha1 } from "@noble/hashes/legacy.js";
import { sha256, sha512 } from "@noble/hashes/sha2.js";
import { bytesToHex } from "@noble/hashes/utils.js";
import { expect, test, vi } from "vitest";
import { latin1ToBytes } from "../../lib/base/text.ts";
import type { DigestAlgo } from "../../lib/formats/digest.ts";

const SEAM = ["formats/digest.ts", "formats/ed25519.ts", "formats/compress.ts"];
const LIB = new URL("../../lib/", import.meta.url);

test("only the seam imports from Node or uses its globals", () => {
  const files = ["formats", "derivation"].flatMap((room) =>
    readdirSync(new URL(room, LIB), { recursive: true, encoding: "utf8" }).map((name) => `${room}/${name}`),
  );
  const sources = files.filter((file) => file.endsWith(".ts"));
  expect(sources.length).toBeGreaterThan(30);
  const asking = sources.filter((file) =>
    /from "node:|\b(Buffer|process|require)\b[.(]/.test(readFileSync(new URL(file, LIB), "utf8")),
  );
  expect(asking.sort()).toEqual(SEAM.toSorted());
});

const noble: Record<DigestAlgo, (bytes: Uint8Array) => Uint8Array> = { md5, sha1, sha256, sha512, blake3 };

vi.mock("../../lib/formats/digest.ts", () => ({
  digestBytes: (algo: DigestAlgo, bytes: Uint8Array) => noble[algo](bytes),
  digestLatin1: (algo: DigestAlgo, text: string) => noble[algo](latin1ToBytes(text)),
  sha256: (bytes: Uint8Array) => sha256(bytes),
  sha256HexOfLatin1: (text: string) => bytesToHex(sha256(latin1ToBytes(text))),
}));

test("with hashes in plain JavaScript, the golden derivations are the same", async () => {
  const { checkClosure } = await import("../derivation/closure.ts");
  const { goldenSet } = await import("../derivation/golden.ts");
  expect(checkClosure(goldenSet("plain"))).toBeGreaterThan(10);
});
