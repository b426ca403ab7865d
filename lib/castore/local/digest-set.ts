// A set of digests in typed arrays: a million of them in tens of megabytes.
import { type Digest, DIGEST_LENGTH } from "../digest.ts";

/** Digests, each once. Open addressing at a load of at most one half; digests are their own hash. */
export class DigestSet {
  #slots = new Uint8Array(1024 * DIGEST_LENGTH);
  #used = new Uint8Array(1024);
  #count = 0;

  get size(): number {
    return this.#count;
  }

  has(digest: Uint8Array): boolean {
    return this.#used[this.#find(digest)] === 1;
  }

  /** Adds a digest (a copy); false when it was there. */
  add(digest: Uint8Array): boolean {
    const slot = this.#find(digest);
    if (this.#used[slot] === 1) return false;
    this.#used[slot] = 1;
    this.#slots.set(digest, slot * DIGEST_LENGTH);
    this.#count++;
    if (this.#count * 2 > this.#used.length) this.#grow();
    return true;
  }

  /** All digests, in no order: views, valid until the next `add`. */
  *[Symbol.iterator](): Generator<Digest> {
    for (let slot = 0; slot < this.#used.length; slot++) {
      if (this.#used[slot] === 1) {
        yield this.#slots.subarray(slot * DIGEST_LENGTH, (slot + 1) * DIGEST_LENGTH) as Digest;
      }
    }
  }

  /** The slot that holds the digest, or the free one where it belongs. */
  #find(digest: Uint8Array): number {
    const mask = this.#used.length - 1;
    const start = (digest[0] as number) | ((digest[1] as number) << 8) | ((digest[2] as number) << 16);
    let slot = (start ^ ((digest[3] as number) << 24)) & mask;
    while (this.#used[slot] === 1 && !this.#equals(slot, digest)) slot = (slot + 1) & mask;
    return slot;
  }

  #equals(slot: number, digest: Uint8Array): boolean {
    const at = slot * DIGEST_LENGTH;
    for (let i = DIGEST_LENGTH - 1; i >= 0; i--) if (this.#slots[at + i] !== digest[i]) return false;
    return true;
  }

  #grow(): void {
    const slots = this.#slots;
    const used = this.#used;
    this.#slots = new Uint8Array(slots.length * 2);
    this.#used = new Uint8Array(used.length * 2);
    for (let slot = 0; slot < used.length; slot++) {
      if (used[slot] !== 1) continue;
      const digest = slots.subarray(slot * DIGEST_LENGTH, (slot + 1) * DIGEST_LENGTH);
      const to = this.#find(digest);
      this.#used[to] = 1;
      this.#slots.set(digest, to * DIGEST_LENGTH);
    }
  }
}
