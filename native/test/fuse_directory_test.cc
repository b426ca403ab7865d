// Tests of native/fuse: decoding directories, and that nothing but the canonical form gets through.
#include <doctest/doctest.h>

#include "fuse/directory.h"

using namespace tvix::fuse;

namespace {

using Bytes = std::vector<uint8_t>;

void field(Bytes& out, uint8_t number, const Bytes& value) {
  out.push_back(static_cast<uint8_t>(number << 3 | 2));
  if (value.size() >= 128) out.push_back(static_cast<uint8_t>(value.size() & 127) | 128);
  out.push_back(static_cast<uint8_t>(value.size() >= 128 ? value.size() >> 7 : value.size()));
  out.insert(out.end(), value.begin(), value.end());
}

Bytes text(std::string_view value) { return Bytes(value.begin(), value.end()); }

// A file or directory; `tail` is what follows the digest.
Bytes node(std::string_view name, const Bytes& tail = {}, uint8_t fill = 7) {
  Bytes out;
  field(out, 1, text(name));
  field(out, 2, Bytes(32, fill));
  out.insert(out.end(), tail.begin(), tail.end());
  return out;
}

Bytes link_to(std::string_view name, std::string_view target) {
  Bytes out;
  field(out, 1, text(name));
  field(out, 2, text(target));
  return out;
}

Bytes directory(const std::vector<std::pair<uint8_t, Bytes>>& entries) {
  Bytes out;
  for (const auto& [kind, bytes] : entries) field(out, kind, bytes);
  return out;
}

std::string refusal(const Bytes& bytes) {
  std::string problem;
  return Listing::decode(bytes, problem) ? "accepted" : problem;
}

}  // namespace

TEST_CASE("fuse: a directory's entries come out sorted by name, with all they have") {
  std::string problem;
  const auto listing = Listing::decode(directory({{1, node("m", {3 << 3, 5})},
                                                  {2, node("a", {3 << 3, 0xac, 2, 4 << 3, 1}, 9)},
                                                  {2, node("z")},
                                                  {3, link_to("k", "../x")}}),
                                       problem);
  REQUIRE(listing);
  std::string names;
  for (const auto& entry : listing->entries()) names += listing->name(entry);
  CHECK(names == "akmz");
  const auto* file = listing->find("a");
  REQUIRE(file);
  CHECK(file->kind == Kind::kFile);
  CHECK(file->executable);
  CHECK(file->size == 300);
  CHECK(listing->digest(*file)[31] == 9);
  CHECK(listing->find("m")->size == 5);
  CHECK_FALSE(listing->find("z")->executable);
  CHECK(listing->target(*listing->find("k")) == "../x");
  CHECK(listing->find("b") == nullptr);
  CHECK(listing->find("") == nullptr);
}

TEST_CASE("fuse: no bytes are the empty directory") {
  std::string problem;
  const auto listing = Listing::decode({}, problem);
  REQUIRE(listing);
  CHECK(listing->entries().empty());
}

TEST_CASE("fuse: what is not a canonical directory is refused") {
  CHECK(refusal(directory({{2, node("b")}, {2, node("a")}})) == "entries are not sorted");
  CHECK(refusal(directory({{2, node("a")}, {2, node("a")}})) == "two entries have one name");
  CHECK(refusal(directory({{1, node("a")}, {3, link_to("a", "t")}})) == "two entries have one name");
  CHECK(refusal(directory({{2, node("a")}, {1, node("b")}})) == "an unknown or misplaced field");
  CHECK(refusal(directory({{4, node("a")}})) == "an unknown or misplaced field");
  CHECK(refusal(directory({{2, node("..")}})) == "a name cannot be one");
  CHECK(refusal(directory({{2, node(".")}})) == "a name cannot be one");
  CHECK(refusal(directory({{2, node("a/b")}})) == "a name cannot be one");
  CHECK(refusal(directory({{2, node(std::string_view("a\0b", 3))}})) == "a name cannot be one");
  CHECK(refusal(directory({{2, node("")}})) == "a field is present but empty");
  CHECK(refusal(directory({{2, node("a", {3 << 3, 0})}})) == "a field is present but zero");
  CHECK(refusal(directory({{2, node("a", {3 << 3, 0x80, 0})}})) == "a number is not in its shortest form");
  CHECK(refusal(directory({{2, node("a", {4 << 3, 2})}})) == "a boolean is neither 0 nor 1");
  CHECK(refusal(directory({{1, node("a", {4 << 3, 1})}})) == "an unknown, repeated or misplaced field");
  CHECK(refusal(directory({{2, node("a", {5 << 3, 1})}})) == "an unknown, repeated or misplaced field");
  CHECK(refusal(directory({{3, link_to("a", std::string_view("x\0", 2))}})) ==
        "a symlink's target contains a NUL byte");
  CHECK(refusal({0x12}) == "a number ends too early");
  CHECK(refusal({0x12, 0x05, 0x0a}) == "a field is longer than what holds it");
  CHECK(refusal({0x12, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}) == "a number is greater than 2^53-1");
}

TEST_CASE("fuse: every prefix and every changed byte of a directory is accepted or refused, never read beyond") {
  const Bytes whole =
      directory({{1, node("dir", {3 << 3, 5})}, {2, node("file", {4 << 3, 1})}, {3, link_to("l", "t")}});
  size_t accepted = 0;
  auto check = [&](const Bytes& bytes) {
    std::string problem;
    // A copy of the exact size lets a sanitizer see any read past the end.
    const auto listing = Listing::decode(Bytes(bytes), problem);
    REQUIRE((listing != nullptr) == problem.empty());
    if (!listing) return;
    accepted++;
    for (const auto& entry : listing->entries()) {
      REQUIRE(listing->find(listing->name(entry)) == &entry);
      (void)listing->digest(entry);
    }
  };
  for (size_t size = 0; size <= whole.size(); size++) check(Bytes(whole.begin(), whole.begin() + size));
  for (size_t at = 0; at < whole.size(); at++) {
    for (int value = 0; value < 256; value++) {
      Bytes changed = whole;
      changed[at] = static_cast<uint8_t>(value);
      check(changed);
    }
  }
  CHECK(accepted > 100);
}
