// BLAKE3 with NEON: four chunks side by side.
#if defined(__aarch64__)

#include <arm_neon.h>

#include "blake3/words.h"

namespace tvix::blake3 {
namespace {

struct Neon {
  static constexpr size_t lanes = 4;
  static constexpr bool interleave = true;
  // Two chunks take about as long in a vector as one after the other in general registers, which ARM has plenty of.
  static constexpr size_t minimum = 3;
  uint32x4_t x;

  friend Neon operator+(Neon a, Neon b) { return {vaddq_u32(a.x, b.x)}; }
  friend Neon operator^(Neon a, Neon b) { return {veorq_u32(a.x, b.x)}; }
  template <int n>
  Neon rotr() const {
    if constexpr (n == 16) return {vreinterpretq_u32_u16(vrev32q_u16(vreinterpretq_u16_u32(x)))};
    if constexpr (n == 8) {
      static constexpr uint8_t kRotate8[16] = {1, 2, 3, 0, 5, 6, 7, 4, 9, 10, 11, 8, 13, 14, 15, 12};
      return {vreinterpretq_u32_u8(vqtbl1q_u8(vreinterpretq_u8_u32(x), vld1q_u8(kRotate8)))};
    }
    if constexpr (n != 16 && n != 8) return {vsriq_n_u32(vshlq_n_u32(x, 32 - n), x, n)};
  }
  static Neon splat(uint32_t x) { return {vdupq_n_u32(x)}; }
  static Neon words(const uint32_t* p) { return {vld1q_u32(p)}; }
  static Neon equal(Neon a, Neon b) { return {vceqq_u32(a.x, b.x)}; }
  static Neon select(Neon mask, Neon yes, Neon no) { return {vbslq_u32(mask.x, yes.x, no.x)}; }

  static void transpose(uint32x4_t* r) {
    const uint32x4x2_t ab = vtrnq_u32(r[0], r[1]), cd = vtrnq_u32(r[2], r[3]);
    r[0] = vcombine_u32(vget_low_u32(ab.val[0]), vget_low_u32(cd.val[0]));
    r[1] = vcombine_u32(vget_low_u32(ab.val[1]), vget_low_u32(cd.val[1]));
    r[2] = vcombine_u32(vget_high_u32(ab.val[0]), vget_high_u32(cd.val[0]));
    r[3] = vcombine_u32(vget_high_u32(ab.val[1]), vget_high_u32(cd.val[1]));
  }
  static void load(const uint8_t* const* lane, size_t offset, Neon* m) {
    for (int i = 0; i < 4; i++) {
      uint32x4_t r[4];
      for (int k = 0; k < 4; k++) r[k] = vreinterpretq_u32_u8(vld1q_u8(lane[k] + offset + 16 * i));
      transpose(r);
      for (int k = 0; k < 4; k++) m[4 * i + k].x = r[k];
    }
  }
  static void store(const Neon* h, uint8_t* out) {
    for (int half = 0; half < 2; half++) {
      uint32x4_t r[4];
      for (int i = 0; i < 4; i++) r[i] = h[4 * half + i].x;
      transpose(r);
      for (int i = 0; i < 4; i++) vst1q_u8(out + 32 * i + 16 * half, vreinterpretq_u8_u32(r[i]));
    }
  }
};

}  // namespace

const Kernel neon = Implementation<OneByWords, Neon>::kernel("neon", Neon::lanes);

}  // namespace tvix::blake3

#endif
