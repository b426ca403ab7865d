import { fc } from "../property.ts";
import { describe, expect, test } from "vitest";
import { fromHex, toHex } from "../../lib/base/bytes.ts";
import { decodeBase64, decodeBase64Url, encodeBase64, encodeBase64Url } from "../../lib/formats/base64.ts";
import {
  formatContentAddress,
  formatContentMethod,
  formatOutputMethod,
  parseContentAddress,
  parseContentMethod,
  parseOutputMethod,
} from "../../lib/formats/content-address.ts";
import { digestBytes, digestLatin1, startDigest } from "../../lib/formats/digest.ts";
import {
  equalHashes,
  formatHash,
  formatPrefixedHash,
  HASH_SIZES,
  type HashAlgo,
  type HashFormat,
  nixHash,
  parseHash,
  parseHashFormat,
  parsePrefixedHash,
  parseSri,
  zeroHash,
} from "../../lib/formats/hash.ts";
import { codeOf } from "./codes.ts";

const EMPTY_HEX = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
const EMPTY_NIX32 = "0mdqa9w1p6cmli6976v4wi0sw9r4p5prkj7lzfd1877wk11c9c73";
const EMPTY_BASE64 = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";
const EMPTY = { algo: "sha256", digest: fromHex(EMPTY_HEX) as Uint8Array } as const;

const algos = Object.keys(HASH_SIZES) as HashAlgo[];
const anyHash = fc
  .constantFrom(...algos)
  .chain((algo) =>
    fc.uint8Array({ minLength: HASH_SIZES[algo], maxLength: HASH_SIZES[algo] }).map((digest) => ({ algo, digest })),
  );

describe("hash", () => {
  test("writes every form", () => {
    expect(formatHash(EMPTY, "base16")).toBe(EMPTY_HEX);
    expect(formatHash(EMPTY, "nix32")).toBe(EMPTY_NIX32);
    expect(formatHash(EMPTY, "base64")).toBe(EMPTY_BASE64);
    expect(formatHash(EMPTY, "sri")).toBe(`sha256-${EMPTY_BASE64}`);
    expect(formatPrefixedHash(EMPTY, "nix32")).toBe(`sha256:${EMPTY_NIX32}`);
  });

  // Answers of Nix 2.34.8's builtins.convertHash.
  test.each([
    [`sha256-${EMPTY_BASE64}`, undefined],
    [`sha256-${EMPTY_BASE64.slice(0, -1)}`, undefined],
    ["sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFV=xxx", undefined],
    [`sha256:${EMPTY_BASE64}`, undefined],
    [`sha256:${EMPTY_NIX32}`, undefined],
    [`sha256:${EMPTY_HEX}`, "sha256"],
    [EMPTY_HEX.toUpperCase(), "sha256"],
    [EMPTY_NIX32, "sha256"],
    [EMPTY_BASE64, "sha256"],
  ] as const)("reads %s", (text, algo) => {
    expect(equalHashes(parseHash(text, algo), EMPTY)).toBe(true);
  });

  test.each([
    [EMPTY_HEX, undefined, "ERR_HASH_NO_ALGO"],
    [`sha256:${EMPTY_BASE64.slice(0, -1)}`, undefined, "ERR_HASH_LENGTH"],
    [`sha256-${EMPTY_HEX}`, undefined, "ERR_HASH_LENGTH"],
    ["sha256-a:b", undefined, "ERR_HASH_UNKNOWN_ALGO"],
    ["sha256:1mdm", undefined, "ERR_HASH_LENGTH"],
    [`sha256:${EMPTY_HEX.slice(1)}g`, undefined, "ERR_HASH_DIGEST"],
    [`sha256:z${EMPTY_NIX32.slice(1)}`, undefined, "ERR_HASH_DIGEST"],
    ["sha256-47DEQpj8HBSa!", undefined, "ERR_HASH_DIGEST"],
    [`sha256-${EMPTY_BASE64}`, "sha1", "ERR_HASH_ALGO_MISMATCH"],
    ["constructor:00", undefined, "ERR_HASH_UNKNOWN_ALGO"],
    ["", undefined, "ERR_HASH_NO_ALGO"],
    ["", "sha256", "ERR_HASH_LENGTH"],
  ] as const)("refuses %s", (text, algo, code) => {
    expect(codeOf(() => parseHash(text, algo))).toBe(code);
  });

  test("the two strict readers take one form only", () => {
    expect(codeOf(() => parseSri(`sha256:${EMPTY_NIX32}`))).toBe("ERR_HASH_NOT_SRI");
    expect(codeOf(() => parsePrefixedHash(EMPTY_NIX32))).toBe("ERR_HASH_NO_ALGO");
    expect(parseSri(`sha256-${EMPTY_BASE64}`)).toEqual(parsePrefixedHash(`sha256:${EMPTY_NIX32}`));
  });

  test("a hash has its algorithm's size", () => {
    expect(codeOf(() => nixHash("sha1", EMPTY.digest))).toBe("ERR_HASH_LENGTH");
    expect(nixHash("sha256", EMPTY.digest)).toEqual(EMPTY);
    expect(toHex(zeroHash("md5").digest)).toBe("0".repeat(32));
  });

  test("format names are those of convertHash", () => {
    expect(["base16", "nix32", "base32", "base64", "sri"].map(parseHashFormat)).toEqual([
      "base16",
      "nix32",
      "nix32",
      "base64",
      "sri",
    ]);
    expect(codeOf(() => parseHashFormat("hex"))).toBe("ERR_HASH_UNKNOWN_FORMAT");
  });

  test("every form of every algorithm reads back", () => {
    fc.assert(
      fc.property(anyHash, fc.constantFrom<HashFormat>("base16", "nix32", "base64", "sri"), (hash, format) => {
        expect(parseHash(formatHash(hash, format), hash.algo)).toEqual(hash);
        if (format !== "sri") expect(parsePrefixedHash(formatPrefixedHash(hash, format))).toEqual(hash);
      }),
    );
  });

  test("arbitrary text throws typed errors only", () => {
    fc.assert(fc.property(fc.string({ unit: "binary" }), (text) => void codeOf(() => parseHash(text, "sha1"))));
    fc.assert(fc.property(fc.string(), (text) => void codeOf(() => parseHash(`sha256-${text}`))));
    fc.assert(fc.property(fc.string(), (text) => void codeOf(() => parseContentAddress(`fixed:${text}`))));
  });
});

describe("base64", () => {
  test("is that of the platform", () => {
    fc.assert(
      fc.property(fc.uint8Array(), (b) => {
        expect(encodeBase64(b)).toBe(Buffer.from(b).toString("base64"));
        expect(encodeBase64Url(b)).toBe(Buffer.from(b).toString("base64url"));
        expect(decodeBase64(encodeBase64(b))).toEqual(b);
        expect(decodeBase64Url(encodeBase64Url(b))).toEqual(b);
      }),
    );
  });

  test.each(["QQ", "QQ=", "QR==", "Q Q=", "QQ==\n", "====", "QQ==QQ=="])(
    "refuses %j where it must be exact",
    (text) => {
      expect(codeOf(() => decodeBase64(text))).toMatch(/^ERR_BASE64_(NOT_CANONICAL|DIGIT)$/);
    },
  );

  test.each(["QQ==", "-+==", "Q/"])("refuses %j where it must be URL-safe", (text) => {
    expect(codeOf(() => decodeBase64Url(text))).toMatch(/^ERR_BASE64_(NOT_CANONICAL|DIGIT)$/);
  });
});

describe("content addresses", () => {
  test.each([
    [`text:sha256:${EMPTY_NIX32}`, "text"],
    [`fixed:sha256:${EMPTY_NIX32}`, "flat"],
    [`fixed:r:sha256:${EMPTY_NIX32}`, "nar"],
    [`fixed:git:sha256:${EMPTY_NIX32}`, "git"],
  ])("%s", (text, method) => {
    expect(parseContentAddress(text)).toEqual({ method, hash: EMPTY });
    expect(formatContentAddress(parseContentAddress(text))).toBe(text);
    const bare = text.slice(0, text.lastIndexOf(":"));
    expect(parseContentMethod(bare)).toEqual({ method, algo: "sha256" });
    expect(formatContentMethod(parseContentMethod(bare).method, "sha256")).toBe(bare);
  });

  test.each([
    ["sha256:x", "ERR_CA_SYNTAX"],
    ["text:sha256", "ERR_CA_SYNTAX"],
    ["text:sha1:0000000000000000000000000000000000000000", "ERR_CA_SYNTAX"],
    ["fixed:r:sha0:00", "ERR_HASH_UNKNOWN_ALGO"],
    ["fixed:r:sha256:00", "ERR_HASH_LENGTH"],
  ])("%s is refused", (text, code) => {
    expect(codeOf(() => parseContentAddress(text))).toBe(code);
  });

  test("output methods", () => {
    for (const text of ["sha256", "r:sha1", "text:sha256", "git:sha1"]) {
      const { method, algo } = parseOutputMethod(text);
      expect(formatOutputMethod(method, algo)).toBe(text);
    }
    expect(codeOf(() => parseOutputMethod("x:sha1"))).toBe("ERR_HASH_UNKNOWN_ALGO");
    expect(codeOf(() => parseContentMethod(`text:sha256:${EMPTY_NIX32}`))).toBe("ERR_CA_SYNTAX");
  });
});

describe("digests", () => {
  test("one-shot, piecewise and latin1 agree", () => {
    fc.assert(
      fc.property(fc.uint8Array(), fc.nat(), fc.constantFrom("md5", "sha1", "sha256", "sha512"), (b, cut, algo) => {
        const at = cut % (b.length + 1);
        const whole = digestBytes(algo, b);
        const pieces = startDigest(algo);
        pieces.update(b.subarray(0, at));
        pieces.update(b.subarray(at));
        expect(pieces.finish()).toEqual(whole);
        expect(digestLatin1(algo, String.fromCharCode(...b))).toEqual(whole);
        expect(whole.length).toBe(HASH_SIZES[algo]);
      }),
    );
  });
});
