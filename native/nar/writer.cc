// NAR framing: the fixed sequences of strings, and the events that put them together.
#include "nar/writer.h"

#include <array>
#include <cstring>

namespace tvix::nar {

namespace {

// Several strings of the format joined at compile time: the fixed sequences between variable parts.
template <size_t N>
struct Words {
  std::array<char, N> bytes{};
};

constexpr size_t padded(size_t size) { return (size + 7) & ~size_t{7}; }

template <size_t... Sizes>
constexpr auto words(const char (&... texts)[Sizes]) {
  Words<((8 + padded(Sizes - 1)) + ...)> out;
  size_t at = 0;
  auto put = [&](const char* text, size_t size) {
    out.bytes[at] = static_cast<char>(size);
    for (size_t i = 0; i < size; i++) out.bytes[at + 8 + i] = text[i];
    at += 8 + padded(size);
  };
  (put(texts, Sizes - 1), ...);
  return out;
}

constexpr auto kArchive = words("nix-archive-1");
constexpr auto kDirectory = words("(", "type", "directory");
constexpr auto kEntry = words("entry", "(", "name");
constexpr auto kNode = words("node");
constexpr auto kSymlink = words("(", "type", "symlink", "target");
constexpr auto kRegular = words("(", "type", "regular", "contents");
constexpr auto kExecutable = words("(", "type", "regular", "executable", "", "contents");
constexpr auto kClose = words(")");

}  // namespace

void Writer::raw(const void* data, size_t size) {
  const auto* bytes = static_cast<const uint8_t*>(data);
  out_->insert(out_->end(), bytes, bytes + size);
}

void Writer::string(std::string_view text) {
  uint8_t length[8] = {};
  for (size_t i = 0; i < 8; i++) length[i] = static_cast<uint8_t>(static_cast<uint64_t>(text.size()) >> (8 * i));
  raw(length, 8);
  raw(text.data(), text.size());
  out_->resize(out_->size() + padded(text.size()) - text.size());
}

void Writer::begin_node() {
  if (started_) return;
  started_ = true;
  raw(kArchive.bytes.data(), kArchive.bytes.size());
}

// Closes the node, and the entry it was the node of.
void Writer::end_node() {
  raw(kClose.bytes.data(), kClose.bytes.size());
  if (depth_ > 0) raw(kClose.bytes.data(), kClose.bytes.size());
}

void Writer::begin_directory() {
  begin_node();
  raw(kDirectory.bytes.data(), kDirectory.bytes.size());
  depth_++;
}

void Writer::entry(std::string_view name) {
  raw(kEntry.bytes.data(), kEntry.bytes.size());
  string(name);
  raw(kNode.bytes.data(), kNode.bytes.size());
}

void Writer::end_directory() {
  depth_--;
  end_node();
}

void Writer::symlink(std::string_view target) {
  begin_node();
  raw(kSymlink.bytes.data(), kSymlink.bytes.size());
  string(target);
  end_node();
}

void Writer::begin_file(bool executable, uint64_t size) {
  begin_node();
  if (executable) {
    raw(kExecutable.bytes.data(), kExecutable.bytes.size());
  } else {
    raw(kRegular.bytes.data(), kRegular.bytes.size());
  }
  uint8_t length[8];
  for (size_t i = 0; i < 8; i++) length[i] = static_cast<uint8_t>(size >> (8 * i));
  raw(length, 8);
  size_ = size;
}

void Writer::end_file() {
  out_->resize(out_->size() + (8 - size_ % 8) % 8);
  end_node();
}

}  // namespace tvix::nar
