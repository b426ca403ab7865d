// Digests: the BLAKE3-256 of contents, by which everything in the castore is named.
//
// The castore keeps general trees by content and knows nothing of Nix. Its model:
//
//   blob        bytes; named by their digest. How a backend cuts them into chunks is never part of a name.
//   directory   a sorted list of named nodes (directory.ts); named by the digest of its canonical bytes (canonical.ts).
//   node        what a name stands for, or a root without a name: a directory, a file or a symlink (node.ts).
//
// Two services keep them, each a small interface with several backends behind it: `blob/service.ts` and
// `directory/service.ts`. Backends: memory; local (LMDB index and pack files, `local/`); an object store (`object/`).
// Every backend passes the contract suite of `testing.ts`. Trees enter and leave through `ingest/`.
//
// Invariants: what a service returns hashes to the name it was asked for; a put that succeeded is durable; putting
// again what is there does no harm. Path infos, NARs and references are the store's (lib/store).
import { bytesToLatin1, latin1ToBytes } from "../base/text.ts";
import { fromHex, toHex } from "../base/bytes.ts";
import { TvixError } from "../base/error.ts";
import { blake3 } from "../native/blake3.ts";

declare const brand: unique symbol;

/** A BLAKE3-256 digest: exactly 32 bytes. Made by {@link digestOf}, {@link asDigest} or one of the parsers here. */
export type Digest = Uint8Array & { readonly [brand]: "BLAKE3-256" };

/** Bytes of a {@link Digest}. */
export const DIGEST_LENGTH = 32;

/** The digest of no bytes: that of the empty blob and of the empty directory alike. */
export const EMPTY_DIGEST: Digest = asDigest(
  latin1ToBytes(
    "\xaf\x13\x49\xb9\xf5\xf9\xa1\xa6\xa0\x40\x4d\xea\x36\xdc\xc9\x49\x9b\xcb\x25\xc9\xad\xc1\x12\xb7\xcc\x9a\x93\xca\xe4\x1f\x32\x62",
  ),
);

/**
 * Takes 32 bytes as a digest (no copy).
 * @throws TvixError `ERR_CASTORE_DIGEST` for any other length.
 */
export function asDigest(bytes: Uint8Array): Digest {
  if (bytes.length !== DIGEST_LENGTH) {
    throw new TvixError("ERR_CASTORE_DIGEST", `a digest has ${DIGEST_LENGTH} bytes, this one has ${bytes.length}`);
  }
  return bytes as Digest;
}

/** The digest of `bytes`. */
export function digestOf(bytes: Uint8Array): Digest {
  return asDigest(blake3(bytes));
}

/** As text: `b3:` and standard padded base64. The form of logs, extended attributes and messages. */
export function digestText(digest: Digest): string {
  return `b3:${btoa(bytesToLatin1(digest))}`;
}

/** As 64 lower-case hexadecimal digits. The form of object-store keys. */
export function digestHex(digest: Digest): string {
  return toHex(digest);
}

/** As a string of 32 chars, one per byte: a key for maps and sets. */
export function digestKey(digest: Digest): string {
  return bytesToLatin1(digest);
}

/**
 * Reads `b3:` + base64 or 64 hexadecimal digits.
 * @throws TvixError `ERR_CASTORE_DIGEST` when it is neither.
 */
export function parseDigest(text: string): Digest {
  const bytes = text.startsWith("b3:") ? fromBase64(text.slice(3)) : fromHex(text);
  if (bytes?.length === DIGEST_LENGTH) return asDigest(bytes);
  throw new TvixError("ERR_CASTORE_DIGEST", `not a BLAKE3 digest: ${JSON.stringify(text.slice(0, 80))}`, {
    notes: ["a digest is written b3:<base64 of 32 bytes> or as 64 hexadecimal digits"],
  });
}

function fromBase64(text: string): Uint8Array | undefined {
  if (!/^[A-Za-z0-9+/]{43}=$/.test(text)) return undefined;
  const bytes = latin1ToBytes(atob(text));
  // The last digit before the padding carries two bits that belong to no byte; only zeros are canonical.
  return btoa(bytesToLatin1(bytes)) === text ? bytes : undefined;
}
