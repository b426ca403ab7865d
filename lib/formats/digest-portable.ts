// MD5, SHA-1, SHA-256 and SHA-512 in TypeScript alone: for browsers, where Web Crypto only answers later.
//
// Written from RFC 1321 and FIPS 180-4. The constants of SHA-2 are the fractions of roots of primes, and are computed
// as such at the first use. SHA-512 counts in bigints: it is the rarest of the four, and simple is worth more there.

import type { DigestAlgo } from "./digest.ts";

const rotateLeft = (x: number, by: number): number => (x << by) | (x >>> (32 - by));
const rotateRight = (x: number, by: number): number => (x >>> by) | (x << (32 - by));
const word64 = (x: bigint): bigint => BigInt.asUintN(64, x);
const rotateRight64 = (x: bigint, by: bigint): bigint => word64((x >> by) | (x << (64n - by)));

/** The message with a 1 bit, zeros and its length in bits behind it: a whole number of blocks. */
function padded(bytes: Uint8Array, block: 64 | 128, littleEndian: boolean): DataView {
  const length = Math.ceil((bytes.length + 1 + block / 8) / block) * block;
  const out = new Uint8Array(length);
  out.set(bytes);
  out[bytes.length] = 0x80;
  const view = new DataView(out.buffer);
  view.setBigUint64(length - 8, BigInt(bytes.length) * 8n, littleEndian);
  return view;
}

function digestOfWords(words: Int32Array, littleEndian: boolean): Uint8Array {
  const view = new DataView(new ArrayBuffer(words.length * 4));
  for (const [i, word] of words.entries()) view.setInt32(i * 4, word, littleEndian);
  return new Uint8Array(view.buffer);
}

const MD5_TURNS = [
  [7, 12, 17, 22],
  [5, 9, 14, 20],
  [4, 11, 16, 23],
  [6, 10, 15, 21],
] as const;

function md5(bytes: Uint8Array): Uint8Array {
  const view = padded(bytes, 64, true);
  const sines = Int32Array.from({ length: 64 }, (_, i) => Math.floor(Math.abs(Math.sin(i + 1)) * 2 ** 32) | 0);
  const state = Int32Array.of(0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476);
  for (let at = 0; at < view.byteLength; at += 64) {
    let [a, b, c, d] = state as unknown as [number, number, number, number];
    for (let i = 0; i < 64; i++) {
      const round = i >> 4;
      let f = (b & c) | (~b & d);
      let from = i;
      if (round === 1) [f, from] = [(d & b) | (~d & c), 5 * i + 1];
      else if (round === 2) [f, from] = [b ^ c ^ d, 3 * i + 5];
      else if (round === 3) [f, from] = [c ^ (b | ~d), 7 * i];
      const sum = (a + f + (sines[i] as number) + view.getInt32(at + (from & 15) * 4, true)) | 0;
      const turned = (b + rotateLeft(sum, MD5_TURNS[round]?.[i & 3] as number)) | 0;
      [a, b, c, d] = [d, turned, b, c];
    }
    addTo(state, [a, b, c, d]);
  }
  return digestOfWords(state, true);
}

function addTo(state: Int32Array, words: readonly number[]): void {
  for (const [i, word] of words.entries()) state[i] = ((state[i] as number) + word) | 0;
}

const SHA1_ADDED = Int32Array.of(0x5a827999, 0x6ed9eba1, 0x8f1bbcdc, 0xca62c1d6);

function sha1(bytes: Uint8Array): Uint8Array {
  const view = padded(bytes, 64, false);
  const state = Int32Array.of(0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0);
  const w = new Int32Array(80);
  const word = (i: number): number => w[i] as number;
  for (let at = 0; at < view.byteLength; at += 64) {
    for (let i = 0; i < 16; i++) w[i] = view.getInt32(at + i * 4);
    for (let i = 16; i < 80; i++) w[i] = rotateLeft(word(i - 3) ^ word(i - 8) ^ word(i - 14) ^ word(i - 16), 1);
    let [a, b, c, d, e] = state as unknown as [number, number, number, number, number];
    for (let i = 0; i < 80; i++) {
      const round = Math.floor(i / 20);
      let f = b ^ c ^ d;
      if (round === 0) f = (b & c) | (~b & d);
      else if (round === 2) f = (b & c) | (b & d) | (c & d);
      const sum = (rotateLeft(a, 5) + f + e + (SHA1_ADDED[round] as number) + word(i)) | 0;
      [a, b, c, d, e] = [sum, a, rotateLeft(b, 30), c, d];
    }
    addTo(state, [a, b, c, d, e]);
  }
  return digestOfWords(state, false);
}

/** The first 64 bits after the point of the square (2) or cube (3) root of a prime. */
function rootFraction(prime: number, degree: 2 | 3): bigint {
  const target = BigInt(prime) << BigInt(64 * degree);
  let low = 0n;
  let high = 1n << 70n;
  while (high - low > 1n) {
    const middle = (low + high) >> 1n;
    if (middle ** BigInt(degree) <= target) low = middle;
    else high = middle;
  }
  return word64(low);
}

/** What SHA-2 starts with and adds in each round. SHA-256 has the upper halves. */
interface Sha2Constants {
  readonly start: readonly bigint[];
  readonly added: readonly bigint[];
  readonly start32: Int32Array;
  readonly added32: Int32Array;
}

let constants: Sha2Constants | undefined;

function sha2Constants(): Sha2Constants {
  if (constants) return constants;
  const primes: number[] = [];
  for (let n = 2; primes.length < 80; n++) if (primes.every((prime) => n % prime !== 0)) primes.push(n);
  const start = primes.slice(0, 8).map((prime) => rootFraction(prime, 2));
  const added = primes.map((prime) => rootFraction(prime, 3));
  const upper = (words: readonly bigint[]): Int32Array => Int32Array.from(words, (word) => Number(word >> 32n) | 0);
  constants = { start, added, start32: upper(start), added32: upper(added) };
  return constants;
}

function sha256(bytes: Uint8Array): Uint8Array {
  const view = padded(bytes, 64, false);
  const { start32, added32 } = sha2Constants();
  const state = start32.slice();
  const w = new Int32Array(64);
  const word = (i: number): number => w[i] as number;
  for (let at = 0; at < view.byteLength; at += 64) {
    for (let i = 0; i < 16; i++) w[i] = view.getInt32(at + i * 4);
    for (let i = 16; i < 64; i++) {
      const x = word(i - 15);
      const y = word(i - 2);
      const s0 = rotateRight(x, 7) ^ rotateRight(x, 18) ^ (x >>> 3);
      const s1 = rotateRight(y, 17) ^ rotateRight(y, 19) ^ (y >>> 10);
      w[i] = (word(i - 16) + s0 + word(i - 7) + s1) | 0;
    }
    let [a, b, c, d, e, f, g, h] = state as unknown as [number, number, number, number, number, number, number, number];
    for (let i = 0; i < 64; i++) {
      const s1 = rotateRight(e, 6) ^ rotateRight(e, 11) ^ rotateRight(e, 25);
      const t1 = (h + s1 + ((e & f) ^ (~e & g)) + (added32[i] as number) + word(i)) | 0;
      const s0 = rotateRight(a, 2) ^ rotateRight(a, 13) ^ rotateRight(a, 22);
      const t2 = (s0 + ((a & b) ^ (a & c) ^ (b & c))) | 0;
      h = g;
      g = f;
      f = e;
      e = (d + t1) | 0;
      d = c;
      c = b;
      b = a;
      a = (t1 + t2) | 0;
    }
    addTo(state, [a, b, c, d, e, f, g, h]);
  }
  return digestOfWords(state, false);
}

type Eight = [bigint, bigint, bigint, bigint, bigint, bigint, bigint, bigint];

function sha512(bytes: Uint8Array): Uint8Array {
  const view = padded(bytes, 128, false);
  const { start, added } = sha2Constants();
  const state = [...start];
  const w: bigint[] = [];
  const word = (i: number): bigint => w[i] as bigint;
  for (let at = 0; at < view.byteLength; at += 128) {
    for (let i = 0; i < 16; i++) w[i] = view.getBigUint64(at + i * 8);
    for (let i = 16; i < 80; i++) {
      const x = word(i - 15);
      const y = word(i - 2);
      const s0 = rotateRight64(x, 1n) ^ rotateRight64(x, 8n) ^ (x >> 7n);
      const s1 = rotateRight64(y, 19n) ^ rotateRight64(y, 61n) ^ (y >> 6n);
      w[i] = word64(word(i - 16) + s0 + word(i - 7) + s1);
    }
    let [a, b, c, d, e, f, g, h] = state as Eight;
    for (let i = 0; i < 80; i++) {
      const s1 = rotateRight64(e, 14n) ^ rotateRight64(e, 18n) ^ rotateRight64(e, 41n);
      const t1 = h + s1 + ((e & f) ^ (word64(~e) & g)) + (added[i] as bigint) + word(i);
      const s0 = rotateRight64(a, 28n) ^ rotateRight64(a, 34n) ^ rotateRight64(a, 39n);
      const t2 = s0 + ((a & b) ^ (a & c) ^ (b & c));
      [a, b, c, d, e, f, g, h] = [word64(t1 + t2), a, b, c, word64(d + t1), e, f, g];
    }
    for (const [i, word] of [a, b, c, d, e, f, g, h].entries()) state[i] = word64((state[i] as bigint) + word);
  }
  const out = new DataView(new ArrayBuffer(64));
  for (const [i, word] of state.entries()) out.setBigUint64(i * 8, word);
  return new Uint8Array(out.buffer);
}

const ALGORITHMS: Record<DigestAlgo, (bytes: Uint8Array) => Uint8Array> = { md5, sha1, sha256, sha512 };

/** Hashes `bytes` in one go. */
export function portableDigest(algo: DigestAlgo, bytes: Uint8Array): Uint8Array {
  return ALGORITHMS[algo](bytes);
}
