// SHA-256's buffering and padding, the portable rounds, and the choice of rounds for this CPU.
#include "sha256/sha256.h"

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstring>
#include <memory>
#include <new>

#include "common/bytes.h"
#include "common/file.h"
#include "sha256/rounds.h"
#if defined(__x86_64__)
#include <cpuid.h>
#elif defined(__aarch64__) && defined(__linux__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

namespace tvix::sha256 {

void rounds_portable(uint32_t state[8], const uint8_t* data, size_t count) {
  for (; count > 0; count--, data += 64) {
    uint32_t w[64];
    for (int i = 0; i < 16; i++) w[i] = load_be32(data + 4 * i);
    for (int i = 16; i < 64; i++) {
      const uint32_t s0 = std::rotr(w[i - 15], 7) ^ std::rotr(w[i - 15], 18) ^ (w[i - 15] >> 3);
      const uint32_t s1 = std::rotr(w[i - 2], 17) ^ std::rotr(w[i - 2], 19) ^ (w[i - 2] >> 10);
      w[i] = w[i - 16] + s0 + w[i - 7] + s1;
    }
    uint32_t a = state[0], b = state[1], c = state[2], d = state[3];
    uint32_t e = state[4], f = state[5], g = state[6], h = state[7];
    for (int i = 0; i < 64; i++) {
      const uint32_t s1 = std::rotr(e, 6) ^ std::rotr(e, 11) ^ std::rotr(e, 25);
      const uint32_t t1 = h + s1 + (g ^ (e & (f ^ g))) + kRound[i] + w[i];
      const uint32_t s0 = std::rotr(a, 2) ^ std::rotr(a, 13) ^ std::rotr(a, 22);
      const uint32_t t2 = s0 + ((a & b) | (c & (a | b)));
      h = g, g = f, f = e, e = d + t1, d = c, c = b, b = a, a = t1 + t2;
    }
    state[0] += a, state[1] += b, state[2] += c, state[3] += d;
    state[4] += e, state[5] += f, state[6] += g, state[7] += h;
  }
}

namespace {

struct Implementation {
  const char* name;
  Rounds rounds;
};

#if defined(__x86_64__)
// Asked of the CPU itself: not every compiler's __builtin_cpu_supports knows "sha". (The other two it needs are older
// than any CPU with it, but a hypervisor may hide them.)
bool has_sha_instructions() {
  unsigned a, b, c, d;
  const bool sha = __get_cpuid_count(7, 0, &a, &b, &c, &d) != 0 && (b & (1u << 29)) != 0;
  return sha && __builtin_cpu_supports("ssse3") && __builtin_cpu_supports("sse4.1");
}
#elif defined(__aarch64__) && defined(__linux__)
bool has_sha_instructions() { return (getauxval(AT_HWCAP) & HWCAP_SHA2) != 0; }
#elif defined(__aarch64__)
bool has_sha_instructions() { return true; }  // every Apple CPU of this architecture
#endif

const std::vector<Implementation>& available() {
  static const std::vector<Implementation> list = [] {
    std::vector<Implementation> found;
#if defined(__x86_64__)
    if (has_sha_instructions()) found.push_back({"sha-ni", rounds_x86});
#elif defined(__aarch64__)
    if (has_sha_instructions()) found.push_back({"armv8", rounds_arm});
#endif
    found.push_back({"portable", rounds_portable});
    return found;
  }();
  return list;
}

std::atomic<const Implementation*> chosen{nullptr};

const Implementation& current() {
  const Implementation* now = chosen.load(std::memory_order_acquire);
  if (now == nullptr) {
    now = &available().front();
    chosen.store(now, std::memory_order_release);
  }
  return *now;
}

}  // namespace

void Hasher::reset() {
  static constexpr uint32_t kInitial[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                           0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
  std::memcpy(state_, kInitial, sizeof state_);
  size_ = 0;
}

void Hasher::update(const uint8_t* data, size_t size) {
  if (size == 0) return;
  const Rounds rounds = current().rounds;
  const size_t held = size_ % 64;
  size_ += size;
  if (held > 0) {
    const size_t take = std::min(size, 64 - held);
    std::memcpy(buffer_ + held, data, take);
    if (held + take < 64) return;
    rounds(state_, buffer_, 1);
    data += take, size -= take;
  }
  if (size >= 64) rounds(state_, data, size / 64);
  if (size % 64 > 0) std::memcpy(buffer_, data + size / 64 * 64, size % 64);
}

void Hasher::finish(uint8_t out[32]) const {
  uint32_t state[8];
  std::memcpy(state, state_, sizeof state);
  uint8_t last[128] = {};
  const size_t held = size_ % 64;
  std::memcpy(last, buffer_, held);
  last[held] = 0x80;
  const size_t blocks = held < 56 ? 1 : 2;
  store_be64(last + blocks * 64 - 8, size_ * 8);
  current().rounds(state, last, blocks);
  for (int i = 0; i < 8; i++) store_be32(out + 4 * i, state[i]);
}

void hash(const uint8_t* data, size_t size, uint8_t out[32]) {
  Hasher hasher;
  hasher.update(data, size);
  hasher.finish(out);
}

FileResult hash_file(const char* path) {
  constexpr size_t kBufferSize = 256 * 1024;
  FileResult result;
  File file;
  result.error = file.open(path);
  if (result.error != 0) return result;
  const std::unique_ptr<uint8_t[]> buffer(new (std::nothrow) uint8_t[kBufferSize]);
  if (!buffer) {
    result.error = ENOMEM;
    return result;
  }
  Hasher hasher;
  result.error = file.read_all(buffer.get(), kBufferSize, result.size,
                               [&](const uint8_t* data, size_t size) { hasher.update(data, size); });
  hasher.finish(result.digest.data());
  return result;
}

std::vector<std::string> implementations() {
  std::vector<std::string> names;
  for (const Implementation& each : available()) names.emplace_back(each.name);
  return names;
}

std::string implementation() { return current().name; }

bool force(const std::string& name) {
  for (const Implementation& each : available()) {
    if (name == each.name || name == "auto") {
      chosen.store(&each, std::memory_order_release);
      return true;
    }
  }
  return false;
}

}  // namespace tvix::sha256
