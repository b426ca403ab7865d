// Hashes with their algorithm, and every text form in which Nix writes and reads them.
//
// A digest is written in base-16, Nix's base-32 ("nix32") or base-64, bare or after `<algo>:`, or as SRI,
// `<algo>-<base64>`. Which of the three encodings a text is in is told by its length alone; for the sizes in use the
// three lengths always differ.

import { fromHex, toHex } from "../base/bytes.ts";
import { TvixError, unreachable } from "../base/error.ts";
import { base64Length, decodeBase64Loosely, encodeBase64 } from "./base64.ts";
import * as base32 from "./nixbase32.ts";

/** The algorithms that Nix names. */
export type HashAlgo = "md5" | "sha1" | "sha256" | "sha512" | "blake3";

/** Bytes of a digest, per algorithm. */
export const HASH_SIZES: Readonly<Record<HashAlgo, number>> = { md5: 16, sha1: 20, sha256: 32, sha512: 64, blake3: 32 };

/** How a digest is written; `sri` includes the algorithm. The names are those of `builtins.convertHash`. */
export type HashFormat = "base16" | "nix32" | "base64" | "sri";

/** A digest and the algorithm that made it; `digest` has the algorithm's size. */
export interface NixHash {
  readonly algo: HashAlgo;
  readonly digest: Uint8Array;
}

/** Whether `text` names a hash algorithm. */
export function isHashAlgo(text: string): text is HashAlgo {
  return Object.hasOwn(HASH_SIZES, text);
}

/** Reads an algorithm's name; throws `ERR_HASH_UNKNOWN_ALGO`. */
export function parseHashAlgo(text: string): HashAlgo {
  if (isHashAlgo(text)) return text;
  throw new TvixError("ERR_HASH_UNKNOWN_ALGO", `unknown hash algorithm '${excerpt(text)}'`, {
    notes: [`known are ${Object.keys(HASH_SIZES).join(", ")}`],
  });
}

/** Reads the name of a format, with Nix's old name `base32` for `nix32`; throws `ERR_HASH_UNKNOWN_FORMAT`. */
export function parseHashFormat(text: string): HashFormat {
  if (text === "base32") return "nix32";
  if (text === "base16" || text === "nix32" || text === "base64" || text === "sri") return text;
  throw new TvixError("ERR_HASH_UNKNOWN_FORMAT", `unknown hash format '${excerpt(text)}'`, {
    notes: ["known are base16, nix32, base64 and sri"],
  });
}

/** Joins an algorithm and a digest; throws `ERR_HASH_LENGTH` when the size is not the algorithm's. */
export function nixHash(algo: HashAlgo, digest: Uint8Array): NixHash {
  if (digest.length !== HASH_SIZES[algo]) {
    throw new TvixError("ERR_HASH_LENGTH", `a ${algo} hash has ${HASH_SIZES[algo]} bytes, not ${digest.length}`);
  }
  return { algo, digest };
}

/** The all-zero hash, which Nix takes for an empty `outputHash`. */
export function zeroHash(algo: HashAlgo): NixHash {
  return { algo, digest: new Uint8Array(HASH_SIZES[algo]) };
}

/** Whether two hashes are the same. */
export function equalHashes(a: NixHash, b: NixHash): boolean {
  if (a.algo !== b.algo || a.digest.length !== b.digest.length) return false;
  return a.digest.every((byte, i) => byte === b.digest[i]);
}

/** Writes a hash: the bare digest, or SRI. */
export function formatHash(hash: NixHash, format: HashFormat): string {
  switch (format) {
    case "base16":
      return toHex(hash.digest);
    case "nix32":
      return base32.encode(hash.digest);
    case "base64":
      return encodeBase64(hash.digest);
    case "sri":
      return `${hash.algo}-${encodeBase64(hash.digest)}`;
    default:
      return unreachable(format);
  }
}

/** Writes `<algo>:<digest>`. */
export function formatPrefixedHash(hash: NixHash, format: Exclude<HashFormat, "sri">): string {
  return `${hash.algo}:${formatHash(hash, format)}`;
}

/**
 * Reads a hash in any form: SRI, `<algo>:<digest>`, or a bare digest when `algo` is given. A given `algo` must agree
 * with one in the text. Throws `ERR_HASH_NO_ALGO`, `ERR_HASH_ALGO_MISMATCH`, `ERR_HASH_UNKNOWN_ALGO`,
 * `ERR_HASH_LENGTH` or `ERR_HASH_DIGEST`.
 */
export function parseHash(text: string, algo?: HashAlgo): NixHash {
  // As in Nix, a colon anywhere makes the text a prefixed hash, and only without one is a dash looked for.
  const colon = text.indexOf(":");
  const separator = colon >= 0 ? colon : text.indexOf("-");
  if (separator < 0) {
    if (algo === undefined) {
      throw new TvixError("ERR_HASH_NO_ALGO", `hash '${excerpt(text)}' does not include a type`, {
        notes: ["write it as <algo>-<base64> or <algo>:<digest>, or name the algorithm beside it"],
      });
    }
    return parseDigest(text, algo);
  }
  const named = parseHashAlgo(text.slice(0, separator));
  if (algo !== undefined && algo !== named) {
    throw new TvixError("ERR_HASH_ALGO_MISMATCH", `hash '${excerpt(text)}' should have type '${algo}'`);
  }
  const rest = text.slice(separator + 1);
  return colon >= 0 ? parseDigest(rest, named) : parseSriDigest(rest, named);
}

/** Reads SRI, `<algo>-<base64>`, and nothing else; throws as {@link parseHash}, or `ERR_HASH_NOT_SRI`. */
export function parseSri(text: string): NixHash {
  const dash = text.indexOf("-");
  if (dash < 0) throw new TvixError("ERR_HASH_NOT_SRI", `hash '${excerpt(text)}' is not SRI`);
  return parseSriDigest(text.slice(dash + 1), parseHashAlgo(text.slice(0, dash)));
}

/** Reads `<algo>:<digest>` and nothing else. */
export function parsePrefixedHash(text: string): NixHash {
  const colon = text.indexOf(":");
  if (colon < 0) {
    throw new TvixError("ERR_HASH_NO_ALGO", `hash '${excerpt(text)}' does not include a type`, {
      notes: ["expected <algo>:<digest>"],
    });
  }
  return parseDigest(text.slice(colon + 1), parseHashAlgo(text.slice(0, colon)));
}

/** Reads a bare digest in base-16 (either case), nix32 or base-64, told apart by length. */
export function parseDigest(text: string, algo: HashAlgo): NixHash {
  const size = HASH_SIZES[algo];
  if (text.length === 2 * size) {
    const digest = fromHex(text);
    if (digest === undefined) throw new TvixError("ERR_HASH_DIGEST", `invalid base-16 hash '${excerpt(text)}'`);
    return { algo, digest };
  }
  if (text.length === base32.encodedLength(size)) {
    return { algo, digest: decoded(text, () => base32.decode(text), "base-32", size) };
  }
  if (text.length === base64Length(size)) return parseSriDigest(text, algo);
  throw new TvixError("ERR_HASH_LENGTH", `hash '${excerpt(text)}' has wrong length for hash algorithm '${algo}'`, {
    notes: [
      `a ${algo} digest has ${2 * size} chars in base-16, ${base32.encodedLength(size)} in base-32, ` +
        `${base64Length(size)} in base-64; this has ${text.length}`,
    ],
  });
}

function parseSriDigest(text: string, algo: HashAlgo): NixHash {
  return { algo, digest: decoded(text, () => decodeBase64Loosely(text), "base-64", HASH_SIZES[algo]) };
}

function decoded(text: string, decode: () => Uint8Array, encoding: string, size: number): Uint8Array {
  let digest: Uint8Array;
  try {
    digest = decode();
  } catch (cause) {
    throw new TvixError("ERR_HASH_DIGEST", `invalid ${encoding} hash '${excerpt(text)}'`, { cause });
  }
  if (digest.length !== size) {
    throw new TvixError("ERR_HASH_LENGTH", `invalid ${encoding} hash '${excerpt(text)}'`, {
      notes: [`it holds ${digest.length} bytes instead of ${size}`],
    });
  }
  return digest;
}

function excerpt(text: string): string {
  return text.length <= 150 ? text : `${text.slice(0, 150)}…`;
}
