// Writing NAR framing: events in, the bytes between the files' contents out.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace tvix::nar {

// Appends the framing of one event after the other to a vector, which the caller drains as it likes; a file's contents
// belong between begin_file and end_file. Format: formats of Nix, "nix-archive-1" (strings of u64 length, bytes, zeros
// to a multiple of 8).
class Writer {
 public:
  explicit Writer(std::vector<uint8_t>& out) : out_(&out) {}
  void begin_directory();
  void entry(std::string_view name);
  void end_directory();
  void symlink(std::string_view target);
  void begin_file(bool executable, uint64_t size);
  void end_file();

 private:
  void string(std::string_view text);
  void begin_node();
  void end_node();
  void raw(const void* data, size_t size);

  std::vector<uint8_t>* out_;
  bool started_ = false;
  size_t depth_ = 0;
  uint64_t size_ = 0;  // of the open file
};

}  // namespace tvix::nar
