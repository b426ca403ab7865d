// Looking for store path hashes (32 characters of nixbase32) in a stream of bytes.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace tvix::ingest {

// Finds which of some needles occur anywhere in a stream, pieces' boundaries included, overlapping or not.
// The filter: no window of 32 bytes that holds a byte outside the alphabet can be a needle, so the scan looks at the
// window's last byte first and, going backwards, jumps behind the last byte that cannot be part of one.
class Scanner {
 public:
  static constexpr size_t kLength = 32;
  // `needles`: any number of 32-byte strings, one behind the other.
  explicit Scanner(std::string_view needles);
  void push(const uint8_t* data, size_t size);
  // One per needle, in the order given: 1 when it was seen.
  const std::vector<uint8_t>& found() const { return found_; }
  bool idle() const { return left_ == 0; }

 private:
  void search(const uint8_t* data, size_t size);

  struct Needle {
    std::array<uint8_t, kLength> text;
    uint32_t index;
  };
  struct Hash {
    size_t operator()(const std::array<uint8_t, kLength>& text) const;
  };
  std::unordered_map<std::array<uint8_t, kLength>, std::vector<uint32_t>, Hash> needles_;
  std::vector<uint8_t> found_;
  size_t left_;                // needles not seen yet
  std::vector<uint8_t> tail_;  // the last 31 bytes of what went by, then the start of the next piece
};

}  // namespace tvix::ingest
