// BLAKE3: every implementation this CPU runs against a plain reading of the paper, in all the ways of giving it input.
#include "blake3/blake3.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <bit>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>

#include "common/file.h"

using namespace tvix;
using Bytes = std::vector<uint8_t>;

namespace {

// The paper's definition (section 2), one word at a time and recursively: shares nothing with native/blake3.
namespace slow {

using Words = std::array<uint32_t, 8>;
constexpr Words kIv = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};

Words compress(const Words& cv, const uint8_t* data, uint32_t length, uint64_t counter, uint32_t flags) {
  uint32_t m[16] = {}, v[16];
  for (uint32_t i = 0; i < length; i++) m[i / 4] |= uint32_t{data[i]} << (8 * (i % 4));
  for (int i = 0; i < 8; i++) v[i] = cv[i], v[8 + i] = kIv[i];
  v[12] = static_cast<uint32_t>(counter), v[13] = static_cast<uint32_t>(counter >> 32), v[14] = length, v[15] = flags;
  const auto g = [&](int a, int b, int c, int d, uint32_t x, uint32_t y) {
    v[a] += v[b] + x, v[d] = std::rotr(v[d] ^ v[a], 16), v[c] += v[d], v[b] = std::rotr(v[b] ^ v[c], 12);
    v[a] += v[b] + y, v[d] = std::rotr(v[d] ^ v[a], 8), v[c] += v[d], v[b] = std::rotr(v[b] ^ v[c], 7);
  };
  for (int round = 0; round < 7; round++) {
    g(0, 4, 8, 12, m[0], m[1]), g(1, 5, 9, 13, m[2], m[3]), g(2, 6, 10, 14, m[4], m[5]), g(3, 7, 11, 15, m[6], m[7]);
    g(0, 5, 10, 15, m[8], m[9]), g(1, 6, 11, 12, m[10], m[11]), g(2, 7, 8, 13, m[12], m[13]);
    g(3, 4, 9, 14, m[14], m[15]);
    uint32_t old[16];
    std::memcpy(old, m, sizeof m);
    const int from[16] = {2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8};
    for (int i = 0; i < 16; i++) m[i] = old[from[i]];
  }
  Words out;
  for (int i = 0; i < 8; i++) out[i] = v[i] ^ v[8 + i];
  return out;
}

blake3::Digest bytes(const Words& w) {
  blake3::Digest out;
  for (size_t i = 0; i < 32; i++) out[i] = static_cast<uint8_t>(w[i / 4] >> (8 * (i % 4)));
  return out;
}

Words node(const uint8_t* data, size_t size, uint64_t counter, uint32_t root) {
  if (size <= 1024) {
    Words cv = kIv;
    for (size_t at = 0;; at += 64) {
      const bool last = size - at <= 64;
      const uint32_t flags = (at == 0 ? 1 : 0) | (last ? 2 | root : 0);
      cv = compress(cv, data + at, static_cast<uint32_t>(last ? size - at : 64), counter, flags);
      if (last) return cv;
    }
  }
  size_t left = 1024;
  while (left * 2 < size) left *= 2;
  uint8_t pair[64];
  std::memcpy(pair, bytes(node(data, left, counter, 0)).data(), 32);
  std::memcpy(pair + 32, bytes(node(data + left, size - left, counter + left / 1024, 0)).data(), 32);
  return compress(kIv, pair, 64, 0, 4 | root);
}

blake3::Digest hash(const uint8_t* data, size_t size) { return bytes(node(data, size, 0, 8)); }

}  // namespace slow

Bytes pattern(size_t size) {
  Bytes out(size);
  for (size_t i = 0; i < size; i++) out[i] = static_cast<uint8_t>(i % 251);
  return out;
}

blake3::Digest one_shot(const uint8_t* data, size_t size) {
  blake3::Digest out;
  blake3::hash(data, size, out.data());
  return out;
}

blake3::Digest finish(const blake3::Hasher& hasher) {
  blake3::Digest out;
  hasher.finish(out.data());
  return out;
}

std::string hex(const blake3::Digest& digest) {
  std::string out;
  for (const uint8_t byte : digest) {
    char two[3];
    std::snprintf(two, sizeof two, "%02x", byte);
    out += two;
  }
  return out;
}

// Runs `body` once with each implementation in force.
template <class Body>
void with_each(const Body& body) {
  for (const std::string& name : blake3::implementations()) {
    CAPTURE(name);
    REQUIRE(blake3::force(name));
    REQUIRE(blake3::implementation() == name);
    body();
  }
  REQUIRE(blake3::force("auto"));
}

}  // namespace

TEST_CASE("blake3: published digests") {
  with_each([] {
    CHECK(hex(one_shot(nullptr, 0)) == "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262");
    const auto* abc = reinterpret_cast<const uint8_t*>("abc");
    CHECK(hex(one_shot(abc, 3)) == "6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85");
    const Bytes one{0};
    CHECK(hex(one_shot(one.data(), 1)) == "2d3adedff11b61f14c886e35afa036736dcd87a74d27b5c1510225d0f592e213");
  });
}

TEST_CASE("blake3: every length up to 8193, and larger ones") {
  const Bytes data = pattern(1 << 20);
  std::vector<size_t> lengths;
  for (size_t n = 0; n <= 8193; n++) lengths.push_back(n);
  for (size_t n : {16383, 16384, 16385, 31744, 102400, 131071, 131072, 131073, 262145, 1 << 20}) lengths.push_back(n);
  std::vector<blake3::Digest> expected;
  for (size_t n : lengths) expected.push_back(slow::hash(data.data(), n));
  with_each([&] {
    size_t wrong = 0;
    for (size_t i = 0; i < lengths.size(); i++) wrong += one_shot(data.data(), lengths[i]) != expected[i];
    CHECK(wrong == 0);
  });
}

TEST_CASE("blake3: pieces of any size, copies, and digests on the way") {
  const Bytes data = pattern(300000);
  std::mt19937 random(1);
  with_each([&] {
    for (int turn = 0; turn < 30; turn++) {
      blake3::Hasher hasher;
      const size_t largest = size_t{1} << (turn % 17 + 1);
      for (size_t at = 0; at < data.size();) {
        const size_t size = std::min<size_t>(random() % (largest + 1), data.size() - at);
        hasher.update(data.data() + at, size);
        at += size;
        if (random() % 65536 >= largest) continue;
        CHECK(finish(hasher) == one_shot(data.data(), at));
        blake3::Hasher copy = hasher;
        copy.update(data.data(), 5000);
        hasher = blake3::Hasher(hasher);
      }
      CHECK(finish(hasher) == one_shot(data.data(), data.size()));
      hasher.reset();
      hasher.update(data.data(), 3);
      CHECK(finish(hasher) == one_shot(data.data(), 3));
    }
  });
}

TEST_CASE("blake3: several threads") {
  const Bytes data = pattern(5 << 20);
  const size_t piece = blake3::kPieceSize;
  for (size_t size :
       {size_t{0}, piece, 2 * piece, 2 * piece + 1, 3 * piece - 1, 4 * piece, 7 * piece + 12345, data.size()}) {
    const blake3::Digest expected = slow::hash(data.data(), size);
    for (unsigned threads : {0, 1, 2, 3, 8}) {
      blake3::Digest got;
      blake3::hash_parallel(data.data(), size, threads, got.data());
      CHECK(got == expected);
      blake3::Hasher hasher;
      const size_t first = std::min<size_t>(size, 100000);
      hasher.update(data.data(), first);
      hasher.update_parallel(data.data() + first, size - first, threads);
      CHECK(finish(hasher) == expected);
    }
  }
}

TEST_CASE("blake3: batches of blobs") {
  const Bytes data = pattern(1 << 20);
  std::mt19937 random(2);
  with_each([&] {
    for (size_t largest : {1, 64, 100, 1024, 3000, 20000, 100000}) {
      std::vector<blake3::Blob> blobs;
      for (int i = 0; i < 200; i++) blobs.push_back({data.data() + random() % 900000, random() % (largest + 1)});
      std::vector<blake3::Digest> got(blobs.size());
      blake3::hash_blobs(blobs.data(), blobs.size(), got.data());
      size_t wrong = 0;
      for (size_t i = 0; i < blobs.size(); i++) wrong += got[i] != one_shot(blobs[i].data, blobs[i].size);
      CHECK(wrong == 0);
    }
    blake3::hash_blobs(nullptr, 0, nullptr);
  });
}

TEST_CASE("blake3: chunk counters that carry into their high word") {
  const Bytes data = pattern(64 * 1024);
  with_each([&] {
    for (uint64_t counter : {uint64_t{0xfffffff0}, uint64_t{0x100000000}, uint64_t{1} << 53}) {
      blake3::Digest got;
      blake3::subtree(data.data(), 32, counter, got.data());
      CHECK(got == slow::bytes(slow::node(data.data(), 32 * 1024, counter, 0)));
    }
    // Sixteen chunks across the boundary: a vector whose lanes differ in the high word.
    blake3::Digest got;
    blake3::subtree(data.data(), 16, 0xfffffff8, got.data());
    CHECK(got == slow::bytes(slow::node(data.data(), 16 * 1024, 0xfffffff8, 0)));
  });
}

TEST_CASE("blake3: a blob put together from the chaining values of its groups") {
  const Bytes data = pattern(10 * blake3::kGroupSize + 17);
  blake3::Hasher hasher;
  for (uint64_t group = 0; group < 10; group++) {
    uint8_t cv[32];
    blake3::subtree(data.data() + group * blake3::kGroupSize, 16, group * 16, cv);
    hasher.push_subtree(cv, 16);
  }
  hasher.update(data.data() + 10 * blake3::kGroupSize, 17);
  CHECK(finish(hasher) == slow::hash(data.data(), data.size()));
}

TEST_CASE("blake3: implementations by name") {
  const std::vector<std::string> names = blake3::implementations();
  CHECK(names.back() == "portable");
  CHECK_FALSE(blake3::force("no such"));
  CHECK_FALSE(blake3::force(""));
  CHECK(blake3::force("portable"));
  CHECK_FALSE(blake3::force("no such"));
  CHECK(blake3::implementation() == "portable");
  CHECK(blake3::force("auto"));
  CHECK(blake3::implementation() == names.front());
}

TEST_CASE("blake3: files") {
  char directory[] = "/tmp/blake3_test_XXXXXX";
  REQUIRE(mkdtemp(directory) != nullptr);
  const std::string path = std::string(directory) + "/file";
  const Bytes data = pattern(3 * blake3::kPieceSize + 99);
  for (size_t size : {size_t{0}, size_t{1}, size_t{5000}, blake3::kPieceSize, 2 * blake3::kPieceSize,
                      3 * blake3::kPieceSize, data.size()}) {
    std::FILE* file = std::fopen(path.c_str(), "wb");
    REQUIRE(file != nullptr);
    REQUIRE(std::fwrite(data.data(), 1, size, file) == size);
    REQUIRE(std::fclose(file) == 0);
    for (unsigned threads : {0, 1, 2, 5}) {
      const blake3::FileResult result = blake3::hash_file(path.c_str(), threads);
      CHECK(result.error == 0);
      CHECK(result.size == size);
      CHECK(result.digest == one_shot(data.data(), size));
    }
  }
  CHECK(blake3::hash_file((path + "-missing").c_str(), 1).error == ENOENT);
  CHECK(blake3::hash_file(directory, 1).error == File::kNotRegular);
  const std::string pipe = path + "-pipe";
  REQUIRE(mkfifo(pipe.c_str(), 0600) == 0);
  CHECK(blake3::hash_file(pipe.c_str(), 2).error == File::kNotRegular);
  unlink(pipe.c_str());
  unlink(path.c_str());
  rmdir(directory);
}

TEST_CASE("a file that changes while it is read is refused") {
  char path[] = "/tmp/blake3_test_XXXXXX";
  const int fd = mkstemp(path);
  REQUIRE(fd >= 0);
  REQUIRE(write(fd, "before", 6) == 6);
  const auto read = [&](const char* meanwhile) {
    File file;
    REQUIRE(file.open(path) == 0);
    uint8_t buffer[4];
    uint64_t total;
    bool first = true;
    return file.read_all(buffer, sizeof buffer, total, [&](const uint8_t*, size_t) {
      if (first) REQUIRE(write(fd, meanwhile, std::strlen(meanwhile)) == static_cast<ssize_t>(std::strlen(meanwhile)));
      first = false;
    });
  };
  CHECK(read("") == 0);
  CHECK(read("more") == File::kChanged);
  const auto cut = [&] {
    File file;
    REQUIRE(file.open(path) == 0);
    REQUIRE(ftruncate(fd, 2) == 0);
    uint8_t buffer[64];
    uint64_t total;
    return file.read_all(buffer, sizeof buffer, total, [](const uint8_t*, size_t) {});
  };
  CHECK(cut() == File::kChanged);
  close(fd);
  unlink(path);
}
