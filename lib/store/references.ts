// Finding references: which of many store paths' hash parts occur in a stream of bytes.
import { bytesToLatin1, encodeUtf8 } from "../base/text.ts";
import { concatBytes } from "../base/bytes.ts";
import type { StorePath } from "../formats/store-path.ts";
import { sortedPaths } from "./path-info.ts";

const LENGTH = 32;
/** 1 for the digits of Nix's base-32. */
const DIGITS = new Uint8Array(256);
for (const digit of encodeUtf8("0123456789abcdfghijklmnpqrsvwxyz")) DIGITS[digit] = 1;

/** Looks for hash parts in bytes that arrive in pieces of any size. */
export class ReferenceScanner {
  readonly #wanted: Map<string, StorePath>;
  readonly #found: StorePath[] = [];
  #tail: Uint8Array = new Uint8Array(0);

  constructor(candidates: Iterable<StorePath>) {
    this.#wanted = new Map(Array.from(candidates, (path) => [path.hash, path]));
  }

  /** Takes the next piece, which is not kept. */
  push(piece: Uint8Array): void {
    if (this.#wanted.size === 0) return;
    if (this.#tail.length > 0) {
      // Occurrences across the boundary: at most 31 bytes from either side.
      const joint = concatBytes([this.#tail, piece.subarray(0, LENGTH - 1)]);
      this.#search(joint);
    }
    this.#search(piece);
    const rest = piece.length >= LENGTH - 1 ? piece : concatBytes([this.#tail, piece]);
    this.#tail = rest.slice(-(LENGTH - 1));
  }

  #search(bytes: Uint8Array): void {
    for (let at = 0; at + LENGTH <= bytes.length && this.#wanted.size > 0; ) {
      // From the end of the window: a byte that is no digit rules out every window that holds it.
      let last = LENGTH - 1;
      while (last >= 0 && DIGITS[bytes[at + last] as number] === 1) last--;
      if (last >= 0) {
        at += last + 1;
        continue;
      }
      const hash = bytesToLatin1(bytes.subarray(at, at + LENGTH));
      const path = this.#wanted.get(hash);
      if (path) {
        this.#wanted.delete(hash);
        this.#found.push(path);
      }
      at++;
    }
  }

  /** Those found, sorted. */
  get found(): StorePath[] {
    return sortedPaths(this.#found);
  }
}
