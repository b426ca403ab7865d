// One block at a time in general registers: the portable implementation, and NEON's remainder.
#pragma once

#include <bit>

#include "blake3/lanes.h"
#include "common/bytes.h"

namespace tvix::blake3 {
namespace {

// A "vector" of one lane, so that the rounds are the same source as everyone's.
struct Word {
  static constexpr bool interleave = true;
  uint32_t x;
  friend Word operator+(Word a, Word b) { return {a.x + b.x}; }
  friend Word operator^(Word a, Word b) { return {a.x ^ b.x}; }
  template <int n>
  Word rotr() const {
    return {std::rotr(x, n)};
  }
  static Word splat(uint32_t x) { return {x}; }
};

struct OneByWords {
  Word h[8];
  OneByWords() { start(h); }
  void block(const uint8_t* data, uint32_t length, uint64_t counter, uint32_t flags) {
    Word m[16];
    for (int i = 0; i < 16; i++) m[i] = {load_le32(data + 4 * i)};
    compress(h, m, Word{static_cast<uint32_t>(counter)}, Word{static_cast<uint32_t>(counter >> 32)}, Word{length},
             Word{flags});
  }
  void store(uint8_t* cv) const {
    for (int i = 0; i < 8; i++) store_le32(cv + 4 * i, h[i].x);
  }
};

}  // namespace
}  // namespace tvix::blake3
