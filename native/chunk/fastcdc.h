// FastCDC (2020): where a blob is cut, from its bytes alone.
//
// A rolling hash h = 2h + G[byte] runs over the bytes behind the minimum chunk size; a chunk ends before the first byte
// at which the bits of h under a mask are all zero. Up to the average the mask has one bit more than log2(average)
// (cuts are rarer), behind it one less (cuts are likelier): that is "normalisation level 1", which narrows the spread
// of lengths. A chunk never exceeds the maximum. h starts from 0 in each chunk, so equal bytes behind a cut give equal
// cuts.
//
// The published code looks at two bytes a round, which shows in one place: the last byte of a blob of odd length is
// never tested. cut() needs the bytes of a whole chunk at once; Chunks takes them in any pieces.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace tvix::chunk {

inline constexpr uint32_t kDefaultAverage = 256 * 1024;

struct Params {
  uint32_t min;
  uint32_t average;
  uint32_t max;
  uint64_t strict_mask;  // before the average
  uint64_t loose_mask;   // behind it

  // `average` is a multiple of 4, 1024 … 8 MiB: anything else is the caller's mistake.
  explicit Params(uint32_t average = kDefaultAverage);
};

// Length of the first chunk of a blob of which `size` bytes are left. Reads at most min(size, params.max) of them.
size_t cut(const Params& params, const uint8_t* data, size_t size);

// The chunk lengths of a blob that arrives in pieces. Keeps no bytes.
class Chunks {
 public:
  explicit Chunks(const Params& params) : params_(params) {}
  // Takes the next bytes and appends the lengths of the chunks that are complete.
  void push(const uint8_t* data, size_t size, std::vector<uint32_t>& lengths);
  // Ends the blob, appends what is left, and starts anew.
  void end(std::vector<uint32_t>& lengths);

 private:
  void finish_chunk(uint32_t length, std::vector<uint32_t>& lengths);
  void pair(uint8_t second, uint64_t mask, std::vector<uint32_t>& lengths);

  Params params_;
  uint64_t hash_ = 0;
  uint32_t position_ = 0;  // bytes of the open chunk taken in, those of `held_` not counted
  bool holding_ = false;   // an even-numbered byte that waits for its neighbour
  uint8_t held_ = 0;
};

}  // namespace tvix::chunk
