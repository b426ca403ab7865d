// Rewriting text in a NAR that goes by: store paths for others of the same length, and the hash of what refers to itself.
import { startDigest } from "../../formats/digest.ts";
import { encodeUtf8 } from "../../base/text.ts";

/** What stands in the place of a path's own hash part while its contents are hashed. */
const BLANK = "\0".repeat(32);

/** What is replaced by what, of the same length. */
export type Rewrites = Iterable<readonly [from: string, to: string]>;

/** Replaces texts in bytes that arrive in pieces of any size. */
export class Rewriter {
  readonly #rewrites: readonly (readonly [from: Uint8Array, to: Uint8Array])[];
  /** Bytes at the end of a piece in which something may begin. */
  readonly #overlap: number;
  readonly #onMatch: (offset: number) => void;
  #held: Uint8Array = new Uint8Array(0);
  #offset = 0;

  /** @param onMatch is told where in the whole something was replaced */
  constructor(rewrites: Rewrites, onMatch: (offset: number) => void = () => {}) {
    this.#rewrites = Array.from(rewrites, ([from, to]) => [encodeUtf8(from), encodeUtf8(to)] as const);
    this.#overlap = Math.max(0, ...this.#rewrites.map(([from]) => from.length - 1));
    this.#onMatch = onMatch;
  }

  /** Takes a piece; answers what can be said by now. */
  push(piece: Uint8Array): Uint8Array {
    const bytes = Buffer.concat([this.#held, piece]);
    for (const [from, to] of this.#rewrites) {
      for (let at = bytes.indexOf(from); at >= 0; at = bytes.indexOf(from, at + from.length)) {
        bytes.set(to, at);
        this.#onMatch(this.#offset + at);
      }
    }
    const ready = Math.max(0, bytes.length - this.#overlap);
    this.#held = bytes.subarray(ready);
    this.#offset += ready;
    return bytes.subarray(0, ready);
  }

  /** What is left at the end. */
  end(): Uint8Array {
    return this.#held;
  }
}

/** A stream with texts replaced. */
export async function* rewritten(
  source: AsyncIterable<Uint8Array>,
  rewrites: Rewrites,
): AsyncGenerator<Uint8Array, void, void> {
  const rewriter = new Rewriter(rewrites);
  for await (const piece of source) yield rewriter.push(piece);
  yield rewriter.end();
}

/** SHA-256 of a NAR that may mention its own path, with its hash part blanked. */
export interface SelfReferringDigest {
  /** As Nix 2.34 makes it. */
  readonly digest: Uint8Array;
  /** As older ones do, which hash the places of the hash part after the contents. */
  readonly withPlaces: Uint8Array;
}

/** The hashes that content addresses have of a NAR which may mention its own path. */
export async function selfReferringDigest(
  source: AsyncIterable<Uint8Array>,
  hashPart: string,
): Promise<SelfReferringDigest> {
  const hashes = [startDigest("sha256"), startDigest("sha256")] as const;
  const update = (bytes: Uint8Array): void => hashes.forEach((hash) => hash.update(bytes));
  const places: number[] = [];
  const rewriter = new Rewriter([[hashPart, BLANK]], (offset) => places.push(offset));
  for await (const piece of source) update(rewriter.push(piece));
  update(rewriter.end());
  for (const place of places) hashes[1].update(encodeUtf8(`|${place}`));
  return { digest: hashes[0].finish(), withPlaces: hashes[1].finish() };
}
