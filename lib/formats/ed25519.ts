// The one door to Ed25519: keys as bare bytes, strict verification. A browser build replaces this file.

import { createPrivateKey, createPublicKey, type KeyObject, randomBytes, sign, verify } from "node:crypto";
import { concatBytes, fromHex } from "../base/bytes.ts";

/** What precedes the 32 bytes in the PKCS #8 form of a seed and the SPKI form of a public key. */
const PRIVATE_PREFIX = fromHex("302e020100300506032b657004220420") as Uint8Array;
const PUBLIC_PREFIX = fromHex("302a300506032b6570032100") as Uint8Array;

/** A fresh 32-byte seed. */
export function generateSeed(): Uint8Array {
  return new Uint8Array(randomBytes(32));
}

/** The 32-byte public key of a 32-byte seed. */
export function publicKeyOf(seed: Uint8Array): Uint8Array {
  const spki = createPublicKey(privateKey(seed)).export({ type: "spki", format: "der" });
  return new Uint8Array(spki.subarray(PUBLIC_PREFIX.length));
}

/** The 64-byte signature of `message`. */
export function signWith(seed: Uint8Array, message: Uint8Array): Uint8Array {
  return new Uint8Array(sign(null, message, privateKey(seed)));
}

/** Whether `signature` (64 bytes) is that of `message` under the 32-byte `key`; `false` also for a key that is none. */
export function verifyWith(key: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean {
  if (isSmallOrder(key) || isSmallOrder(signature.subarray(0, 32))) return false;
  try {
    const spki = Buffer.from(concatBytes([PUBLIC_PREFIX, key]));
    return verify(null, message, createPublicKey({ key: spki, type: "spki", format: "der" }), signature);
  } catch {
    return false;
  }
}

function privateKey(seed: Uint8Array): KeyObject {
  const pkcs8 = Buffer.from(concatBytes([PRIVATE_PREFIX, seed]));
  return createPrivateKey({ key: pkcs8, type: "pkcs8", format: "der" });
}

/**
 * Points whose order divides eight, as the y coordinate without its sign bit. Under such a key one signature fits many
 * messages; libsodium, which Nix verifies with, refuses them, OpenSSL does not. The last two are 0 and 1 written
 * unreduced, as p and p+1.
 */
const SMALL_ORDER: readonly Uint8Array[] = [
  "0000000000000000000000000000000000000000000000000000000000000000",
  "0100000000000000000000000000000000000000000000000000000000000000",
  "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
  "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
  "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
  "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
  "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
].map((hex) => fromHex(hex) as Uint8Array);

function isSmallOrder(point: Uint8Array): boolean {
  return SMALL_ORDER.some((small) => small.every((byte, i) => ((point[i] ?? 0) & (i === 31 ? 0x7f : 0xff)) === byte));
}
