// BLAKE3 in TypeScript alone: for browsers, where there is no addon, and as the tests' second opinion.
//
// Written from the BLAKE3 paper, section 2, without sharing anything with native/blake3. Chaining values are eight
// 32-bit words. The hasher keeps the chunk it is filling and one chaining value for every complete subtree to its left,
// which is one for each 1 bit of the number of chunks behind it.

const CHUNK_SIZE = 1024;
const BLOCK_SIZE = 64;
const CHUNK_START = 1;
const CHUNK_END = 2;
const PARENT = 4;
const ROOT = 8;

const IV: Int32Array = Int32Array.of(
  0x6a09e667,
  0xbb67ae85,
  0x3c6ef372,
  0xa54ff53a,
  0x510e527f,
  0x9b05688c,
  0x1f83d9ab,
  0x5be0cd19,
);

/** Which message word each round adds where: row r is the paper's permutation applied r times. */
const SCHEDULE: Uint8Array = schedule([2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8]);

function schedule(permutation: readonly number[]): Uint8Array {
  const rows = new Uint8Array(7 * 16);
  for (let i = 0; i < 16; i++) rows[i] = i;
  for (let i = 16; i < rows.length; i++) {
    rows[i] = rows[i - 16 - (i % 16) + (permutation[i % 16] as number)] as number;
  }
  return rows;
}

// Scratch of compress(): a call leaves nothing in it that the next one reads.
const v: Int32Array = new Int32Array(16);
const m: Int32Array = new Int32Array(16);

function mix(a: number, b: number, c: number, d: number, x: number, y: number): void {
  let va = v[a] as number;
  let vb = v[b] as number;
  let vc = v[c] as number;
  let vd = v[d] as number;
  va = (va + vb + x) | 0;
  vd ^= va;
  vd = (vd >>> 16) | (vd << 16);
  vc = (vc + vd) | 0;
  vb ^= vc;
  vb = (vb >>> 12) | (vb << 20);
  va = (va + vb + y) | 0;
  vd ^= va;
  vd = (vd >>> 8) | (vd << 24);
  vc = (vc + vd) | 0;
  vb ^= vc;
  vb = (vb >>> 7) | (vb << 25);
  v[a] = va;
  v[b] = vb;
  v[c] = vc;
  v[d] = vd;
}

const word = (at: number): number => m[SCHEDULE[at] as number] as number;

/** Takes the message in `m` into the chaining value `cv`. */
function compress(cv: Int32Array, length: number, counter: number, flags: number): void {
  v.set(cv);
  v.set(IV.subarray(0, 4), 8);
  v[12] = counter | 0;
  v[13] = (counter / 0x1_0000_0000) | 0;
  v[14] = length;
  v[15] = flags;
  for (let at = 0; at < 7 * 16; at += 16) {
    mix(0, 4, 8, 12, word(at), word(at + 1));
    mix(1, 5, 9, 13, word(at + 2), word(at + 3));
    mix(2, 6, 10, 14, word(at + 4), word(at + 5));
    mix(3, 7, 11, 15, word(at + 6), word(at + 7));
    mix(0, 5, 10, 15, word(at + 8), word(at + 9));
    mix(1, 6, 11, 12, word(at + 10), word(at + 11));
    mix(2, 7, 8, 13, word(at + 12), word(at + 13));
    mix(3, 4, 9, 14, word(at + 14), word(at + 15));
  }
  for (let i = 0; i < 8; i++) cv[i] = (v[i] as number) ^ (v[i + 8] as number);
}

/** The chaining value of a chunk: `size` bytes of `bytes` from `from`. `flags` join those of its last block. */
function chunkValue(bytes: Uint8Array, from: number, size: number, counter: number, flags: number): Int32Array {
  const cv = IV.slice();
  for (let at = 0; at === 0 || at < size; at += BLOCK_SIZE) {
    const length = Math.min(BLOCK_SIZE, size - at);
    m.fill(0);
    for (let i = 0; i < length; i++) {
      m[i >> 2] = (m[i >> 2] as number) | ((bytes[from + at + i] as number) << (8 * (i & 3)));
    }
    const last = at + BLOCK_SIZE >= size;
    compress(cv, length, counter, (at === 0 ? CHUNK_START : 0) | (last ? CHUNK_END | flags : 0));
  }
  return cv;
}

/** The chaining value of the parent of two nodes. */
function parentValue(left: Int32Array, right: Int32Array, flags: number): Int32Array {
  const cv = IV.slice();
  m.set(left);
  m.set(right, 8);
  compress(cv, BLOCK_SIZE, 0, PARENT | flags);
  return cv;
}

/** BLAKE3 of bytes that arrive in pieces: the same face as the addon's `Blake3`. */
export class Blake3Portable {
  #chunk: Uint8Array = new Uint8Array(CHUNK_SIZE);
  /** Bytes in `#chunk`; it is full only until the next byte arrives, because the last chunk may be the root. */
  #filled = 0;
  /** Chunks behind `#chunk`. */
  #chunks = 0;
  #stack: Int32Array[] = [];

  /** Takes in the next bytes. */
  update(bytes: Uint8Array): this {
    if (!(bytes instanceof Uint8Array)) throw new TypeError("bytes must be a Uint8Array");
    for (let at = 0; at < bytes.length; ) {
      if (this.#filled === CHUNK_SIZE) this.#finishChunk();
      const size = Math.min(CHUNK_SIZE - this.#filled, bytes.length - at);
      this.#chunk.set(bytes.subarray(at, at + size), this.#filled);
      this.#filled += size;
      at += size;
    }
    return this;
  }

  /** The digest (32 bytes) of everything so far; the hasher may go on afterwards. */
  digest(): Uint8Array {
    let node = chunkValue(this.#chunk, 0, this.#filled, this.#chunks, this.#stack.length === 0 ? ROOT : 0);
    for (let level = this.#stack.length - 1; level >= 0; level--) {
      node = parentValue(this.#stack[level] as Int32Array, node, level === 0 ? ROOT : 0);
    }
    const out = new Uint8Array(32);
    for (let i = 0; i < 32; i++) out[i] = (node[i >> 2] as number) >>> (8 * (i & 3));
    return out;
  }

  /** A hasher that goes on by itself from the same state. */
  copy(): Blake3Portable {
    const other = new Blake3Portable();
    other.#chunk = this.#chunk.slice();
    other.#filled = this.#filled;
    other.#chunks = this.#chunks;
    other.#stack = this.#stack.slice();
    return other;
  }

  /** Puts the full chunk's value on the stack, joining every subtree that is complete with it. */
  #finishChunk(): void {
    let node = chunkValue(this.#chunk, 0, CHUNK_SIZE, this.#chunks, 0);
    this.#chunks++;
    for (let rest = this.#chunks; rest % 2 === 0; rest /= 2) {
      node = parentValue(this.#stack.pop() as Int32Array, node, 0);
    }
    this.#stack.push(node);
    this.#filled = 0;
  }
}

/** The BLAKE3 digest (32 bytes) of `bytes`. */
export function blake3Portable(bytes: Uint8Array): Uint8Array {
  return new Blake3Portable().update(bytes).digest();
}
