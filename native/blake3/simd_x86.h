// The 128- and 256-bit vector types of x86, shared by its implementations: each file compiles them for its own
// instruction set (internal linkage, see lanes.h), and with AVX-512VL rotation is one instruction instead of three.
#pragma once

#include <immintrin.h>

#include "blake3/lanes.h"

namespace tvix::blake3 {
namespace {

// Byte shuffles that rotate each 32-bit word right by 16 and by 8 bits.
alignas(16) constexpr uint8_t kRotate16[16] = {2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14, 15, 12, 13};
alignas(16) constexpr uint8_t kRotate8[16] = {1, 2, 3, 0, 5, 6, 7, 4, 9, 10, 11, 8, 13, 14, 15, 12};

template <int n>
inline __m128i rotate(__m128i x) {
#if defined(__AVX512VL__)
  return _mm_ror_epi32(x, n);
#else
  if constexpr (n == 16) return _mm_shuffle_epi8(x, _mm_load_si128(reinterpret_cast<const __m128i*>(kRotate16)));
  if constexpr (n == 8) return _mm_shuffle_epi8(x, _mm_load_si128(reinterpret_cast<const __m128i*>(kRotate8)));
  return _mm_or_si128(_mm_srli_epi32(x, n), _mm_slli_epi32(x, 32 - n));
#endif
}

inline __m128i load128(const uint8_t* p) { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(p)); }
inline void store128(uint8_t* p, __m128i x) { _mm_storeu_si128(reinterpret_cast<__m128i*>(p), x); }

// Four rows of four words become four columns.
inline void transpose4(__m128i& a, __m128i& b, __m128i& c, __m128i& d) {
  const __m128i ab_low = _mm_unpacklo_epi32(a, b), ab_high = _mm_unpackhi_epi32(a, b);
  const __m128i cd_low = _mm_unpacklo_epi32(c, d), cd_high = _mm_unpackhi_epi32(c, d);
  a = _mm_unpacklo_epi64(ab_low, cd_low);
  b = _mm_unpackhi_epi64(ab_low, cd_low);
  c = _mm_unpacklo_epi64(ab_high, cd_high);
  d = _mm_unpackhi_epi64(ab_high, cd_high);
}

#if defined(__AVX512VL__)
constexpr bool kInterleave = true;
#else
constexpr bool kInterleave = false;  // 16 registers: see mix4
#endif

struct Xmm {
  static constexpr size_t lanes = 4;
  static constexpr bool interleave = kInterleave;
  static constexpr size_t minimum = 3;
  __m128i x;

  friend Xmm operator+(Xmm a, Xmm b) { return {_mm_add_epi32(a.x, b.x)}; }
  friend Xmm operator^(Xmm a, Xmm b) { return {_mm_xor_si128(a.x, b.x)}; }
  template <int n>
  Xmm rotr() const {
    return {rotate<n>(x)};
  }
  static Xmm splat(uint32_t x) { return {_mm_set1_epi32(static_cast<int>(x))}; }
  static Xmm words(const uint32_t* p) { return {_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))}; }
  static Xmm equal(Xmm a, Xmm b) { return {_mm_cmpeq_epi32(a.x, b.x)}; }
  static Xmm select(Xmm mask, Xmm yes, Xmm no) { return {_mm_blendv_epi8(no.x, yes.x, mask.x)}; }

  static void load(const uint8_t* const* lane, size_t offset, Xmm* m) {
    for (int i = 0; i < 4; i++) {
      for (int k = 0; k < 4; k++) m[4 * i + k].x = load128(lane[k] + offset + 16 * i);
      transpose4(m[4 * i].x, m[4 * i + 1].x, m[4 * i + 2].x, m[4 * i + 3].x);
    }
  }
  static void store(const Xmm* h, uint8_t* out) {
    for (int half = 0; half < 2; half++) {
      __m128i row[4];
      for (int i = 0; i < 4; i++) row[i] = h[4 * half + i].x;
      transpose4(row[0], row[1], row[2], row[3]);
      for (int i = 0; i < 4; i++) store128(out + 32 * i + 16 * half, row[i]);
    }
  }
};

#if defined(__AVX2__)

struct Ymm {
  static constexpr size_t lanes = 8;
  static constexpr bool interleave = kInterleave;
  // Two chunks one at a time take as long as eight in lanes whose rotations are three instructions.
#if defined(__AVX512VL__)
  static constexpr size_t minimum = 2;
#else
  static constexpr size_t minimum = 3;
#endif
  __m256i x;

  friend Ymm operator+(Ymm a, Ymm b) { return {_mm256_add_epi32(a.x, b.x)}; }
  friend Ymm operator^(Ymm a, Ymm b) { return {_mm256_xor_si256(a.x, b.x)}; }
  template <int n>
  Ymm rotr() const {
#if defined(__AVX512VL__)
    return {_mm256_ror_epi32(x, n)};
#else
    if constexpr (n == 16 || n == 8) {
      const uint8_t* shuffle = n == 16 ? kRotate16 : kRotate8;
      return {_mm256_shuffle_epi8(x, _mm256_broadcastsi128_si256(load128(shuffle)))};
    }
    return {_mm256_or_si256(_mm256_srli_epi32(x, n), _mm256_slli_epi32(x, 32 - n))};
#endif
  }
  static Ymm splat(uint32_t x) { return {_mm256_set1_epi32(static_cast<int>(x))}; }
  static Ymm words(const uint32_t* p) { return {_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p))}; }
  static Ymm equal(Ymm a, Ymm b) { return {_mm256_cmpeq_epi32(a.x, b.x)}; }
  static Ymm select(Ymm mask, Ymm yes, Ymm no) { return {_mm256_blendv_epi8(no.x, yes.x, mask.x)}; }

  // Transposes 8 rows of 8 words: within the 128-bit halves first, then the halves.
  static void transpose(__m256i* r) {
    __m256i t[8], u[8];
    for (int i = 0; i < 4; i++) {
      t[2 * i] = _mm256_unpacklo_epi32(r[2 * i], r[2 * i + 1]);
      t[2 * i + 1] = _mm256_unpackhi_epi32(r[2 * i], r[2 * i + 1]);
    }
    for (int g = 0; g < 8; g += 4) {
      u[g] = _mm256_unpacklo_epi64(t[g], t[g + 2]);
      u[g + 1] = _mm256_unpackhi_epi64(t[g], t[g + 2]);
      u[g + 2] = _mm256_unpacklo_epi64(t[g + 1], t[g + 3]);
      u[g + 3] = _mm256_unpackhi_epi64(t[g + 1], t[g + 3]);
    }
    for (int i = 0; i < 4; i++) {
      r[i] = _mm256_permute2x128_si256(u[i], u[4 + i], 0x20);
      r[4 + i] = _mm256_permute2x128_si256(u[i], u[4 + i], 0x31);
    }
  }
  static void load(const uint8_t* const* lane, size_t offset, Ymm* m) {
    for (int half = 0; half < 2; half++) {
      __m256i r[8];
      for (int i = 0; i < 8; i++) {
        r[i] = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(lane[i] + offset + 32 * half));
      }
      transpose(r);
      for (int i = 0; i < 8; i++) m[8 * half + i].x = r[i];
    }
  }
  static void store(const Ymm* h, uint8_t* out) {
    __m256i r[8];
    for (int i = 0; i < 8; i++) r[i] = h[i].x;
    transpose(r);
    for (int i = 0; i < 8; i++) _mm256_storeu_si256(reinterpret_cast<__m256i*>(out + 32 * i), r[i]);
  }
};

#endif  // __AVX2__

// One block at a time: the state's four rows in a vector each, so that one instruction serves the four mixes of half
// a round. The diagonals are brought into columns by turning rows a, c and d around b, which is the last to be ready.
struct Rows {
  __m128i low, high;

  Rows() {
    low = _mm_loadu_si128(reinterpret_cast<const __m128i*>(kIv));
    high = _mm_loadu_si128(reinterpret_cast<const __m128i*>(kIv + 4));
  }
  void store(uint8_t* cv) const {
    store128(cv, low);
    store128(cv + 16, high);
  }

  template <int first, int second>
  static void half(__m128i& a, __m128i& b, __m128i& c, __m128i& d, __m128i m) {
    a = _mm_add_epi32(_mm_add_epi32(a, m), b);
    d = rotate<first>(_mm_xor_si128(d, a));
    c = _mm_add_epi32(c, d);
    b = rotate<second>(_mm_xor_si128(b, c));
  }

  // The message is held in the order in which a round adds it: x to the columns first, then y; z and w likewise to
  // the diagonals, whose first is the one that holds b's first word.
  static void round(__m128i& a, __m128i& b, __m128i& c, __m128i& d, __m128i x, __m128i y, __m128i z, __m128i w) {
    half<16, 12>(a, b, c, d, x);
    half<8, 7>(a, b, c, d, y);
    a = _mm_shuffle_epi32(a, _MM_SHUFFLE(2, 1, 0, 3));
    c = _mm_shuffle_epi32(c, _MM_SHUFFLE(0, 3, 2, 1));
    d = _mm_shuffle_epi32(d, _MM_SHUFFLE(1, 0, 3, 2));
    half<16, 12>(a, b, c, d, z);
    half<8, 7>(a, b, c, d, w);
    a = _mm_shuffle_epi32(a, _MM_SHUFFLE(0, 3, 2, 1));
    c = _mm_shuffle_epi32(c, _MM_SHUFFLE(2, 1, 0, 3));
    d = _mm_shuffle_epi32(d, _MM_SHUFFLE(1, 0, 3, 2));
  }

  template <int n>
  static __m128i turn(__m128i x) {
    return _mm_shuffle_epi32(x, n);
  }
  template <int n>
  static __m128i pick(__m128i x, __m128i y) {
    return _mm_castps_si128(_mm_shuffle_ps(_mm_castsi128_ps(x), _mm_castsi128_ps(y), n));
  }

  // From one round's order to the next. With x = 0 2 4 6, y = 1 3 5 7, z = 14 8 10 12, w = 15 9 11 13 (numbers of
  // message words), the next round wants 2 3 7 4, 6 10 0 13, 15 1 12 9 and 8 11 5 14.
  static void permute(__m128i& x, __m128i& y, __m128i& z, __m128i& w) {
    const __m128i zw = _mm_unpackhi_epi32(z, w);                                                      // 10 11 12 13
    const __m128i yw_low = _mm_unpacklo_epi32(y, w);                                                  // 1 15 3 9
    const __m128i yw_high = _mm_unpackhi_epi32(y, w);                                                 // 5 11 7 13
    const __m128i next_x = turn<_MM_SHUFFLE(1, 3, 2, 0)>(pick<_MM_SHUFFLE(3, 1, 2, 1)>(x, y));        // 2 4 3 7
    const __m128i next_y = turn<_MM_SHUFFLE(3, 1, 2, 0)>(pick<_MM_SHUFFLE(3, 0, 0, 3)>(x, zw));       // 6 0 10 13
    const __m128i next_w = turn<_MM_SHUFFLE(1, 3, 2, 0)>(pick<_MM_SHUFFLE(0, 1, 0, 1)>(z, yw_high));  // 8 14 11 5
    z = turn<_MM_SHUFFLE(3, 2, 0, 1)>(_mm_blend_epi16(yw_low, zw, 0x30));                             // 1 15 12 9
    x = next_x, y = next_y, w = next_w;
  }

  void block(const uint8_t* data, uint32_t length, uint64_t counter, uint32_t flags) {
    const __m128i m0 = load128(data), m1 = load128(data + 16), m2 = load128(data + 32), m3 = load128(data + 48);
    __m128i x = pick<_MM_SHUFFLE(2, 0, 2, 0)>(m0, m1), y = pick<_MM_SHUFFLE(3, 1, 3, 1)>(m0, m1);
    __m128i z = turn<_MM_SHUFFLE(2, 1, 0, 3)>(pick<_MM_SHUFFLE(2, 0, 2, 0)>(m2, m3));
    __m128i w = turn<_MM_SHUFFLE(2, 1, 0, 3)>(pick<_MM_SHUFFLE(3, 1, 3, 1)>(m2, m3));
    __m128i a = low, b = high, c = _mm_loadu_si128(reinterpret_cast<const __m128i*>(kIv));
    __m128i d = _mm_set_epi32(static_cast<int>(flags), static_cast<int>(length), static_cast<int>(counter >> 32),
                              static_cast<int>(counter));
    round(a, b, c, d, x, y, z, w);
    for (int i = 1; i < 7; i++) {
      permute(x, y, z, w);
      round(a, b, c, d, x, y, z, w);
    }
    low = _mm_xor_si128(a, c);
    high = _mm_xor_si128(b, d);
  }
};

}  // namespace
}  // namespace tvix::blake3
