import { fc } from "../property.ts";
import { describe, expect, test } from "vitest";
import { fromHex, toHex } from "../../lib/base/bytes.ts";
import { encodeUtf8, latin1ToBytes } from "../../lib/base/text.ts";
import { decodeNode, encodeNode } from "../../lib/castore/canonical.ts";
import { asDigest, digestHex, digestOf, digestText, EMPTY_DIGEST, parseDigest } from "../../lib/castore/digest.ts";
import { Directory, EMPTY_DIRECTORY, type Entry } from "../../lib/castore/directory.ts";
import { checkName, displayPath, parsePath } from "../../lib/castore/path.ts";
import type { Node } from "../../lib/castore/node.ts";

const name = (text: string) => encodeUtf8(text);
const file = (size = 0, executable = false): Node => ({ type: "file", digest: EMPTY_DIGEST, size, executable });
const link = (target: string): Node => ({ type: "symlink", target: encodeUtf8(target) });
const hex = (text: string) => fromHex(text) as Uint8Array;

const WITH_KEEP = "12290a052e6b6565701220af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262";
const COMPLICATED =
  "0a2a0a046b65657012208b5b5d642b646bb8ed504b0862c39413e87e57491497de7bd075953f7b83810e180212290a052e6b6565701220af13" +
  "49b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f32621a1e0a02616112182f6e69782f73746f72652f736f6d6577686572" +
  "65656c7365";

const keep = Directory.of([{ name: name(".keep"), node: file() }]);
const complicated = Directory.of([
  { name: name("aa"), node: link("/nix/store/somewhereelse") },
  { name: name("keep"), node: keep.node() },
  { name: name(".keep"), node: file() },
]);

describe("digests", () => {
  test("print and parse", () => {
    expect(digestHex(digestOf(name("Hello World!")))).toBe(
      "5ca7815adcb484e9a136c11efe69c1d530176d549b5d18d038eb5280b4b3470c",
    );
    expect(digestText(EMPTY_DIGEST)).toBe("b3:rxNJufX5oaagQE3qNtzJSZvLJcmtwRK3zJqTyuQfMmI=");
    expect(parseDigest(digestText(EMPTY_DIGEST))).toEqual(EMPTY_DIGEST);
    expect(parseDigest(digestHex(EMPTY_DIGEST))).toEqual(EMPTY_DIGEST);
  });
  test.each([
    "",
    "b3:",
    "af13",
    "b3:rxNJufX5oaagQE3qNtzJSZvLJcmtwRK3zJqTyuQfMmJ=", // surplus bits set
    "b3:rxNJufX5oaagQE3qNtzJSZvLJcmtwRK3zJqTyuQfMmI",
    "B3:rxNJufX5oaagQE3qNtzJSZvLJcmtwRK3zJqTyuQfMmI=",
  ])("refuses %j", (text) => {
    expect(() => parseDigest(text)).toThrow(expect.objectContaining({ code: "ERR_CASTORE_DIGEST" }));
  });
  test("have 32 bytes", () => {
    expect(() => asDigest(new Uint8Array(31))).toThrow(expect.objectContaining({ code: "ERR_CASTORE_DIGEST" }));
  });
});

describe("directories", () => {
  test("have the published bytes, sizes and digests", () => {
    expect(EMPTY_DIRECTORY.encode()).toEqual(new Uint8Array(0));
    expect(EMPTY_DIRECTORY.digest()).toEqual(EMPTY_DIGEST);
    expect(toHex(keep.encode())).toBe(WITH_KEEP);
    expect(keep.size).toBe(2);
    expect(digestHex(keep.digest())).toBe("8b5b5d642b646bb8ed504b0862c39413e87e57491497de7bd075953f7b83810e");
    expect(toHex(complicated.encode())).toBe(COMPLICATED);
    expect(complicated.size).toBe(8);
    expect(digestHex(complicated.digest())).toBe("424a7f6ce08d805d15b428062faae96299a1675d708c3a39261afe38cdd04feb");
  });
  test("of the older size rule keep their digest", () => {
    const old = Directory.decode(hex(COMPLICATED.replace("1802", "1801")));
    expect(digestHex(old.digest())).toBe("3f951a15afd586fb3121ef4d13d582e811ce0e5a7f21c0497fd87490e9e2355a");
  });
  test("find entries by name", () => {
    expect(complicated.find(name("aa"))?.type).toBe("symlink");
    expect(complicated.find(name(".keep"))?.type).toBe("file");
    expect(complicated.find(name("ab"))).toBeUndefined();
  });

  const entries = fc.uniqueArray(
    fc.record({
      name: fc.uint8Array({ minLength: 1, maxLength: 6, min: 48 }),
      node: fc.oneof(
        fc.record({
          type: fc.constant("file" as const),
          digest: fc.uint8Array({ minLength: 32, maxLength: 32 }).map(asDigest),
          size: fc.maxSafeNat(),
          executable: fc.boolean(),
        }),
        fc.record({
          type: fc.constant("directory" as const),
          digest: fc.uint8Array({ minLength: 32, maxLength: 32 }).map(asDigest),
          size: fc.nat(),
        }),
        fc.record({
          type: fc.constant("symlink" as const),
          target: fc.uint8Array({ minLength: 1, maxLength: 40, min: 1 }),
        }),
      ),
    }),
    { selector: (entry) => toHex(entry.name) },
  );

  test("round trip through their bytes", () => {
    fc.assert(
      fc.property(entries, (list: Entry[]) => {
        const directory = Directory.of(list);
        const again = Directory.decode(directory.encode());
        expect(again.equals(directory)).toBe(true);
        expect(again.size).toBe(directory.size);
        expect(toHex(Directory.of(again.entries).encode())).toBe(toHex(directory.encode()));
      }),
    );
  });
  test("have one encoding: whatever the decoder takes, the encoder gives back", () => {
    const mutated = fc.tuple(entries, fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 4 }));
    fc.assert(
      fc.property(mutated, ([list, changes]) => {
        const bytes = Directory.of(list).encode().slice();
        for (const [at, value] of changes) if (bytes.length > 0) bytes[at % bytes.length] = value;
        let directory: Directory;
        try {
          directory = Directory.decode(bytes);
        } catch (error) {
          expect((error as { code?: string }).code).toMatch(/^ERR_CASTORE_/);
          return;
        }
        expect(toHex(Directory.of(directory.entries).encode())).toBe(toHex(bytes));
      }),
      { numRuns: 2000 },
    );
  });
});

describe("the decoder refuses", () => {
  const E = "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262";
  const fileA = `12250a01611220${E}`;
  const cases: [string, string, string][] = [
    ["an unknown field", "2200", "ERR_CASTORE_ENCODING"],
    ["a wrong wire type", "0801", "ERR_CASTORE_ENCODING"],
    ["a truncated message", WITH_KEEP.slice(0, -2), "ERR_CASTORE_ENCODING"],
    ["symlinks before files", `1a060a016212016312250a01611220${E}`, "ERR_CASTORE_ENCODING"],
    ["an explicit zero size", `12270a01611220${E}1800`, "ERR_CASTORE_ENCODING"],
    ["an explicit false", `12270a01611220${E}2000`, "ERR_CASTORE_ENCODING"],
    ["a boolean of 2", `12270a01611220${E}2002`, "ERR_CASTORE_ENCODING"],
    ["a long varint", `12280a01611220${E}188100`, "ERR_CASTORE_ENCODING"],
    ["a size of 2^64-1", `12300a01611220${E}18ffffffffffffffffff01`, "ERR_CASTORE_ENCODING"],
    ["fields out of order", `12271220${E}0a01611801`, "ERR_CASTORE_ENCODING"],
    ["a field inside an entry that is unknown", `12270a01611220${E}2801`, "ERR_CASTORE_ENCODING"],
    ["a repeated field", `12290a01611220${E}18011801`, "ERR_CASTORE_ENCODING"],
    ["a digest of 31 bytes", `12240a0161121f${E.slice(2)}`, "ERR_CASTORE_ENCODING"],
    ["a missing digest", "12030a0161", "ERR_CASTORE_ENCODING"],
    ["a missing name", `12221220${E}`, "ERR_CASTORE_NAME"],
    ["files out of order", `12250a01621220${E}${fileA}`, "ERR_CASTORE_ORDER"],
    ["equal names of a kind", `${fileA}${fileA}`, "ERR_CASTORE_DUPLICATE"],
    ["equal names of two kinds", `${fileA}1a060a0161120163`, "ERR_CASTORE_DUPLICATE"],
    ["a name with a slash", `12270a03612f621220${E}`, "ERR_CASTORE_NAME"],
    ["the name ..", `12260a022e2e1220${E}`, "ERR_CASTORE_NAME"],
    ["the name .", `12250a012e1220${E}`, "ERR_CASTORE_NAME"],
    ["a name with NUL", `12250a01001220${E}`, "ERR_CASTORE_NAME"],
    ["an empty target", "1a030a0161", "ERR_CASTORE_TARGET"],
    ["a target with NUL", "1a060a0161120100", "ERR_CASTORE_TARGET"],
  ];
  test.each(cases)("%s", (_what, bytes, code) => {
    expect(() => Directory.decode(hex(bytes))).toThrow(expect.objectContaining({ code }));
  });
  test("sizes whose sum overflows", () => {
    const big: Node = { type: "directory", digest: EMPTY_DIGEST, size: Number.MAX_SAFE_INTEGER };
    const two = [
      { name: name("a"), node: big },
      { name: name("b"), node: big },
    ];
    expect(() => Directory.of(two)).toThrow(expect.objectContaining({ code: "ERR_CASTORE_SIZE" }));
  });
  test("names over 255 bytes", () => {
    expect(() => checkName(new Uint8Array(256).fill(97))).toThrow(/256 bytes/);
    checkName(new Uint8Array(255).fill(97));
  });
});

describe("nodes alone", () => {
  test("have the published URL forms", () => {
    const url = (node: Node) => Buffer.from(encodeNode(node)).toString("base64url");
    expect(url(link("/nix/store/somewhereelse"))).toBe("GhoSGC9uaXgvc3RvcmUvc29tZXdoZXJlZWxzZQ");
    const hello: Node = { type: "file", digest: digestOf(name("Hello World!")), size: 12, executable: false };
    expect(url(hello)).toBe("EiQSIFyngVrctITpoTbBHv5pwdUwF21Um10Y0DjrUoC0s0cMGAw");
    expect(decodeNode(encodeNode(hello, name("x")))).toEqual({ name: name("x"), node: hello });
  });
  test("must be set, once", () => {
    const code = expect.objectContaining({ code: "ERR_CASTORE_ENCODING" });
    expect(() => decodeNode(new Uint8Array(0))).toThrow(code);
    const one = encodeNode(link("a"));
    expect(() => decodeNode(Uint8Array.of(...one, ...one))).toThrow(code);
  });
});

describe("paths", () => {
  test("drop surplus slashes and refuse dots", () => {
    expect(parsePath("/a//b/").map((part) => new TextDecoder().decode(part))).toEqual(["a", "b"]);
    expect(parsePath("/")).toEqual([]);
    expect(() => parsePath("a/../b")).toThrow(expect.objectContaining({ code: "ERR_CASTORE_NAME" }));
    expect(displayPath(parsePath(latin1ToBytes("a/\xff")))).toBe("a/\\xff");
    expect(displayPath([])).toBe(".");
  });
});
