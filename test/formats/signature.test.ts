import { fc } from "../property.ts";
import { describe, expect, test } from "vitest";
import { encodeBase64 } from "../../lib/formats/base64.ts";
import { publicKeyOf, signWith, verifyWith } from "../../lib/formats/ed25519.ts";
import {
  formatPublicKey,
  formatSecretKey,
  formatSignature,
  generateKey,
  parsePublicKey,
  parseSecretKey,
  parseSignature,
  signText,
  toPublicKey,
  verifyText,
} from "../../lib/formats/signature.ts";
import { codeOf } from "./codes.ts";
import { goldenText } from "./golden.ts";

describe("keys", () => {
  test("those that nix-store generated read and write back", () => {
    const secret = parseSecretKey(goldenText("cache.sec"));
    expect(formatSecretKey(secret)).toBe(goldenText("cache.sec"));
    expect(formatPublicKey(toPublicKey(secret))).toBe(goldenText("cache.pub"));
    expect(parsePublicKey(`${goldenText("cache.pub")}\n`)).toEqual(toPublicKey(secret));
  });

  test("new ones sign and verify", () => {
    const key = generateKey("k-1");
    const signature = signText(key, "text");
    expect(parseSignature(formatSignature(signature))).toEqual(signature);
    expect(verifyText([toPublicKey(key)], "text", signature)).toBe(true);
    expect(verifyText([toPublicKey(key)], "text ", signature)).toBe(false);
    expect(verifyText([{ ...toPublicKey(key), name: "k-2" }], "text", signature)).toBe(false);
    expect(verifyText([toPublicKey(generateKey("k-1"))], "text", signature)).toBe(false);
    expect(verifyText([], "text", signature)).toBe(false);
    expect(parseSecretKey(formatSecretKey(key))).toEqual(key);
    expect(generateKey("k-1").seed).not.toEqual(key.seed);
  });

  test("the published vector of the empty message", () => {
    const seed = Uint8Array.from(
      Buffer.from("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60", "hex"),
    );
    expect(Buffer.from(publicKeyOf(seed)).toString("hex")).toBe(
      "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
    );
    expect(Buffer.from(signWith(seed, new Uint8Array(0))).toString("hex")).toMatch(/^e5564300c360ac72/);
  });

  test("a key of small order verifies nothing", () => {
    const signature = new Uint8Array(64);
    signature[0] = 1;
    const identity = new Uint8Array(32);
    identity[0] = 1;
    expect(verifyWith(identity, new Uint8Array(3), signature)).toBe(false);
  });

  test.each([
    ["no colon", "ERR_KEY_SYNTAX"],
    [":AAAA", "ERR_KEY_SYNTAX"],
    ["a b:AAAA", "ERR_KEY_SYNTAX"],
    ["a:", "ERR_KEY_SYNTAX"],
    ["a:AAAA", "ERR_KEY_SYNTAX"],
    ["a:????", "ERR_KEY_SYNTAX"],
    [`a:${encodeBase64(new Uint8Array(64))}`, "ERR_KEY_MISMATCH"],
  ])("secret key %s is refused, and not shown", (text, code) => {
    expect(codeOf(() => parseSecretKey(text))).toBe(code);
    try {
      parseSecretKey(text);
    } catch (error) {
      expect(String(error)).not.toContain("AAAA");
    }
  });

  test.each([
    "",
    "a",
    "a:",
    "a:AAAA",
    `a:${encodeBase64(new Uint8Array(63))}`,
    `a:${encodeBase64(new Uint8Array(64))} `,
  ])("signature %j is refused", (text) => {
    expect(codeOf(() => parseSignature(text))).toBe("ERR_SIGNATURE_SYNTAX");
  });

  test("arbitrary text throws typed errors only", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), (text) => {
        codeOf(() => parseSignature(text));
        codeOf(() => parsePublicKey(`a:${text}`));
        codeOf(() => parseSecretKey(text));
      }),
    );
    fc.assert(
      fc.property(
        fc.uint8Array({ minLength: 32, maxLength: 32 }),
        fc.uint8Array({ maxLength: 70 }),
        (key, signature) => {
          expect(verifyWith(key, new Uint8Array(0), signature)).toBe(false);
        },
      ),
    );
  });
});
