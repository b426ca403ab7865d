// BLAKE3 with AVX-512 (F and VL): sixteen chunks side by side, eight when there are not more to do.
#if defined(__x86_64__)

#include "blake3/simd_x86.h"

namespace tvix::blake3 {
namespace {

struct Zmm {
  static constexpr size_t lanes = 16;
  static constexpr bool interleave = true;
  // Up to eight chunks, half the width does the same work in the same time or, where 512-bit operations take two
  // passes (Zen 4), in half of it.
  static constexpr size_t minimum = 9;
  __m512i x;

  friend Zmm operator+(Zmm a, Zmm b) { return {_mm512_add_epi32(a.x, b.x)}; }
  friend Zmm operator^(Zmm a, Zmm b) { return {_mm512_xor_si512(a.x, b.x)}; }
  template <int n>
  Zmm rotr() const {
    return {_mm512_ror_epi32(x, n)};
  }
  static Zmm splat(uint32_t x) { return {_mm512_set1_epi32(static_cast<int>(x))}; }
  static Zmm words(const uint32_t* p) { return {_mm512_loadu_si512(p)}; }
  // Masks are vectors here as in the narrower types: lanes of all ones or all zeros.
  static Zmm equal(Zmm a, Zmm b) { return {_mm512_maskz_set1_epi32(_mm512_cmpeq_epi32_mask(a.x, b.x), -1)}; }
  static Zmm select(Zmm mask, Zmm yes, Zmm no) { return {_mm512_ternarylogic_epi32(mask.x, yes.x, no.x, 0xca)}; }

  // Transposes each 4 × 4 block of words of four rows within its 128 bits.
  static void transpose_blocks(__m512i& a, __m512i& b, __m512i& c, __m512i& d) {
    const __m512i ab_low = _mm512_unpacklo_epi32(a, b), ab_high = _mm512_unpackhi_epi32(a, b);
    const __m512i cd_low = _mm512_unpacklo_epi32(c, d), cd_high = _mm512_unpackhi_epi32(c, d);
    a = _mm512_unpacklo_epi64(ab_low, cd_low);
    b = _mm512_unpackhi_epi64(ab_low, cd_low);
    c = _mm512_unpacklo_epi64(ab_high, cd_high);
    d = _mm512_unpackhi_epi64(ab_high, cd_high);
  }

  // 16 rows of 16 words: the 4 × 4 blocks' insides, then the blocks.
  static void load(const uint8_t* const* lane, size_t offset, Zmm* m) {
    __m512i r[16];
    for (int i = 0; i < 16; i++) r[i] = _mm512_loadu_si512(lane[i] + offset);
    for (int i = 0; i < 16; i += 4) transpose_blocks(r[i], r[i + 1], r[i + 2], r[i + 3]);
    for (int i = 0; i < 4; i++) {
      const __m512i low01 = _mm512_shuffle_i32x4(r[i], r[4 + i], 0x44);
      const __m512i high01 = _mm512_shuffle_i32x4(r[i], r[4 + i], 0xee);
      const __m512i low23 = _mm512_shuffle_i32x4(r[8 + i], r[12 + i], 0x44);
      const __m512i high23 = _mm512_shuffle_i32x4(r[8 + i], r[12 + i], 0xee);
      m[i].x = _mm512_shuffle_i32x4(low01, low23, 0x88);
      m[4 + i].x = _mm512_shuffle_i32x4(low01, low23, 0xdd);
      m[8 + i].x = _mm512_shuffle_i32x4(high01, high23, 0x88);
      m[12 + i].x = _mm512_shuffle_i32x4(high01, high23, 0xdd);
    }
  }
  static void store(const Zmm* h, uint8_t* out) {
    for (int half = 0; half < 2; half++) {
      __m512i r[4];
      for (int i = 0; i < 4; i++) r[i] = h[4 * half + i].x;
      transpose_blocks(r[0], r[1], r[2], r[3]);
      for (int i = 0; i < 4; i++) {
        uint8_t* at = out + 32 * i + 16 * half;  // block k of r[i] is half of lane 4k + i
        store128(at, _mm512_extracti32x4_epi32(r[i], 0));
        store128(at + 128, _mm512_extracti32x4_epi32(r[i], 1));
        store128(at + 256, _mm512_extracti32x4_epi32(r[i], 2));
        store128(at + 384, _mm512_extracti32x4_epi32(r[i], 3));
      }
    }
  }
};

}  // namespace

const Kernel avx512 = Implementation<Rows, Zmm, Ymm>::kernel("avx512", Zmm::lanes);

}  // namespace tvix::blake3

#endif
