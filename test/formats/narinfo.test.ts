import { fc } from "../property.ts";
import { describe, expect, test } from "vitest";
import { formatCacheInfo, parseCacheInfo } from "../../lib/formats/cache-info.ts";
import { formatNarInfo, type NarInfo, parseNarInfo } from "../../lib/formats/narinfo.ts";
import { fingerprint, parsePublicKey, parseSecretKey, signText, verifyText } from "../../lib/formats/signature.ts";
import { contentAddressedPath, StorePath } from "../../lib/formats/store-path.ts";
import { codeOf } from "./codes.ts";
import { goldenNames, goldenText } from "./golden.ts";

const FILES = goldenNames("cache", ".narinfo");
const BUILT = goldenText(FILES.find((name) => goldenText(name).includes("-built.drv")) ?? "");
const without = (key: string): string => BUILT.replace(new RegExp(`^${key}: .*\n`, "m"), "");
const withValue = (key: string, value: string): string => `${without(key)}${key}: ${value}\n`;

describe("narinfo", () => {
  test.each(FILES)("%s, made by Nix, reads and writes back", (file) => {
    const text = goldenText(file);
    expect(formatNarInfo(parseNarInfo(text))).toBe(text);
    expect(formatNarInfo(parseNarInfo(new TextEncoder().encode(text), { lenient: true }))).toBe(text);
  });

  test.each(FILES)("%s carries a signature of Nix's that verifies, and ours is the same", (file) => {
    const info = parseNarInfo(goldenText(file));
    const key = parsePublicKey(goldenText("cache.pub"));
    const [signature] = info.signatures;
    const text = fingerprint(info);
    expect(signature !== undefined && verifyText([key], text, signature)).toBe(true);
    expect(signature !== undefined && verifyText([key], `${text},`, signature)).toBe(false);
    expect(signText(parseSecretKey(goldenText("cache.sec")), text)).toEqual(signature);
  });

  test.each(FILES)("%s has the path that its content address gives", (file) => {
    const info = parseNarInfo(goldenText(file));
    if (info.ca === undefined) {
      expect(info.deriver).toBeDefined();
      return;
    }
    const references = info.references.map((reference) => reference.absolute());
    const path = contentAddressedPath({ name: info.storePath.name, address: info.ca, references });
    expect(path).toEqual(info.storePath);
  });

  test("all fields", () => {
    const info = parseNarInfo(BUILT);
    expect(info.storePath.name).toBe("built");
    expect(info.url).toMatch(/^nar\/.*\.nar$/);
    expect(info.compression).toBe("none");
    expect([info.fileSize, info.narSize]).toEqual([168, 168]);
    expect(info.fileHash).toEqual(info.narHash);
    expect(info.references.map((reference) => reference.name)).toEqual(["text"]);
    expect(info.deriver?.name).toBe("built.drv");
    expect(info.ca).toBeUndefined();
    expect(info.system).toBeUndefined();
  });

  test("what is optional may be absent, what is unknown is ignored", () => {
    const text = ["Compression", "FileHash", "FileSize", "Deriver", "Sig"].reduce(
      (rest, key) => rest.replace(new RegExp(`^${key}: .*\n`, "m"), ""),
      BUILT,
    );
    const info = parseNarInfo(`${text}Something: else\nSomething: else\nSystem: x86_64-linux\n`);
    expect(info).toMatchObject({ compression: "bzip2", signatures: [], system: "x86_64-linux" });
    expect(Object.keys(info)).not.toContain("fileHash");
    expect(parseNarInfo(withValue("Deriver", "unknown-deriver")).deriver).toBeUndefined();
    expect(parseNarInfo(withValue("References", "")).references).toEqual([]);
  });

  test("a NAR hash may be bare base-16", () => {
    const hex = "a50a5ab6d992f5598edd92105059fae9acfc192981e08bd88534c2167e92526a";
    expect(parseNarInfo(withValue("NarHash", hex)).narHash).toEqual(
      parseNarInfo(withValue("NarHash", `sha256:${hex}`)).narHash,
    );
  });

  test.each([
    ["a missing path", without("StorePath"), "ERR_NARINFO_MISSING"],
    ["a missing URL", without("URL"), "ERR_NARINFO_MISSING"],
    ["an empty URL", withValue("URL", ""), "ERR_NARINFO_MISSING"],
    ["a missing hash", without("NarHash"), "ERR_NARINFO_MISSING"],
    ["a missing size", without("NarSize"), "ERR_NARINFO_MISSING"],
    ["missing references", without("References"), "ERR_NARINFO_MISSING"],
    ["a repeated key", `${BUILT}URL: x\n`, "ERR_NARINFO_DUPLICATE"],
    ["another hash algorithm", withValue("NarHash", `md5:${"0".repeat(32)}`), "ERR_NARINFO_VALUE"],
    ["a size of 0", withValue("NarSize", "0"), "ERR_NARINFO_VALUE"],
    ["a negative size", withValue("NarSize", "-1"), "ERR_NARINFO_VALUE"],
    ["a size beyond 2^53", withValue("NarSize", "9007199254740993"), "ERR_NARINFO_VALUE"],
    ["a size in hexadecimal", withValue("FileSize", "0x10"), "ERR_NARINFO_VALUE"],
    ["a path elsewhere", withValue("StorePath", "/tmp/x"), "ERR_NARINFO_VALUE"],
    ["a reference that is none", withValue("References", "x"), "ERR_NARINFO_VALUE"],
    ["a reference twice", withValue("References", `${"0".repeat(32)}-a ${"0".repeat(32)}-a`), "ERR_NARINFO_VALUE"],
    ["a deriver that is none", withValue("Deriver", `${"0".repeat(32)}-a`), "ERR_NARINFO_VALUE"],
    ["a signature that is none", withValue("Sig", "x:AAAA"), "ERR_NARINFO_VALUE"],
    ["a content address that is none", withValue("CA", "x:y"), "ERR_NARINFO_VALUE"],
    ["a line without a colon", `${BUILT}x\n`, "ERR_NARINFO_SYNTAX"],
    ["a line without a space", `${BUILT}x:y\n`, "ERR_NARINFO_SYNTAX"],
    ["a line without a key", `${BUILT}: y\n`, "ERR_NARINFO_SYNTAX"],
    ["an empty line", `${BUILT}\n`, "ERR_NARINFO_SYNTAX"],
    ["no line feed at the end", BUILT.slice(0, -1), "ERR_NARINFO_SYNTAX"],
    ["nothing", "", "ERR_NARINFO_MISSING"],
    ["megabytes", `${BUILT}X: ${"x".repeat(5_000_000)}\n`, "ERR_NARINFO_SYNTAX"],
    ["bytes that are not UTF-8", Uint8Array.of(0x58, 0x3a, 0x20, 0xff, 0x0a), "ERR_NARINFO_SYNTAX"],
  ])("%s is refused", (_, text, code) => {
    expect(codeOf(() => parseNarInfo(text))).toBe(code);
  });

  test("what the lenient reader takes besides", () => {
    const lenient = (text: string): NarInfo => parseNarInfo(text, { lenient: true });
    expect(lenient(without("References")).references).toEqual([]);
    expect(lenient(withValue("References", `${"0".repeat(32)}-a ${"0".repeat(32)}-a`)).references.length).toBe(1);
    expect(lenient(withValue("NarSize", "0")).narSize).toBe(0);
    expect(lenient(withValue("Deriver", `${"0".repeat(32)}-a`)).deriver?.name).toBe("a");
    expect(lenient(`${BUILT}Sig: junk\n`).signatures.length).toBe(1);
  });

  test("values with line feeds are not written", () => {
    expect(codeOf(() => formatNarInfo({ ...parseNarInfo(BUILT), url: "a\nSig: b" }))).toBe("ERR_NARINFO_VALUE");
  });

  test("another store directory", () => {
    const text = BUILT.replace("/nix/store/", "/gnu/store/");
    expect(codeOf(() => parseNarInfo(text))).toBe("ERR_NARINFO_VALUE");
    const info = parseNarInfo(text, { storeDir: "/gnu/store" });
    expect(formatNarInfo(info, "/gnu/store")).toBe(text);
    expect(fingerprint(info, "/gnu/store")).toMatch(/^1;\/gnu\/store\/.*;168;\/gnu\/store\//);
  });

  test("changed narinfos throw typed errors only", () => {
    const change = fc.tuple(fc.nat(BUILT.length), fc.nat(3), fc.string({ unit: "binary", maxLength: 3 }));
    fc.assert(
      fc.property(change, ([at, cut, put]) => {
        const text = BUILT.slice(0, at) + put + BUILT.slice(at + cut);
        if (codeOf(() => parseNarInfo(text)) === undefined) {
          const info = parseNarInfo(text);
          expect(parseNarInfo(formatNarInfo(info))).toEqual(info);
        }
      }),
      { numRuns: 500 },
    );
    fc.assert(fc.property(fc.uint8Array(), (bytes) => void codeOf(() => parseNarInfo(bytes, { lenient: true }))));
  });
});

describe("fingerprint", () => {
  test("references are a sorted set", () => {
    const path = (name: string): StorePath => StorePath.parse(`${"0".repeat(32)}-${name}`);
    const info = parseNarInfo(BUILT);
    const references = [path("b"), path("a"), path("b")];
    const store = `/nix/store/${"0".repeat(32)}`;
    expect(fingerprint({ ...info, references })).toMatch(new RegExp(`;168;${store}-a,${store}-b$`));
    expect(fingerprint({ ...info, references: [] })).toMatch(/;168;$/);
  });
});

describe("cache info", () => {
  test("made by Nix", () => {
    expect(parseCacheInfo(goldenText("cache/nix-cache-info"))).toEqual({ storeDir: "/nix/store" });
  });

  test("reads and writes", () => {
    const text = "StoreDir: /nix/store\nWantMassQuery: 1\nPriority: 40\n";
    expect(parseCacheInfo(text)).toEqual({ storeDir: "/nix/store", wantMassQuery: true, priority: 40 });
    expect(formatCacheInfo(parseCacheInfo(text))).toBe(text);
    expect(formatCacheInfo({ storeDir: "/s", wantMassQuery: false })).toBe("StoreDir: /s\nWantMassQuery: 0\n");
    expect(parseCacheInfo("StoreDir: /s\nOther: x\n")).toEqual({ storeDir: "/s" });
  });

  test.each([
    ["Priority: 1\n", "ERR_CACHE_INFO_VALUE"],
    ["StoreDir: relative\n", "ERR_CACHE_INFO_VALUE"],
    ["StoreDir: /s\nPriority: high\n", "ERR_CACHE_INFO_VALUE"],
    ["StoreDir: /s\nWantMassQuery: yes\n", "ERR_CACHE_INFO_VALUE"],
    ["<html>", "ERR_CACHE_INFO_SYNTAX"],
    ["<html>\n", "ERR_CACHE_INFO_SYNTAX"],
  ])("%j is refused", (text, code) => {
    expect(codeOf(() => parseCacheInfo(text))).toBe(code);
  });
});
