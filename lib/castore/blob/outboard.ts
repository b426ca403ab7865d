// Outboards: what lets a part of a blob be checked against the digest of the whole.
//
// BLAKE3 is a tree. Its leaves here are groups of 16 KiB; a parent joins the chaining values of its two children, and
// the topmost is the digest. Over n groups the left child has as many of them as the greatest power of two below n.
// An outboard holds the tree without the leaves' contents:
//
//   8 bytes    length of the blob, little-endian
//   64 bytes   for each parent, the chaining values of its two children; a parent before what is below it, left first
//
// A blob of up to one group has no parents. Who trusts the digest need trust nobody for the outboard: each parent is
// hashed before what it says of its children is believed. The format is that of bao with groups of 16 chunks.
import { concatBytes, equalBytes } from "../../base/bytes.ts";
import { blake3, blake3Groups, blake3Parent, GROUP_SIZE } from "../../native/blake3.ts";
import { asDigest, type Digest, DIGEST_LENGTH } from "../digest.ts";
import { corrupt } from "./range.ts";

export { GROUP_SIZE } from "../../native/blake3.ts";

const HEADER = 8;
const PARENT = 2 * DIGEST_LENGTH;

const groupsOf = (size: number): number => Math.max(1, Math.ceil(size / GROUP_SIZE));
/** Groups in the left child of a node over `count`, which is at least 2. */
const leftOf = (count: number): number => 2 ** Math.floor(Math.log2(count - 1));

/** Bytes of the outboard of a blob of `size` bytes. */
export function outboardLength(size: number): number {
  return HEADER + (groupsOf(size) - 1) * PARENT;
}

/** Makes the outboard of a blob, and its digest, of pieces of any length. */
export class OutboardBuilder {
  #pending: Uint8Array = new Uint8Array(0);
  #size = 0;
  readonly #values: Uint8Array[] = [];

  /** Takes in the next bytes. */
  update(bytes: Uint8Array): void {
    const joined = this.#pending.length === 0 ? bytes : concatBytes([this.#pending, bytes]);
    // The last group waits: if it is the only one it has no chaining value.
    const ready = Math.floor(Math.max(0, joined.length - 1) / GROUP_SIZE) * GROUP_SIZE;
    if (ready > 0) this.#values.push(blake3Groups(joined.subarray(0, ready), this.#size / GROUP_SIZE));
    this.#size += ready;
    this.#pending = joined.slice(ready);
  }

  /** The outboard of everything so far, and the digest. */
  finish(): { readonly digest: Digest; readonly outboard: Uint8Array } {
    const size = this.#size + this.#pending.length;
    const outboard = new Uint8Array(outboardLength(size));
    new DataView(outboard.buffer).setBigUint64(0, BigInt(size), true);
    if (this.#size === 0) return { digest: asDigest(blake3(this.#pending)), outboard };
    const values = concatBytes([...this.#values, blake3Groups(this.#pending, this.#size / GROUP_SIZE)]);
    let at = HEADER;
    const fill = (first: number, count: number): Uint8Array => {
      if (count === 1) return values.subarray(first * DIGEST_LENGTH, (first + 1) * DIGEST_LENGTH);
      const parent = outboard.subarray(at, at + PARENT);
      at += PARENT;
      const left = leftOf(count);
      parent.set(fill(first, left));
      parent.set(fill(first + left, count - left), DIGEST_LENGTH);
      return blake3Parent(parent, count === groupsOf(size));
    };
    return { digest: asDigest(fill(0, groupsOf(size))), outboard };
  }
}

/** An outboard from somewhere, and what it proves. */
export class VerifiedTree {
  readonly digest: Digest;
  /** Bytes of the blob: proven once its last group was checked, until then as the outboard says. */
  readonly size: number;
  readonly #outboard: Uint8Array;
  /** Parents that are known to be right, by their offset. */
  readonly #good = new Set<number>();

  /** @throws TvixError `ERR_CASTORE_CORRUPT` for one that is not as long as its blob needs */
  constructor(digest: Digest, outboard: Uint8Array) {
    const view = new DataView(outboard.buffer, outboard.byteOffset, outboard.length);
    const size = outboard.length < HEADER ? -1 : Number(view.getBigUint64(0, true));
    if (!Number.isSafeInteger(size) || size < 0 || outboard.length !== outboardLength(size)) {
      throw corrupt(digest, `its outboard has ${outboard.length} bytes, which is not what one of its size has`);
    }
    this.digest = digest;
    this.size = size;
    this.#outboard = outboard;
  }

  /**
   * Checks bytes that begin with a group and end with one, or with the blob.
   * @throws TvixError `ERR_CASTORE_CORRUPT` when they are not those of the blob
   */
  check(offset: number, bytes: Uint8Array): void {
    const first = offset / GROUP_SIZE;
    const end = offset + bytes.length;
    const whole = end === this.size || (end < this.size && end % GROUP_SIZE === 0);
    if (!whole || !Number.isInteger(first)) throw this.#wrong(first);
    if (groupsOf(this.size) === 1) {
      if (!equalBytes(blake3(bytes), this.digest)) throw this.#wrong(0);
      return;
    }
    const values = blake3Groups(bytes, first);
    for (let i = 0; i < values.length / DIGEST_LENGTH; i++) {
      const value = values.subarray(i * DIGEST_LENGTH, (i + 1) * DIGEST_LENGTH);
      if (!equalBytes(value, this.#valueOf(first + i))) throw this.#wrong(first + i);
    }
  }

  /** The chaining value that a group must have, after checking the parents that lead to it. */
  #valueOf(group: number): Uint8Array {
    let at = HEADER;
    let first = 0;
    let count = groupsOf(this.size);
    let expected: Uint8Array = this.digest;
    while (count > 1) {
      const parent = this.#outboard.subarray(at, at + PARENT);
      if (!this.#good.has(at)) {
        if (!equalBytes(blake3Parent(parent, at === HEADER), expected)) throw this.#wrong(group);
        this.#good.add(at);
      }
      const left = leftOf(count);
      const goRight = group >= first + left;
      expected = parent.subarray(goRight ? DIGEST_LENGTH : 0, goRight ? PARENT : DIGEST_LENGTH);
      at += goRight ? left * PARENT : PARENT;
      if (goRight) first += left;
      count = goRight ? count - left : left;
    }
    return expected;
  }

  #wrong(group: number): Error {
    return corrupt(this.digest, `bytes from ${group * GROUP_SIZE} on, or the outboard, are not those of the blob`);
  }
}
