// SHA-256 (FIPS 180-4), one-shot and incremental, on the CPU's SHA instructions where it has them.
//
// A NAR's hash is one long chain, so there is nothing to spread over lanes or threads: the speed is that of the
// hardware's rounds, and the portable rounds are for CPUs without them. dispatch is in sha256.cc; rounds_x86.cc and
// rounds_arm.cc are compiled for their instruction sets. Nothing here throws, and nothing needs Node.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace tvix::sha256 {

using Digest = std::array<uint8_t, 32>;

// Hashes bytes that arrive in pieces. Copyable: a copy continues on its own from the same state.
class Hasher {
 public:
  Hasher() { reset(); }
  void update(const uint8_t* data, size_t size);
  // The digest of everything so far; the hasher may go on afterwards.
  void finish(uint8_t out[32]) const;
  void reset();

 private:
  uint32_t state_[8];
  uint64_t size_;  // bytes taken in; the standard's limit of 2^61 bytes is out of reach
  uint8_t buffer_[64];
};

void hash(const uint8_t* data, size_t size, uint8_t out[32]);

// What became of reading a file. `error` is 0, an errno, or one of File's (common/file.h): kChanged when the file's
// size or time of modification moved while it was read, kNotRegular for a directory, a device or a pipe.
struct FileResult {
  int error = 0;
  uint64_t size = 0;
  Digest digest{};
};

// Hashes the file at `path` (NUL-terminated bytes).
FileResult hash_file(const char* path);

// Names of the implementations that run on this CPU, the best first; "portable" is always the last.
std::vector<std::string> implementations();
// The name of the one in use.
std::string implementation();
// Uses the named one from now on, in every thread; "auto" goes back to the best. False when this CPU cannot run it.
bool force(const std::string& name);

}  // namespace tvix::sha256
