// Text of failures: names made safe to show, errno in words.
#include "common/failure.h"

#include <cstdint>
#include <cstdio>

namespace tvix {

namespace {

// Length of the valid UTF-8 sequence at `at`, 0 when there is none.
size_t utf8_length(std::string_view text, size_t at) {
  auto byte = [&](size_t i) { return at + i < text.size() ? static_cast<uint8_t>(text[at + i]) : 0; };
  auto tail = [&](size_t i) { return (byte(i) & 0xc0) == 0x80; };
  uint8_t lead = byte(0);
  if (lead < 0x80) return 1;
  if (lead >= 0xc2 && lead <= 0xdf) return tail(1) ? 2 : 0;
  if (lead >= 0xe0 && lead <= 0xef) {
    bool overlong = lead == 0xe0 && byte(1) < 0xa0;
    bool surrogate = lead == 0xed && byte(1) > 0x9f;
    return tail(1) && tail(2) && !overlong && !surrogate ? 3 : 0;
  }
  if (lead >= 0xf0 && lead <= 0xf4) {
    bool outside = (lead == 0xf0 && byte(1) < 0x90) || (lead == 0xf4 && byte(1) > 0x8f);
    return tail(1) && tail(2) && tail(3) && !outside ? 4 : 0;
  }
  return 0;
}

}  // namespace

std::string quoted(std::string_view bytes) {
  std::string out = "'";
  for (size_t at = 0; at < bytes.size();) {
    size_t length = utf8_length(bytes, at);
    uint8_t byte = static_cast<uint8_t>(bytes[at]);
    if (length == 0 || byte < 0x20 || byte == 0x7f) {
      char escape[8];
      std::snprintf(escape, sizeof escape, "\\x%02x", byte);
      out += escape;
      at += 1;
    } else {
      out.append(bytes.substr(at, length));
      at += length;
    }
  }
  return out + "'";
}

std::string errno_text(int error) {
  char buffer[128];
#if defined(__GLIBC__)
  return strerror_r(error, buffer, sizeof buffer);
#else
  return strerror_r(error, buffer, sizeof buffer) == 0 ? buffer : "unknown error";
#endif
}

std::string hex(const uint8_t* bytes, size_t size) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string out;
  for (size_t i = 0; i < size; i++) {
    out += kDigits[bytes[i] >> 4];
    out += kDigits[bytes[i] & 15];
  }
  return out;
}

std::string digest_text(const uint8_t digest[32]) {
  constexpr char kDigits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out = "b3:";
  for (size_t i = 0; i < 32; i += 3) {
    // The last group is one byte short.
    const uint32_t group = digest[i] << 16 | digest[i + 1] << 8 | (i + 2 < 32 ? digest[i + 2] : 0);
    for (int shift = 18; shift >= 0; shift -= 6) out += kDigits[group >> shift & 63];
  }
  out.back() = '=';
  return out;
}

}  // namespace tvix
