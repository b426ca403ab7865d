// SHA-256 on x86's SHA instructions: two rounds an instruction, four message words a schedule step.
#if defined(__x86_64__)

#include <immintrin.h>

#include "sha256/rounds.h"

namespace tvix::sha256 {
namespace {

// The state as the instructions want it, and the last 16 message words, four to a vector.
struct Block {
  __m128i abef, cdgh;
  __m128i w[4];

  // Rounds 4i … 4i + 3, and the message words those of 4i + 16 need.
  template <int i>
  [[gnu::always_inline]] inline void quad() {
    __m128i& now = w[i % 4];
    const __m128i sum = _mm_add_epi32(now, _mm_load_si128(reinterpret_cast<const __m128i*>(kRound + 4 * i)));
    cdgh = _mm_sha256rnds2_epu32(cdgh, abef, sum);
    abef = _mm_sha256rnds2_epu32(abef, cdgh, _mm_shuffle_epi32(sum, 0x0e));
    if constexpr (i < 12) {
      const __m128i &next = w[(i + 1) % 4], &third = w[(i + 2) % 4], &last = w[(i + 3) % 4];
      now = _mm_add_epi32(_mm_sha256msg1_epu32(now, next), _mm_alignr_epi8(last, third, 4));
      now = _mm_sha256msg2_epu32(now, last);
    }
  }
};

}  // namespace

void rounds_x86(uint32_t state[8], const uint8_t* data, size_t count) {
  const __m128i big_endian = _mm_set_epi8(12, 13, 14, 15, 8, 9, 10, 11, 4, 5, 6, 7, 0, 1, 2, 3);
  __m128i* words = reinterpret_cast<__m128i*>(state);
  const __m128i badc = _mm_shuffle_epi32(_mm_loadu_si128(words), 0xb1);
  const __m128i hgfe = _mm_shuffle_epi32(_mm_loadu_si128(words + 1), 0x1b);
  Block b;
  b.abef = _mm_alignr_epi8(badc, hgfe, 8);
  b.cdgh = _mm_blend_epi16(hgfe, badc, 0xf0);
  for (; count > 0; count--, data += 64) {
    const __m128i abef = b.abef, cdgh = b.cdgh;
    for (int i = 0; i < 4; i++) {
      b.w[i] = _mm_shuffle_epi8(_mm_loadu_si128(reinterpret_cast<const __m128i*>(data) + i), big_endian);
    }
    b.quad<0>(), b.quad<1>(), b.quad<2>(), b.quad<3>();
    b.quad<4>(), b.quad<5>(), b.quad<6>(), b.quad<7>();
    b.quad<8>(), b.quad<9>(), b.quad<10>(), b.quad<11>();
    b.quad<12>(), b.quad<13>(), b.quad<14>(), b.quad<15>();
    b.abef = _mm_add_epi32(b.abef, abef);
    b.cdgh = _mm_add_epi32(b.cdgh, cdgh);
  }
  const __m128i feba = _mm_shuffle_epi32(b.abef, 0x1b);
  const __m128i dchg = _mm_shuffle_epi32(b.cdgh, 0xb1);
  _mm_storeu_si128(words, _mm_blend_epi16(feba, dchg, 0xf0));
  _mm_storeu_si128(words + 1, _mm_alignr_epi8(dchg, feba, 8));
}

}  // namespace tvix::sha256

#endif
