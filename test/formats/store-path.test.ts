import { fc } from "../property.ts";
import { describe, expect, test } from "vitest";
import { fromHex, toHex } from "../../lib/base/bytes.ts";
import { encodeUtf8 } from "../../lib/base/text.ts";
import { sha256 } from "../../lib/formats/digest.ts";
import { parseHash } from "../../lib/formats/hash.ts";
import {
  checkStoreName,
  compareStorePaths,
  compressHash,
  contentAddressedPath,
  fixedPath,
  outputPath,
  placeholder,
  sourcePath,
  StorePath,
  textPath,
  upstreamPlaceholder,
} from "../../lib/formats/store-path.ts";
import { codeOf } from "./codes.ts";

const HASH = "00bgd045z0d4icpbc2yyz4gx48ak44la";

describe("store path", () => {
  test("reads and writes", () => {
    const path = StorePath.parseAbsolute(`/nix/store/${HASH}-net-tools-1.60_p20170221182432`);
    expect(path.name).toBe("net-tools-1.60_p20170221182432");
    expect(path.hash).toBe(HASH);
    expect(toHex(path.digest)).toBe("8a12321522fd91efbd60ebb2481af88580f61600");
    expect(path.absolute()).toBe(`/nix/store/${HASH}-net-tools-1.60_p20170221182432`);
    expect(path.absolute("/gnu/store")).toBe(`/gnu/store/${HASH}-net-tools-1.60_p20170221182432`);
    expect(StorePath.of(path.digest, path.name)).toEqual(path);
    expect(String(path)).toBe(path.basename);
    expect(path.isDerivation()).toBe(false);
  });

  test("splits what lies below", () => {
    expect(StorePath.split(`/nix/store/${HASH}-sh/bin/sh`)).toEqual({
      path: StorePath.parse(`${HASH}-sh`),
      rest: "/bin/sh",
    });
    expect(StorePath.split(`/s/${HASH}-sh`, "/s").rest).toBe("");
    expect(StorePath.split(`/nix/store/${HASH}-sh/`).rest).toBe("/");
  });

  test.each([
    [`/nix/store/${HASH}`, "ERR_STORE_PATH_SYNTAX"],
    [`/nix/store/${HASH}-`, "ERR_STORE_PATH_NAME"],
    [`/nix/store/${HASH}_a`, "ERR_STORE_PATH_SYNTAX"],
    [`/nix/store/${HASH.replace("b", "e")}-a`, "ERR_STORE_PATH_HASH"],
    [`/nix/store/${HASH.toUpperCase()}-a`, "ERR_STORE_PATH_HASH"],
    [`/nix/store/${HASH}-a/b`, "ERR_STORE_PATH_NAME"],
    [`/nix/store2/${HASH}-a`, "ERR_STORE_PATH_OUTSIDE"],
    ["/nix/store", "ERR_STORE_PATH_OUTSIDE"],
    ["/nix/store/", "ERR_STORE_PATH_SYNTAX"],
    ["", "ERR_STORE_PATH_OUTSIDE"],
  ])("%s is refused", (path, code) => {
    expect(codeOf(() => StorePath.parseAbsolute(path))).toBe(code);
  });

  // As Nix 2.34.8 rules.
  test.each(["a", ".a", "..a", "...", ".a-b", "...-a", "-", "A+b-c._?=9", "x".repeat(211)])(
    "name %s is valid",
    (name) => {
      expect(checkStoreName(name)).toBe(name);
    },
  );
  test.each(["", ".", "..", ".-", "..-", ".-x", "..-x", "a b", "a/b", "é", "\u0161", "a\0", "x".repeat(212)])(
    "name %j is not",
    (name) => {
      expect(codeOf(() => checkStoreName(name))).toBe("ERR_STORE_PATH_NAME");
    },
  );

  test("arbitrary text throws typed errors only", () => {
    fc.assert(fc.property(fc.string({ unit: "binary" }), (text) => void codeOf(() => StorePath.parse(text))));
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), (text) => void codeOf(() => StorePath.parse(`${HASH}-${text}`))),
    );
  });

  test("orders as the basenames do", () => {
    const anyPath = fc
      .tuple(fc.uint8Array({ minLength: 20, maxLength: 20 }), fc.constantFrom("a", "a-b", "b", "A"))
      .map(([digest, name]) => StorePath.of(digest, name));
    fc.assert(
      fc.property(anyPath, anyPath, fc.boolean(), (a, other, same) => {
        const b = same ? StorePath.of(a.digest, other.name) : other;
        const expected = a.basename < b.basename ? -1 : Number(a.basename > b.basename);
        expect(compareStorePaths(a, b)).toBe(expected);
      }),
    );
  });
});

describe("constructions", () => {
  const zeros = { algo: "sha256", digest: new Uint8Array(32) } as const;

  test("text", () => {
    const foo = textPath({ name: "foo", contents: encodeUtf8("bar") });
    expect(foo.basename).toBe("vxjiwkjkn7x4079qvh1jkl5pn05j2aw0-foo");
    const baz = textPath({ name: "baz", contents: encodeUtf8(foo.absolute()), references: [foo.absolute()] });
    expect(baz.basename).toBe("5xd714cbfnkz02h2vbsj4fm03x3f15nf-baz");
    const again = textPath({ name: "foo", contents: { sha256: sha256(encodeUtf8("bar")) } });
    expect(again).toEqual(foo);
  });

  test("references count as a sorted set", () => {
    const references = [`/nix/store/${HASH}-b`, `/nix/store/${HASH}-a`, `/nix/store/${HASH}-b`];
    const contents = encodeUtf8("x");
    expect(textPath({ name: "x", contents, references })).toEqual(
      textPath({ name: "x", contents, references: references.slice(0, 2).toReversed() }),
    );
  });

  test("fixed", () => {
    const sha1 = parseHash("sha1:0beec7b5ea3f0fdbc95d0dd47f3c5bc275da8a33");
    expect(fixedPath({ name: "bar", method: "nar", hash: sha1 }).basename).toBe("mp57d33657rf34lzvlbpfa1gjfv5gmpg-bar");
    expect(fixedPath({ name: "fodflat", method: "flat", hash: zeros }).basename).toBe(
      "wn22g5y4d9dxi17marghcfq0s6jflrl4-fodflat",
    );
  });

  test("source", () => {
    expect(sourcePath({ name: "fodrec", narSha256: zeros.digest }).basename).toBe(
      "s49z06n7slirl186980bxq5mmq40lvi6-fodrec",
    );
    const withSelf = sourcePath({ name: "fodrec", narSha256: zeros.digest, selfReferencing: true });
    expect(withSelf.hash).not.toBe("s49z06n7slirl186980bxq5mmq40lvi6");
  });

  test("a content address chooses", () => {
    const choose = (method: "text" | "flat" | "nar" | "git", references: string[] = [], selfReferencing = false) =>
      contentAddressedPath({ name: "n", address: { method, hash: zeros }, references, selfReferencing });
    const reference = [`/nix/store/${HASH}-a`];
    expect(choose("text", reference)).toEqual(
      textPath({ name: "n", contents: { sha256: zeros.digest }, references: reference }),
    );
    expect(choose("nar", reference, true)).toEqual(
      sourcePath({ name: "n", narSha256: zeros.digest, references: reference, selfReferencing: true }),
    );
    expect(choose("flat")).toEqual(fixedPath({ name: "n", method: "flat", hash: zeros }));
    expect(codeOf(() => choose("flat", reference))).toBe("ERR_STORE_PATH_REFERENCES");
    expect(codeOf(() => choose("flat", [], true))).toBe("ERR_STORE_PATH_REFERENCES");
    expect(codeOf(() => choose("text", [], true))).toBe("ERR_STORE_PATH_REFERENCES");
  });

  test("output, and the name that is too long with its suffix", () => {
    const modulo = toHex(zeros.digest);
    expect(outputPath({ name: "n", output: "out", modulo }).name).toBe("n");
    expect(outputPath({ name: "n", output: "dev", modulo }).name).toBe("n-dev");
    expect(codeOf(() => outputPath({ name: "n".repeat(208), output: "dev", modulo }))).toBe("ERR_STORE_PATH_NAME");
  });

  test("the store directory is part of the hash", () => {
    const contents = encodeUtf8("bar");
    expect(textPath({ name: "foo", contents, storeDir: "/gnu/store" }).hash).not.toBe(
      textPath({ name: "foo", contents }).hash,
    );
  });

  test("placeholders", () => {
    expect(placeholder("out")).toBe("/1rz4g4znpzjwh1xymhjpm42vipw92pr73vdgl6xs1hycac8kf2n9");
    // What Nix 2.34.8 interpolates for outputs of a content-addressed derivation of ours.
    const drv = StorePath.parse("i0ljrzwjy3fmk97igw1gmsql0p2b6cgl-foo.drv");
    expect(upstreamPlaceholder(drv, "out")).toBe("/0nsl37qaqhwzggnflj2rnmq7bmc35jrgfrskw92jb9893fz0hkwn");
    expect(upstreamPlaceholder(drv, "dev")).toBe("/0i1km2in6xgqh6ajxj8j4qg0v3bh00zg395w53s67m64vndnvcg7");
  });

  test("folding", () => {
    expect(compressHash(Uint8Array.of(1, 2, 3), 2)).toEqual(Uint8Array.of(2, 2));
    expect(compressHash(fromHex("ff".repeat(32)) as Uint8Array)).toEqual(
      fromHex(`${"00".repeat(12)}${"ff".repeat(8)}`) as Uint8Array,
    );
  });
});
