// Which implementations this CPU runs, and which one is in use.
#include <atomic>

#include "blake3/blake3.h"
#include "blake3/kernel.h"

namespace tvix::blake3 {
namespace {

// Best first. __builtin_cpu_supports also asks whether the operating system saves the registers.
const std::vector<const Kernel*>& available() {
  static const std::vector<const Kernel*> list = [] {
    std::vector<const Kernel*> found;
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl")) found.push_back(&avx512);
    if (__builtin_cpu_supports("avx2")) found.push_back(&avx2);
    if (__builtin_cpu_supports("sse4.1")) found.push_back(&sse41);
#elif defined(__aarch64__)
    found.push_back(&neon);  // part of the base architecture
#endif
    found.push_back(&portable);
    return found;
  }();
  return list;
}

// Null until first used, so that nothing depends on the order in which static objects are built.
std::atomic<const Kernel*> chosen{nullptr};

}  // namespace

const Kernel& kernel() {
  const Kernel* now = chosen.load(std::memory_order_acquire);
  if (now == nullptr) {
    now = available().front();
    chosen.store(now, std::memory_order_release);
  }
  return *now;
}

std::vector<std::string> implementations() {
  std::vector<std::string> names;
  for (const Kernel* each : available()) names.emplace_back(each->name);
  return names;
}

std::string implementation() { return kernel().name; }

bool force(const std::string& name) {
  for (const Kernel* each : available()) {
    if (name == each->name || name == "auto") {
      chosen.store(each, std::memory_order_release);
      return true;
    }
  }
  return false;
}

}  // namespace tvix::blake3
