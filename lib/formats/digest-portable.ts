// The hash functions where there is no Node, by a library in JavaScript: Web Crypto only answers later.
import { blake3 } from "@noble/hashes/blake3.js";
import { md5, sha1 } from "@noble/hashes/legacy.js";
import { sha256, sha512 } from "@noble/hashes/sha2.js";
import type { DigestAlgo, Digester } from "./digest.ts";

const HASHES = { md5, sha1, sha256, sha512, blake3 };

/** Starts a hash that is fed piece by piece. */
export function startPortableDigest(algo: DigestAlgo): Digester {
  const state = HASHES[algo].create();
  return {
    update: (bytes) => {
      state.update(bytes);
    },
    finish: () => state.digest(),
  };
}
