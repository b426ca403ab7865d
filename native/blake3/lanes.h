// The kernel functions written once: over a vector type (lane i hashes chunk i) and over a one-at-a-time type.
//
// Included by each implementation's file, which is compiled for its own instruction set. Everything here has internal
// linkage on purpose, and nothing from the standard library's templates is used: a function the linker could merge
// with another file's copy might otherwise bring AVX-512 code to a CPU without it.
//
// A vector type V provides `lanes`, `minimum` (the fewest filled lanes worth its while), `interleave` (see mix4), +, ^,
// rotr<n>(), equal(), select(), splat(), words() (one word per lane from memory), load() (16 message words from `lanes`
// places, transposed) and store() (8 words of every lane, transposed back). A one-at-a-time type provides block() and
// store().
#pragma once

#include <cstring>

#include "blake3/kernel.h"

namespace tvix::blake3 {
namespace {

#define TVIX_INLINE [[gnu::always_inline]] inline

template <class V>
TVIX_INLINE void mix(V& a, V& b, V& c, V& d, V x, V y) {
  a = a + x + b;
  d = (d ^ a).template rotr<16>();
  c = c + d;
  b = (b ^ c).template rotr<12>();
  a = a + y + b;
  d = (d ^ a).template rotr<8>();
  c = c + d;
  b = (b ^ c).template rotr<7>();
}

// Half a round: four mixes that do not depend on each other (the columns, or the diagonals). With registers for state
// and message alike, interleaving them step by step gives the CPU's schedulers four chains at once (a twelfth faster
// than one after the other). With sixteen registers the interleaving only makes compilers spill, and the CPU finds the
// next mix by itself.
template <class V>
TVIX_INLINE void mix4(V& a0, V& a1, V& a2, V& a3, V& b0, V& b1, V& b2, V& b3, V& c0, V& c1, V& c2, V& c3, V& d0, V& d1,
                      V& d2, V& d3, const V* m, const uint8_t* s) {
  if constexpr (!V::interleave) {
    mix(a0, b0, c0, d0, m[s[0]], m[s[1]]);
    mix(a1, b1, c1, d1, m[s[2]], m[s[3]]);
    mix(a2, b2, c2, d2, m[s[4]], m[s[5]]);
    mix(a3, b3, c3, d3, m[s[6]], m[s[7]]);
  } else {
    a0 = a0 + m[s[0]], a1 = a1 + m[s[2]], a2 = a2 + m[s[4]], a3 = a3 + m[s[6]];
    a0 = a0 + b0, a1 = a1 + b1, a2 = a2 + b2, a3 = a3 + b3;
    d0 = d0 ^ a0, d1 = d1 ^ a1, d2 = d2 ^ a2, d3 = d3 ^ a3;
    d0 = d0.template rotr<16>(), d1 = d1.template rotr<16>(), d2 = d2.template rotr<16>(), d3 = d3.template rotr<16>();
    c0 = c0 + d0, c1 = c1 + d1, c2 = c2 + d2, c3 = c3 + d3;
    b0 = b0 ^ c0, b1 = b1 ^ c1, b2 = b2 ^ c2, b3 = b3 ^ c3;
    b0 = b0.template rotr<12>(), b1 = b1.template rotr<12>(), b2 = b2.template rotr<12>(), b3 = b3.template rotr<12>();
    a0 = a0 + m[s[1]], a1 = a1 + m[s[3]], a2 = a2 + m[s[5]], a3 = a3 + m[s[7]];
    a0 = a0 + b0, a1 = a1 + b1, a2 = a2 + b2, a3 = a3 + b3;
    d0 = d0 ^ a0, d1 = d1 ^ a1, d2 = d2 ^ a2, d3 = d3 ^ a3;
    d0 = d0.template rotr<8>(), d1 = d1.template rotr<8>(), d2 = d2.template rotr<8>(), d3 = d3.template rotr<8>();
    c0 = c0 + d0, c1 = c1 + d1, c2 = c2 + d2, c3 = c3 + d3;
    b0 = b0 ^ c0, b1 = b1 ^ c1, b2 = b2 ^ c2, b3 = b3 ^ c3;
    b0 = b0.template rotr<7>(), b1 = b1.template rotr<7>(), b2 = b2.template rotr<7>(), b3 = b3.template rotr<7>();
  }
}

template <class V>
TVIX_INLINE void round(V* v, V (&m)[16], const uint8_t* s) {
  // Where the message has no registers, it stays in memory and each word is an operand of its addition. Without this
  // (an empty instruction that might change it), GCC loads words early only to spill them again: a third slower.
  if constexpr (!V::interleave) asm("" : "+m"(m));
  mix4(v[0], v[1], v[2], v[3], v[4], v[5], v[6], v[7], v[8], v[9], v[10], v[11], v[12], v[13], v[14], v[15], m, s);
  mix4(v[0], v[1], v[2], v[3], v[5], v[6], v[7], v[4], v[10], v[11], v[8], v[9], v[15], v[12], v[13], v[14], m, s + 8);
}

// One block in every lane: h becomes the chaining values after message m.
template <class V>
TVIX_INLINE void compress(V* h, V (&m)[16], V counter_low, V counter_high, V length, V flags) {
  V v[16] = {h[0],
             h[1],
             h[2],
             h[3],
             h[4],
             h[5],
             h[6],
             h[7],
             V::splat(kIv[0]),
             V::splat(kIv[1]),
             V::splat(kIv[2]),
             V::splat(kIv[3]),
             counter_low,
             counter_high,
             length,
             flags};
  round(v, m, kSchedule[0]);
  round(v, m, kSchedule[1]);
  round(v, m, kSchedule[2]);
  round(v, m, kSchedule[3]);
  round(v, m, kSchedule[4]);
  round(v, m, kSchedule[5]);
  round(v, m, kSchedule[6]);
  h[0] = v[0] ^ v[8], h[1] = v[1] ^ v[9], h[2] = v[2] ^ v[10], h[3] = v[3] ^ v[11];
  h[4] = v[4] ^ v[12], h[5] = v[5] ^ v[13], h[6] = v[6] ^ v[14], h[7] = v[7] ^ v[15];
}

template <class V>
TVIX_INLINE void start(V* h) {
  for (int i = 0; i < 8; i++) h[i] = V::splat(kIv[i]);
}

// Writes the first `count` lanes' chaining values.
template <class V>
TVIX_INLINE void finish(const V* h, size_t count, uint8_t* cvs) {
  if (count == V::lanes) return V::store(h, cvs);
  uint8_t all[V::lanes * 32];
  V::store(h, all);
  memcpy(cvs, all, count * 32);
}

// Asks for `lines` cache lines, into the second level: the group after this one, a sixteenth at each block. The CPU's
// own prefetchers do not follow so many streams at once; this doubles the speed of hashing what is not in cache, where
// asking for each lane's next blocks (into the first level, which they crowd) gains a tenth.
TVIX_INLINE void prefetch(const uint8_t* data, size_t offset, size_t lines) {
  // As a number: past the end of the input there may be nothing to point at, and asking for it is harmless.
  const uintptr_t from = reinterpret_cast<uintptr_t>(data) + offset;
  for (size_t i = 0; i < lines; i++) __builtin_prefetch(reinterpret_cast<const void*>(from + i * kBlockSize), 0, 2);
}

// In the three functions below `count` is 1…V::lanes; lanes beyond it repeat the last one's work.

template <class V>
[[gnu::noinline]] void wide_chunks(const uint8_t* data, size_t count, uint64_t counter, uint8_t* cvs) {
  const uint8_t* lane[V::lanes];
  uint32_t low[V::lanes], high[V::lanes];
  for (size_t i = 0; i < V::lanes; i++) {
    const size_t at = i < count ? i : count - 1;
    lane[i] = data + at * kChunkSize;
    low[i] = static_cast<uint32_t>(counter + at);
    high[i] = static_cast<uint32_t>((counter + at) >> 32);
  }
  V h[8];
  start(h);
  for (size_t block = 0; block < kChunkBlocks; block++) {
    const uint32_t flags = (block == 0 ? kChunkStart : 0) | (block == kChunkBlocks - 1 ? kChunkEnd : 0);
    if (count == V::lanes) prefetch(data, (kChunkBlocks + block) * V::lanes * kBlockSize, V::lanes);
    V m[16];
    V::load(lane, block * kBlockSize, m);
    compress(h, m, V::words(low), V::words(high), V::splat(kBlockSize), V::splat(flags));
  }
  finish(h, count, cvs);
}

template <class V>
[[gnu::noinline]] void wide_parents(const uint8_t* children, size_t count, uint32_t flags, uint8_t* cvs) {
  const uint8_t* lane[V::lanes];
  for (size_t i = 0; i < V::lanes; i++) lane[i] = children + (i < count ? i : count - 1) * kBlockSize;
  V h[8], m[16];
  start(h);
  V::load(lane, 0, m);
  const V zero = V::splat(0);
  compress(h, m, zero, zero, V::splat(kBlockSize), V::splat(flags | kParent));
  finish(h, count, cvs);
}

template <class V>
[[gnu::noinline]] void wide_pieces(const Piece* pieces, size_t count, uint8_t* cvs) {
  uint8_t tail[V::lanes][kBlockSize] = {};
  uint32_t low[V::lanes], high[V::lanes], ends[V::lanes], lengths[V::lanes], flags[V::lanes];
  size_t blocks = 0;
  for (size_t i = 0; i < V::lanes; i++) {
    const Piece& piece = pieces[i < count ? i : count - 1];
    const size_t end = piece.size == 0 ? 0 : (piece.size - 1) / kBlockSize;
    const size_t rest = piece.size - end * kBlockSize;
    if (rest > 0) memcpy(tail[i], piece.data + end * kBlockSize, rest);
    low[i] = static_cast<uint32_t>(piece.counter);
    high[i] = static_cast<uint32_t>(piece.counter >> 32);
    ends[i] = static_cast<uint32_t>(end);
    lengths[i] = static_cast<uint32_t>(rest);
    flags[i] = piece.flags | kChunkEnd;
    if (end + 1 > blocks) blocks = end + 1;
  }
  const V end = V::words(ends), length = V::words(lengths), end_flags = V::words(flags);
  V h[8];
  start(h);
  V done = V::splat(0);
  for (size_t block = 0; block < blocks; block++) {
    const uint8_t* lane[V::lanes];
    for (size_t i = 0; i < V::lanes; i++) {
      lane[i] = block < ends[i] ? pieces[i < count ? i : count - 1].data + block * kBlockSize : tail[i];
    }
    const V last = V::equal(V::splat(static_cast<uint32_t>(block)), end);
    const V first_flag = V::splat(block == 0 ? kChunkStart : 0);
    V next[8], m[16];
    for (int i = 0; i < 8; i++) next[i] = h[i];
    V::load(lane, 0, m);
    compress(next, m, V::words(low), V::words(high), V::select(last, length, V::splat(kBlockSize)),
             V::select(last, end_flags ^ first_flag, first_flag));
    for (int i = 0; i < 8; i++) h[i] = V::select(done, h[i], next[i]);
    done = V::select(last, last, done);
  }
  finish(h, count, cvs);
}

template <class One>
[[gnu::noinline]] void one_piece(const Piece& piece, uint8_t* cv) {
  One h;
  uint32_t flags = kChunkStart;
  const uint8_t* data = piece.data;
  size_t left = piece.size;
  for (; left > kBlockSize; left -= kBlockSize, data += kBlockSize) {
    h.block(data, kBlockSize, piece.counter, flags);
    flags = 0;
  }
  flags |= kChunkEnd | piece.flags;
  if (left == kBlockSize) {
    h.block(data, kBlockSize, piece.counter, flags);
  } else {
    uint8_t tail[kBlockSize] = {};
    if (left > 0) memcpy(tail, data, left);
    h.block(tail, static_cast<uint32_t>(left), piece.counter, flags);
  }
  h.store(cv);
}

// An implementation out of a one-at-a-time type and its vector types, the widest first. What is left of a batch when
// no width is worth filling is done one at a time.
template <class One, class... Widths>
struct Implementation {
  template <class V>
  static size_t fit(size_t count) {
    return count < V::minimum ? 0 : count < V::lanes ? count : V::lanes;
  }

  static void chunks(const uint8_t* data, size_t count, uint64_t counter, uint8_t* cvs) {
    while (count > 0) {
      size_t n = 0;
      (void)(((n = fit<Widths>(count)) > 0 && (wide_chunks<Widths>(data, n, counter, cvs), true)) || ...);
      if (n == 0) {
        one_piece<One>(Piece{data, kChunkSize, counter, 0}, cvs);
        n = 1;
      }
      data += n * kChunkSize, count -= n, counter += n, cvs += n * 32;
    }
  }

  static void parents(const uint8_t* children, size_t count, uint32_t flags, uint8_t* cvs) {
    while (count > 0) {
      size_t n = 0;
      (void)(((n = fit<Widths>(count)) > 0 && (wide_parents<Widths>(children, n, flags, cvs), true)) || ...);
      if (n == 0) {
        One h;
        h.block(children, kBlockSize, 0, flags | kParent);
        h.store(cvs);
        n = 1;
      }
      children += n * kBlockSize, count -= n, cvs += n * 32;
    }
  }

  static void pieces(const Piece* pieces, size_t count, uint8_t* cvs) {
    while (count > 0) {
      size_t n = 0;
      (void)(((n = fit<Widths>(count)) > 0 && (wide_pieces<Widths>(pieces, n, cvs), true)) || ...);
      if (n == 0) {
        one_piece<One>(*pieces, cvs);
        n = 1;
      }
      pieces += n, count -= n, cvs += n * 32;
    }
  }

  static constexpr Kernel kernel(const char* name, size_t lanes) { return {name, lanes, chunks, parents, pieces}; }
};

#undef TVIX_INLINE

}  // namespace
}  // namespace tvix::blake3
