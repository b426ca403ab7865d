// Named Ed25519 keys and signatures, as binary caches use them: `name:base64`.

import { TvixError } from "../base/error.ts";
import { decodeBase64, encodeBase64 } from "./base64.ts";
import { generateSeed, publicKeyOf, signWith, verifyWith } from "./ed25519.ts";
import { formatPrefixedHash, type NixHash } from "./hash.ts";
import { STORE_DIR, type StorePath } from "./store-path.ts";

/** A signature and the name of the key that made it; `bytes` has 64 bytes. */
export interface Signature {
  readonly name: string;
  readonly bytes: Uint8Array;
}

/** A key to verify with; `bytes` has 32 bytes. */
export interface PublicKey {
  readonly name: string;
  readonly bytes: Uint8Array;
}

/** A key to sign with; `seed` has 32 bytes. */
export interface SecretKey {
  readonly name: string;
  readonly seed: Uint8Array;
}

/** Writes `name:base64`, with 88 chars of base-64. */
export function formatSignature(signature: Signature): string {
  return `${signature.name}:${encodeBase64(signature.bytes)}`;
}

/** Reads what {@link formatSignature} writes; throws `ERR_SIGNATURE_SYNTAX`. */
export function parseSignature(text: string): Signature {
  const { name, bytes } = parseNamed(text, 64, "ERR_SIGNATURE_SYNTAX", "signature");
  return { name, bytes };
}

/** Writes the public key file's content, without a line feed. */
export function formatPublicKey(key: PublicKey): string {
  return `${key.name}:${encodeBase64(key.bytes)}`;
}

/** Reads a public key file's content; white space around it does not matter. Throws `ERR_KEY_SYNTAX`. */
export function parsePublicKey(text: string): PublicKey {
  const { name, bytes } = parseNamed(text.trim(), 32, "ERR_KEY_SYNTAX", "public key");
  return { name, bytes };
}

/** Writes the secret key file's content, without a line feed: the seed followed by the public key. */
export function formatSecretKey(key: SecretKey): string {
  const bytes = new Uint8Array(64);
  bytes.set(key.seed);
  bytes.set(publicKeyOf(key.seed), 32);
  return `${key.name}:${encodeBase64(bytes)}`;
}

/** Reads a secret key file's content. Throws `ERR_KEY_SYNTAX`, `ERR_KEY_MISMATCH`; never shows the secret. */
export function parseSecretKey(text: string): SecretKey {
  const { name, bytes } = parseNamed(text.trim(), 64, "ERR_KEY_SYNTAX", "secret key");
  const seed = bytes.slice(0, 32);
  if (!publicKeyOf(seed).every((byte, i) => byte === bytes[32 + i])) {
    throw new TvixError("ERR_KEY_MISMATCH", `the two halves of secret key '${name}' do not belong together`);
  }
  return { name, seed };
}

/** Makes a new key. Throws `ERR_KEY_SYNTAX` for a name that cannot be written. */
export function generateKey(name: string): SecretKey {
  checkName(name, "ERR_KEY_SYNTAX", "key");
  return { name, seed: generateSeed() };
}

/** The public half of a key. */
export function toPublicKey(key: SecretKey): PublicKey {
  return { name: key.name, bytes: publicKeyOf(key.seed) };
}

/** What a path's signatures are over. */
export interface SignedFields {
  readonly storePath: StorePath;
  /** SHA-256 of the NAR. */
  readonly narHash: NixHash;
  readonly narSize: number;
  readonly references: readonly StorePath[];
}

/** The text that is signed: `1;<path>;<NAR hash>;<NAR size>;<references, sorted, joined by commas>`. */
export function fingerprint(info: SignedFields, storeDir: string = STORE_DIR): string {
  const references = [...new Set(info.references.map((reference) => reference.absolute(storeDir)))].sort();
  const hash = formatPrefixedHash(info.narHash, "nix32");
  return `1;${info.storePath.absolute(storeDir)};${hash};${info.narSize};${references.join(",")}`;
}

/** Signs a text, as a fingerprint. */
export function signText(key: SecretKey, text: string): Signature {
  return { name: key.name, bytes: signWith(key.seed, new TextEncoder().encode(text)) };
}

/** Whether a signature of `text` was made with one of `keys`: the name and the mathematics must both agree. */
export function verifyText(keys: readonly PublicKey[], text: string, signature: Signature): boolean {
  const message = new TextEncoder().encode(text);
  return keys.some((key) => key.name === signature.name && verifyWith(key.bytes, message, signature.bytes));
}

type SyntaxCode = "ERR_SIGNATURE_SYNTAX" | "ERR_KEY_SYNTAX";

function parseNamed(text: string, size: number, code: SyntaxCode, what: string): { name: string; bytes: Uint8Array } {
  const colon = text.indexOf(":");
  if (colon < 0) throw new TvixError(code, `a ${what} is written <name>:<base64>; there is no colon`);
  const name = text.slice(0, colon);
  checkName(name, code, what);
  let bytes: Uint8Array;
  try {
    bytes = decodeBase64(text.slice(colon + 1));
  } catch {
    throw new TvixError(code, `the ${what} named '${name}' is not valid base-64`);
  }
  if (bytes.length !== size) {
    throw new TvixError(code, `the ${what} named '${name}' has ${bytes.length} bytes instead of ${size}`);
  }
  return { name, bytes };
}

function checkName(name: string, code: SyntaxCode, what: string): void {
  if (!/^[^\u0000-\u0020\u007f:]{1,255}$/.test(name)) {
    throw new TvixError(code, `'${name.slice(0, 80)}' cannot name a ${what}`, {
      notes: ["a name has at least one char, and neither white space nor a colon"],
    });
  }
}
