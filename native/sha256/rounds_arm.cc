// SHA-256 on ARMv8's SHA instructions: four rounds and four message words a step.
#if defined(__aarch64__)

#include <arm_neon.h>

#include "sha256/rounds.h"

namespace tvix::sha256 {
namespace {

struct Block {
  uint32x4_t abcd, efgh;
  uint32x4_t w[4];

  // Rounds 4i … 4i + 3, and the message words those of 4i + 16 need.
  template <int i>
  [[gnu::always_inline]] inline void quad() {
    uint32x4_t& now = w[i % 4];
    const uint32x4_t sum = vaddq_u32(now, vld1q_u32(kRound + 4 * i));
    const uint32x4_t before = abcd;
    abcd = vsha256hq_u32(abcd, efgh, sum);
    efgh = vsha256h2q_u32(efgh, before, sum);
    if constexpr (i < 12) {
      now = vsha256su1q_u32(vsha256su0q_u32(now, w[(i + 1) % 4]), w[(i + 2) % 4], w[(i + 3) % 4]);
    }
  }
};

}  // namespace

void rounds_arm(uint32_t state[8], const uint8_t* data, size_t count) {
  Block b;
  b.abcd = vld1q_u32(state);
  b.efgh = vld1q_u32(state + 4);
  for (; count > 0; count--, data += 64) {
    const uint32x4_t abcd = b.abcd, efgh = b.efgh;
    for (int i = 0; i < 4; i++) b.w[i] = vreinterpretq_u32_u8(vrev32q_u8(vld1q_u8(data + 16 * i)));
    b.quad<0>(), b.quad<1>(), b.quad<2>(), b.quad<3>();
    b.quad<4>(), b.quad<5>(), b.quad<6>(), b.quad<7>();
    b.quad<8>(), b.quad<9>(), b.quad<10>(), b.quad<11>();
    b.quad<12>(), b.quad<13>(), b.quad<14>(), b.quad<15>();
    b.abcd = vaddq_u32(b.abcd, abcd);
    b.efgh = vaddq_u32(b.efgh, efgh);
  }
  vst1q_u32(state, b.abcd);
  vst1q_u32(state + 4, b.efgh);
}

}  // namespace tvix::sha256

#endif
