// The failure of an operation on hostile input or the outside world: a stable code, a sentence, and advice.
#pragma once

#include <cerrno>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace tvix {

// No failure is an empty code. `code` points to a literal such as "ERR_NAR_BAD_PADDING"; docs/errors.md lists them.
struct [[nodiscard]] Failure {
  const char* code = nullptr;
  std::string message;
  std::vector<std::string> notes;

  Failure() = default;
  Failure(const char* code, std::string message) : code(code), message(std::move(message)) {}
  Failure(const char* code, std::string message, std::string note) : code(code), message(std::move(message)) {
    notes.push_back(std::move(note));
  }
  explicit operator bool() const { return code != nullptr; }
};

// A path or name for a message: bytes outside printable ASCII that are not UTF-8 text are shown as \xNN.
std::string quoted(std::string_view bytes);

// The system's words for an errno.
std::string errno_text(int error);

// Lower-case hexadecimal.
std::string hex(const uint8_t* bytes, size_t size);

// A BLAKE3 digest as all messages write it: "b3:" and padded base64.
std::string digest_text(const uint8_t digest[32]);

}  // namespace tvix
