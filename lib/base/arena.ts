// Many small byte arrays in few large ones: what is kept for long and in numbers should not burden the collector.

const PAGE_BYTES = 1 << 18;

/**
 * Memory that the collector does not count. V8 collects everything again for each 64 MiB of other buffers, for which
 * pages that stay give it no reason. Where a browser does not share memory, they count.
 */
function newPage(bytes: number): Uint8Array {
  return typeof SharedArrayBuffer === "undefined"
    ? new Uint8Array(bytes)
    : new Uint8Array(new SharedArrayBuffer(bytes));
}

/** Keeps copies of byte arrays, for as long as any of its page is in use. */
export class ByteArena {
  #page = newPage(0);
  #used = 0;

  /** A copy of `bytes`, not to be changed; `slice` makes one of it that functions take which refuse shared memory. */
  keep(bytes: Uint8Array): Uint8Array {
    const end = this.#used + bytes.length;
    if (end > this.#page.length) {
      this.#page = newPage(Math.max(PAGE_BYTES, bytes.length));
      this.#used = 0;
      return this.keep(bytes);
    }
    const copy = this.#page.subarray(this.#used, end);
    copy.set(bytes);
    this.#used = end;
    return copy;
  }
}
