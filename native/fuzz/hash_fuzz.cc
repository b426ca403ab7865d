// BLAKE3 and SHA-256: all implementations give the same digest, however the input is cut.
//
// The fuzzer's bytes are a script: two for the input's length, one each for where the input starts and how it is
// filled, then the lengths of the pieces. Inputs are made long by repetition, because the interesting lengths (vectors
// of chunks, groups, subtrees) are far beyond what a fuzzer grows by itself.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "blake3/blake3.h"
#include "sha256/sha256.h"

using namespace tvix;

namespace {

struct Script {
  const uint8_t* at;
  const uint8_t* end;
  bool done() const { return at == end; }
  uint8_t byte() { return done() ? 0 : *at++; }
  // Skewed towards small numbers, but reaching 2^16 × 5.
  size_t length() {
    const size_t low = byte();
    const size_t high = byte();
    return (low | (high & 15) << 8) << (high >> 4) % 7;
  }
};

void require(bool condition, const char* what) {
  if (condition) return;
  std::fprintf(stderr, "differs: %s\n", what);
  std::abort();
}

void check_blake3(const std::vector<uint8_t>& store, size_t offset, size_t size, Script script) {
  // Exactly as large as the input, so that a read beyond its end is seen.
  const std::vector<uint8_t> input(store.begin() + offset, store.begin() + offset + size);
  blake3::Digest expected;
  blake3::force("portable");
  blake3::hash(input.data(), size, expected.data());
  const unsigned threads = 1 + script.byte() % 3;
  for (const std::string& name : blake3::implementations()) {
    blake3::force(name);
    blake3::Digest got;
    blake3::hash_parallel(input.data(), size, threads, got.data());
    require(got == expected, "BLAKE3 at once");
    blake3::Hasher hasher;
    std::vector<blake3::Blob> blobs;
    Script pieces = script;
    for (size_t at = 0; at < size;) {
      const size_t piece = pieces.done() ? size - at : std::min(pieces.length(), size - at);
      hasher.update(input.data() + at, piece);
      if (blobs.size() < 100) blobs.push_back({input.data() + at, piece});
      at += piece;
      if (piece % 16 == 7) hasher = blake3::Hasher(hasher);
      if (piece % 16 == 9) hasher.finish(got.data());
    }
    hasher.finish(got.data());
    require(got == expected, "BLAKE3 in pieces");
    std::vector<blake3::Digest> batch(blobs.size());
    blake3::hash_blobs(blobs.data(), blobs.size(), batch.data());
    for (size_t i = 0; i < blobs.size(); i++) {
      blake3::hash(blobs[i].data, blobs[i].size, got.data());
      require(got == batch[i], "BLAKE3 of a batch");
    }
  }
}

void check_sha256(const std::vector<uint8_t>& store, size_t offset, size_t size, Script script) {
  const std::vector<uint8_t> input(store.begin() + offset, store.begin() + offset + size);
  sha256::Digest expected;
  sha256::force("portable");
  sha256::hash(input.data(), size, expected.data());
  for (const std::string& name : sha256::implementations()) {
    sha256::force(name);
    sha256::Hasher hasher;
    Script pieces = script;
    for (size_t at = 0; at < size;) {
      const size_t piece = pieces.done() ? size - at : std::min<size_t>(pieces.byte(), size - at);
      hasher.update(input.data() + at, piece);
      at += piece;
    }
    sha256::Digest got;
    hasher.finish(got.data());
    require(got == expected, "SHA-256 in pieces");
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  Script script{data, data + size};
  const size_t length = script.length();
  const size_t offset = script.byte() % 64;
  const uint8_t seed = script.byte();
  std::vector<uint8_t> store(offset + length);
  for (size_t i = 0; i < store.size(); i++) store[i] = static_cast<uint8_t>((i * (seed | 1)) >> (seed % 7));
  for (size_t i = 0; size > 0 && i < store.size(); i += 97) store[i] ^= data[i / 97 % size];
  check_blake3(store, offset, length, script);
  check_sha256(store, offset, std::min<size_t>(length, 4096), script);
  return 0;
}
