// BLAKE3 in plain C++: one lane of 32-bit words, for CPUs without a vector unit we know.
#include <bit>

#include "blake3/lanes.h"
#include "common/bytes.h"

namespace tvix::blake3 {
namespace {

// A "vector" of one lane, so that the rounds are the same source as everyone's.
struct Word {
  uint32_t x;
  friend Word operator+(Word a, Word b) { return {a.x + b.x}; }
  friend Word operator^(Word a, Word b) { return {a.x ^ b.x}; }
  template <int n>
  Word rotr() const {
    return {std::rotr(x, n)};
  }
  static Word splat(uint32_t x) { return {x}; }
};

struct One {
  Word h[8];
  One() { start(h); }
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

const Kernel portable = Implementation<One>::kernel("portable", 1);

}  // namespace tvix::blake3
