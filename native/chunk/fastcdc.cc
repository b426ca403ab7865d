// FastCDC: the scan for a cut point, over a whole chunk and over pieces.
#include "chunk/fastcdc.h"

#include <algorithm>
#include <cmath>

#include "chunk/gear.h"

namespace tvix::chunk {

namespace {

// Index = number of bits set; the spread of the bits is the format's.
constexpr uint64_t kMasks[26] = {0,
                                 0,
                                 0,
                                 0,
                                 0,
                                 0x0000000001804110,
                                 0x0000000001803110,
                                 0x0000000018035100,
                                 0x0000001800035300,
                                 0x0000019000353000,
                                 0x0000590003530000,
                                 0x0000d90003530000,
                                 0x0000d90103530000,
                                 0x0000d90303530000,
                                 0x0000d90313530000,
                                 0x0000d90f03530000,
                                 0x0000d90303537000,
                                 0x0000d90703537000,
                                 0x0000d90707537000,
                                 0x0000d91707537000,
                                 0x0000d91747537000,
                                 0x0000d91767537000,
                                 0x0000d93767537000,
                                 0x0000d93777537000,
                                 0x0000d93777577000,
                                 0x0000db3777577000};

// Scans the bytes from..to (whole pairs), both counted from the chunk's start; returns where it cut, or `to`.
// Eight bytes a turn: one load instead of eight, and one branch on the sum of the tests.
size_t scan(const uint8_t* data, size_t from, size_t to, uint64_t mask, uint64_t& hash) {
  uint64_t h = hash;
  size_t i = from;
  for (; i + 8 <= to; i += 8) {
    uint64_t h0 = (h << 1) + kGear[data[i]];
    uint64_t h1 = (h0 << 1) + kGear[data[i + 1]];
    uint64_t h2 = (h1 << 1) + kGear[data[i + 2]];
    uint64_t h3 = (h2 << 1) + kGear[data[i + 3]];
    uint64_t h4 = (h3 << 1) + kGear[data[i + 4]];
    uint64_t h5 = (h4 << 1) + kGear[data[i + 5]];
    uint64_t h6 = (h5 << 1) + kGear[data[i + 6]];
    uint64_t h7 = (h6 << 1) + kGear[data[i + 7]];
    if (!(h0 & mask)) return i;
    if (!(h1 & mask)) return i + 1;
    if (!(h2 & mask)) return i + 2;
    if (!(h3 & mask)) return i + 3;
    if (!(h4 & mask)) return i + 4;
    if (!(h5 & mask)) return i + 5;
    if (!(h6 & mask)) return i + 6;
    if (!(h7 & mask)) return i + 7;
    h = h7;
  }
  for (; i < to; i++) {
    h = (h << 1) + kGear[data[i]];
    if (!(h & mask)) return i;
  }
  hash = h;
  return to;
}

constexpr size_t even(size_t n) { return n & ~size_t{1}; }

}  // namespace

Params::Params(uint32_t average) : min(average / 2), average(average), max(average * 2) {
  int bits = static_cast<int>(std::lround(std::log2(average)));
  strict_mask = kMasks[bits + 1];
  loose_mask = kMasks[bits - 1];
}

size_t cut(const Params& params, const uint8_t* data, size_t size) {
  if (size <= params.min) return size;
  size = std::min<size_t>(size, params.max);
  const size_t end = even(size);
  const size_t centre = std::min<size_t>(end, params.average);
  uint64_t hash = 0;
  size_t at = scan(data, params.min, centre, params.strict_mask, hash);
  if (at < centre) return at;
  at = scan(data, centre, end, params.loose_mask, hash);
  return at < end ? at : size;
}

void Chunks::finish_chunk(uint32_t length, std::vector<uint32_t>& lengths) {
  lengths.push_back(length);
  hash_ = 0;
  position_ = 0;
}

// Hashes the held byte and its neighbour; what stands behind a cut is below the next chunk's minimum and only counted.
void Chunks::pair(uint8_t second, uint64_t mask, std::vector<uint32_t>& lengths) {
  holding_ = false;
  for (uint32_t i = 0; i < 2; i++) {
    hash_ = (hash_ << 1) + kGear[i == 0 ? held_ : second];
    if (hash_ & mask) continue;
    finish_chunk(position_ + i, lengths);
    position_ = 2 - i;
    return;
  }
  position_ += 2;
}

void Chunks::push(const uint8_t* data, size_t size, std::vector<uint32_t>& lengths) {
  for (size_t at = 0; at < size;) {
    if (position_ < params_.min) {
      size_t step = std::min<size_t>(size - at, params_.min - position_);
      position_ += static_cast<uint32_t>(step);
      at += step;
      continue;
    }
    const bool before = position_ < params_.average;
    const uint64_t mask = before ? params_.strict_mask : params_.loose_mask;
    const size_t room = (before ? params_.average : params_.max) - position_;
    const size_t pairs = even(std::min(size - at, room));
    if (holding_) {
      pair(data[at++], mask, lengths);
    } else if (pairs == 0) {
      holding_ = true;
      held_ = data[at++];
    } else {
      size_t found = scan(data + at, 0, pairs, mask, hash_);
      at += found;
      position_ += static_cast<uint32_t>(found);
      if (found < pairs) finish_chunk(position_, lengths);
    }
    if (position_ == params_.max) finish_chunk(params_.max, lengths);
  }
}

void Chunks::end(std::vector<uint32_t>& lengths) {
  uint32_t left = position_ + (holding_ ? 1 : 0);
  if (left > 0) lengths.push_back(left);
  holding_ = false;
  hash_ = 0;
  position_ = 0;
}

}  // namespace tvix::chunk
