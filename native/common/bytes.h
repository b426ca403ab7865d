// Fixed-width integers read from and written to bytes, in either order, whatever the machine's own.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>

namespace tvix {

// __builtin_bswap is known to every compiler we build with; std::byteswap only comes with C++23.
inline uint32_t load_le32(const uint8_t* p) {
  uint32_t x;
  std::memcpy(&x, p, 4);
  if constexpr (std::endian::native == std::endian::big) x = __builtin_bswap32(x);
  return x;
}

inline void store_le32(uint8_t* p, uint32_t x) {
  if constexpr (std::endian::native == std::endian::big) x = __builtin_bswap32(x);
  std::memcpy(p, &x, 4);
}

inline uint32_t load_be32(const uint8_t* p) {
  uint32_t x;
  std::memcpy(&x, p, 4);
  if constexpr (std::endian::native == std::endian::little) x = __builtin_bswap32(x);
  return x;
}

inline void store_be32(uint8_t* p, uint32_t x) {
  if constexpr (std::endian::native == std::endian::little) x = __builtin_bswap32(x);
  std::memcpy(p, &x, 4);
}

inline void store_be64(uint8_t* p, uint64_t x) {
  store_be32(p, static_cast<uint32_t>(x >> 32));
  store_be32(p + 4, static_cast<uint32_t>(x));
}

}  // namespace tvix
