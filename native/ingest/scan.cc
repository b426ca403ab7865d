// Reference scanning: see scan.h.
#include "ingest/scan.h"

#include <algorithm>
#include <cstring>

namespace tvix::ingest {

namespace {

constexpr std::array<uint8_t, 256> kAlphabet = [] {
  std::array<uint8_t, 256> member{};
  for (char c : std::string_view("0123456789abcdfghijklmnpqrsvwxyz")) member[static_cast<uint8_t>(c)] = 1;
  return member;
}();

}  // namespace

size_t Scanner::Hash::operator()(const std::array<uint8_t, kLength>& text) const {
  uint64_t words[4];
  std::memcpy(words, text.data(), sizeof words);
  return static_cast<size_t>((words[0] ^ words[1] * 3 ^ words[2] * 5 ^ words[3] * 7) * 0x9e3779b97f4a7c15u);
}

Scanner::Scanner(std::string_view needles) : found_(needles.size() / kLength), left_(found_.size()) {
  for (uint32_t i = 0; i < found_.size(); i++) {
    std::array<uint8_t, kLength> text;
    std::memcpy(text.data(), needles.data() + i * kLength, kLength);
    needles_[text].push_back(i);
  }
}

void Scanner::search(const uint8_t* data, size_t size) {
  std::array<uint8_t, kLength> window;
  for (size_t at = 0; at + kLength <= size;) {
    size_t back = kLength;
    while (back > 0 && kAlphabet[data[at + back - 1]]) back--;
    if (back > 0) {
      at += back;
      continue;
    }
    // A whole window of the alphabet. Such windows come in runs (text, tables): go on one by one.
    for (;;) {
      std::memcpy(window.data(), data + at, kLength);
      if (auto hit = needles_.find(window); hit != needles_.end()) {
        for (uint32_t index : hit->second) {
          left_ -= found_[index] == 0;
          found_[index] = 1;
        }
      }
      at++;
      if (at + kLength > size || !kAlphabet[data[at + kLength - 1]]) break;
    }
  }
}

void Scanner::push(const uint8_t* data, size_t size) {
  if (left_ == 0) return;
  // Windows that start in the tail: the tail and up to 31 bytes of this piece.
  const size_t old = tail_.size();
  tail_.insert(tail_.end(), data, data + std::min(size, kLength - 1));
  search(tail_.data(), tail_.size());
  if (size >= kLength - 1) {
    search(data, size);
    tail_.assign(data + size - (kLength - 1), data + size);
  } else if (old + size > kLength - 1) {
    tail_.erase(tail_.begin(), tail_.end() - (kLength - 1));
  }
}

}  // namespace tvix::ingest
