// The gear table of FastCDC, computed at compile time from its rule: the first 8 bytes of an MD5.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <utility>

namespace tvix::chunk {

namespace gear_detail {

// MD5 of 64 copies of one byte, the only messages the table needs: one block of data, one block of padding.
constexpr std::array<uint32_t, 64> kSines = {
    0xd76aa478, 0xe8c7b756, 0x242070db, 0xc1bdceee, 0xf57c0faf, 0x4787c62a, 0xa8304613, 0xfd469501,
    0x698098d8, 0x8b44f7af, 0xffff5bb1, 0x895cd7be, 0x6b901122, 0xfd987193, 0xa679438e, 0x49b40821,
    0xf61e2562, 0xc040b340, 0x265e5a51, 0xe9b6c7aa, 0xd62f105d, 0x02441453, 0xd8a1e681, 0xe7d3fbc8,
    0x21e1cde6, 0xc33707d6, 0xf4d50d87, 0x455a14ed, 0xa9e3e905, 0xfcefa3f8, 0x676f02d9, 0x8d2a4c8a,
    0xfffa3942, 0x8771f681, 0x6d9d6122, 0xfde5380c, 0xa4beea44, 0x4bdecfa9, 0xf6bb4b60, 0xbebfbc70,
    0x289b7ec6, 0xeaa127fa, 0xd4ef3085, 0x04881d05, 0xd9d4d039, 0xe6db99e5, 0x1fa27cf8, 0xc4ac5665,
    0xf4292244, 0x432aff97, 0xab9423a7, 0xfc93a039, 0x655b59c3, 0x8f0ccc92, 0xffeff47d, 0x85845dd1,
    0x6fa87e4f, 0xfe2ce6e0, 0xa3014314, 0x4e0811a1, 0xf7537e82, 0xbd3af235, 0x2ad7d2bb, 0xeb86d391};
constexpr std::array<std::array<uint32_t, 4>, 4> kTurns = {
    {{7, 12, 17, 22}, {5, 9, 14, 20}, {4, 11, 16, 23}, {6, 10, 15, 21}}};

constexpr void md5_block(std::array<uint32_t, 4>& state, const std::array<uint32_t, 16>& words) {
  auto [a, b, c, d] = state;
  for (uint32_t i = 0; i < 64; i++) {
    uint32_t f = 0;
    uint32_t word = 0;
    switch (i / 16) {
      case 0:
        f = (b & c) | (~b & d);
        word = i;
        break;
      case 1:
        f = (d & b) | (~d & c);
        word = (5 * i + 1) % 16;
        break;
      case 2:
        f = b ^ c ^ d;
        word = (3 * i + 5) % 16;
        break;
      default:
        f = c ^ (b | ~d);
        word = (7 * i) % 16;
    }
    uint32_t sum = a + f + kSines[i] + words[word];
    uint32_t turn = kTurns[i / 16][i % 4];
    a = d;
    d = c;
    c = b;
    b += sum << turn | sum >> (32 - turn);
  }
  state = {state[0] + a, state[1] + b, state[2] + c, state[3] + d};
}

constexpr uint64_t gear(uint32_t byte) {
  std::array<uint32_t, 4> state = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476};
  std::array<uint32_t, 16> block{};
  block.fill(byte * 0x01010101u);
  md5_block(state, block);
  block.fill(0);
  block[0] = 0x80;
  block[14] = 64 * 8;
  md5_block(state, block);
  uint64_t out = 0;  // MD5's words are little-endian, the table reads its bytes as a big-endian number
  for (uint32_t i = 0; i < 8; i++) out = out << 8 | (state[i / 4] >> (8 * (i % 4)) & 0xff);
  return out;
}

// A constant each, because compilers bound the steps of one constant evaluation.
template <size_t Byte>
inline constexpr uint64_t kEntry = gear(Byte);

template <size_t... Bytes>
constexpr std::array<uint64_t, 256> table(std::index_sequence<Bytes...>) {
  return {kEntry<Bytes>...};
}

}  // namespace gear_detail

inline constexpr std::array<uint64_t, 256> kGear = gear_detail::table(std::make_index_sequence<256>());
static_assert(kGear[0] == 0x3b5d3c7d207e37dc && kGear[255] == 0xaabd2b2a451504e1);

}  // namespace tvix::chunk
