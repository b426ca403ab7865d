// Free lists of large buffers, one per power of two.
#include "common/buffer_pool.h"

#include <array>
#include <bit>
#include <cstdlib>
#include <mutex>
#include <vector>

namespace tvix::buffers {
namespace {

// Free memory kept in all lists together.
constexpr size_t kKept = size_t{48} << 20;
constexpr size_t kLargest = size_t{8} << 20;

struct Pool {
  std::mutex mutex;
  std::array<std::vector<uint8_t*>, 64> free;
  size_t kept = 0;
};

// Never destroyed: finalizers may still run while the process ends.
Pool& pool() {
  static Pool* const it = new Pool;
  return *it;
}

size_t size_class(size_t size) { return std::bit_ceil(size < kSmallest ? kSmallest : size); }

}  // namespace

uint8_t* take(size_t size) {
  const size_t whole = size_class(size);
  if (whole <= kLargest) {
    std::lock_guard lock(pool().mutex);
    auto& list = pool().free[std::countr_zero(whole)];
    if (!list.empty()) {
      uint8_t* buffer = list.back();
      list.pop_back();
      pool().kept -= whole;
      return buffer;
    }
  }
  return static_cast<uint8_t*>(std::malloc(whole));
}

void give(uint8_t* buffer, size_t size) {
  const size_t whole = size_class(size);
  if (whole <= kLargest) {
    std::lock_guard lock(pool().mutex);
    if (pool().kept + whole <= kKept) {
      pool().free[std::countr_zero(whole)].push_back(buffer);
      pool().kept += whole;
      return;
    }
  }
  std::free(buffer);
}

}  // namespace tvix::buffers
