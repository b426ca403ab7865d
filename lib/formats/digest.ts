// The one door to the hash functions: everything in the rooms of formats that hashes comes through here.
//
// Where there is no Node, as in a browser, digest-portable.ts provides them. A browser build replaces `ed25519.ts` and
// `compress.ts`; the rest of lib/formats is plain arithmetic over bytes.

import { AssertionError } from "../base/error.ts";
import { toHex } from "../base/bytes.ts";
import { latin1ToBytes } from "../base/text.ts";
import { Blake3, blake3 } from "../native/blake3.ts";
import { Sha256, sha256 as nativeSha256 } from "../native/sha256.ts";

/** The algorithms that Nix names. */
export type DigestAlgo = "md5" | "sha1" | "sha256" | "sha512" | "blake3";

/** A hash function fed piece by piece. */
export interface Digester {
  /** Adds bytes; the array may be reused by the caller afterwards. */
  update(bytes: Uint8Array): void;
  /** Returns the digest. The digester cannot be used afterwards. */
  finish(): Uint8Array;
}

/** Whether there is `node:crypto` and `Buffer`. */
const onNode = typeof process !== "undefined" && typeof process.getBuiltinModule === "function";

/** Starts a hash where there is no Node. */
let provided: ((algo: DigestAlgo) => Digester) | undefined;

/** Has hashes computed by `start` where there is no Node. */
export function provideDigests(start: (algo: DigestAlgo) => Digester): void {
  provided = start;
}

function startProvided(algo: DigestAlgo): Digester {
  if (provided === undefined) throw new AssertionError("no hash functions: import the entry for browsers");
  return provided(algo);
}

/** Loaded when something is hashed: it would take a tenth of the start of a program that hashes nothing. */
let loaded: typeof import("node:crypto") | undefined;
const crypto = (): typeof import("node:crypto") => (loaded ??= process.getBuiltinModule("node:crypto"));

/** SHA-256 by whoever starts first: the addon is loaded in a tenth of the time of `node:crypto`. */
let sha256Here: ((bytes: Uint8Array) => Uint8Array) | undefined;

function chooseSha256(): (bytes: Uint8Array) => Uint8Array {
  try {
    nativeSha256(new Uint8Array(0));
    return nativeSha256;
  } catch {
    return (bytes) => plainBytes(crypto().hash("sha256", bytes, "buffer"));
  }
}

/** Hashes `bytes` in one go. */
export function digestBytes(algo: DigestAlgo, bytes: Uint8Array): Uint8Array {
  if (!onNode) {
    const state = startProvided(algo);
    state.update(bytes);
    return state.finish();
  }
  if (algo === "sha256") return (sha256Here ??= chooseSha256())(bytes);
  if (algo === "blake3") return blake3(bytes);
  return plainBytes(crypto().hash(algo, bytes, "buffer"));
}

/** Hashes a byte string given as one char (0…255) per byte. */
export function digestLatin1(algo: DigestAlgo, text: string): Uint8Array {
  return digestBytes(algo, passingBytes(text));
}

/** SHA-256 of a byte string given as one char per byte, as lower-case hexadecimal. */
export function sha256HexOfLatin1(text: string): string {
  return toHex(digestLatin1("sha256", text));
}

const SCRATCH_BYTES = 1 << 16;
let scratch: Buffer | undefined;

/** The bytes of a text until the next call: a new buffer each time would cost more than the hash. */
function passingBytes(text: string): Uint8Array {
  if (!onNode || text.length > SCRATCH_BYTES) return latin1ToBytes(text);
  scratch ??= Buffer.allocUnsafeSlow(SCRATCH_BYTES);
  return scratch.subarray(0, scratch.write(text, "latin1"));
}

/** SHA-256 of `bytes`. */
export function sha256(bytes: Uint8Array): Uint8Array {
  return digestBytes("sha256", bytes);
}

/** Starts a hash that is fed piece by piece. */
export function startDigest(algo: DigestAlgo): Digester {
  if (!onNode) return startProvided(algo);
  const state = startNative(algo) ?? crypto().createHash(algo);
  return {
    update: (bytes) => {
      state.update(bytes);
    },
    finish: () => plainBytes(state.digest()),
  };
}

/** The addon's hashers, where there is an addon. */
function startNative(algo: DigestAlgo): Blake3 | Sha256 | undefined {
  if (algo === "blake3") return new Blake3();
  if (algo === "sha256" && (sha256Here ??= chooseSha256()) === nativeSha256) return new Sha256();
  return undefined;
}

/** A view of Node's buffer without its class, so that what leaves this room compares and prints as plain bytes. */
function plainBytes(buffer: Uint8Array): Uint8Array {
  return new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.byteLength);
}
