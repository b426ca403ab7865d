// Tests of native/chunk: the gear table, and cutting in pieces against cutting at once.
#include <doctest/doctest.h>

#include <random>

#include "chunk/fastcdc.h"
#include "chunk/gear.h"
#include "sha256/sha256.h"

using namespace tvix::chunk;

namespace {

// The definition, straight from the format's description: one byte at a time, no look-ahead tricks.
std::vector<uint32_t> by_definition(const Params& params, const std::vector<uint8_t>& data) {
  std::vector<uint32_t> lengths;
  for (size_t start = 0; start < data.size();) {
    size_t left = data.size() - start;
    size_t length = left;
    if (left > params.min) {
      size_t n = left > params.max ? params.max : left;
      size_t centre = n < params.average ? n : params.average;
      length = n;
      uint64_t h = 0;
      for (size_t i = params.min; i < n / 2 * 2; i++) {
        h = 2 * h + kGear[data[start + i]];
        if ((h & (i < centre / 2 * 2 ? params.strict_mask : params.loose_mask)) == 0) {
          length = i;
          break;
        }
      }
    }
    lengths.push_back(static_cast<uint32_t>(length));
    start += length;
  }
  return lengths;
}

std::vector<uint32_t> at_once(const Params& params, const std::vector<uint8_t>& data) {
  std::vector<uint32_t> lengths;
  for (size_t at = 0; at < data.size();) {
    lengths.push_back(static_cast<uint32_t>(cut(params, data.data() + at, data.size() - at)));
    at += lengths.back();
  }
  return lengths;
}

std::vector<uint32_t> in_pieces(const Params& params, const std::vector<uint8_t>& data, std::mt19937& random) {
  Chunks chunks(params);
  std::vector<uint32_t> lengths;
  for (size_t at = 0; at < data.size();) {
    size_t step = std::min<size_t>(data.size() - at, random() % (random() % 3 == 0 ? 4 : 3000));
    chunks.push(data.data() + at, step, lengths);
    at += step;
  }
  chunks.end(lengths);
  return lengths;
}

}  // namespace

TEST_CASE("the gear table is the published one") {
  tvix::sha256::Hasher hasher;
  for (uint64_t word : kGear) {
    std::array<uint8_t, 8> bytes;
    for (int i = 0; i < 8; i++) bytes[i] = static_cast<uint8_t>(word >> (56 - 8 * i));
    hasher.update(bytes.data(), bytes.size());
  }
  std::array<uint8_t, 32> digest;
  hasher.finish(digest.data());
  const std::array<uint8_t, 32> expected = {0x9d, 0xf0, 0xa7, 0x20, 0x75, 0x2a, 0x7d, 0x21, 0x1f, 0xde, 0xba,
                                            0xf3, 0x9b, 0xed, 0x01, 0x61, 0x09, 0x83, 0x75, 0x6f, 0xc3, 0x40,
                                            0xa1, 0xcf, 0xef, 0x41, 0x05, 0x2b, 0x73, 0x56, 0xae, 0x73};
  CHECK(digest == expected);
}

TEST_CASE("chunk: at once and in pieces as defined") {
  std::mt19937 random(1);
  for (int round = 0; round < 300; round++) {
    Params params(round % 3 == 0 ? 1024 : round % 3 == 1 ? 1028 : 4096);
    std::vector<uint8_t> data(random() % 40000);
    // few distinct values make cuts at every kind of position more likely
    uint32_t values = round % 2 == 0 ? 256 : 3;
    for (auto& byte : data) byte = static_cast<uint8_t>(random() % values);
    auto expected = by_definition(params, data);
    CHECK(at_once(params, data) == expected);
    CHECK(in_pieces(params, data, random) == expected);
  }
}

TEST_CASE("chunk: a blob without cuts ends at the maximum") {
  Params params(1024);
  std::vector<uint8_t> zeros(5000);
  CHECK(at_once(params, zeros) == std::vector<uint32_t>{2048, 2048, 904});
}
