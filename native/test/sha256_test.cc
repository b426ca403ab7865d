// SHA-256: the standard's examples, and every implementation against the portable one at every split.
#include "sha256/sha256.h"

#include <doctest/doctest.h>

#include <cstdio>
#include <cstring>
#include <random>

using namespace tvix;
using Bytes = std::vector<uint8_t>;

namespace {

std::string hex_of(const uint8_t* data, size_t size) {
  uint8_t digest[32];
  sha256::hash(data, size, digest);
  std::string out;
  for (const uint8_t byte : digest) {
    char two[3];
    std::snprintf(two, sizeof two, "%02x", byte);
    out += two;
  }
  return out;
}

std::string hex_of(const char* text) { return hex_of(reinterpret_cast<const uint8_t*>(text), std::strlen(text)); }

template <class Body>
void with_each(const Body& body) {
  for (const std::string& name : sha256::implementations()) {
    CAPTURE(name);
    REQUIRE(sha256::force(name));
    REQUIRE(sha256::implementation() == name);
    body();
  }
  REQUIRE(sha256::force("auto"));
}

}  // namespace

TEST_CASE("sha256: the standard's examples") {
  with_each([] {
    CHECK(hex_of("") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    CHECK(hex_of("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    CHECK(hex_of("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq") ==
          "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
    const Bytes million(1000000, 'a');
    CHECK(hex_of(million.data(), million.size()) == "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
  });
}

TEST_CASE("sha256: every length, in pieces of any size, with digests on the way") {
  Bytes data(20000);
  for (size_t i = 0; i < data.size(); i++) data[i] = static_cast<uint8_t>(i % 251);
  REQUIRE(sha256::force("portable"));
  std::vector<std::string> expected;
  for (size_t n = 0; n <= 1100; n++) expected.push_back(hex_of(data.data(), n));
  const std::string whole = hex_of(data.data(), data.size());
  std::mt19937 random(3);
  with_each([&] {
    size_t wrong = 0;
    for (size_t n = 0; n < expected.size(); n++) wrong += hex_of(data.data(), n) != expected[n];
    CHECK(wrong == 0);
    for (int turn = 0; turn < 50; turn++) {
      sha256::Hasher hasher;
      const size_t largest = size_t{1} << (turn % 12);
      for (size_t at = 0; at < data.size();) {
        const size_t size = std::min<size_t>(random() % (largest + 1), data.size() - at);
        hasher.update(data.data() + at, size);
        at += size;
      }
      sha256::Digest got, again, direct;
      hasher.finish(got.data());
      hasher.finish(again.data());
      sha256::hash(data.data(), data.size(), direct.data());
      CHECK(got == direct);
      CHECK(got == again);
    }
    CHECK(hex_of(data.data(), data.size()) == whole);
  });
}

TEST_CASE("sha256: implementations by name") {
  CHECK(sha256::implementations().back() == "portable");
  CHECK_FALSE(sha256::force("no such"));
  CHECK(sha256::force("auto"));
  CHECK(sha256::implementation() == sha256::implementations().front());
}
