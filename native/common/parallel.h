// Work shared among threads: each takes the next piece until none is left.
#pragma once

#include <atomic>
#include <cstddef>
#include <system_error>
#include <thread>
#include <vector>

namespace tvix {

// How many threads to use when the caller says 0: as many as the CPU runs at once.
inline unsigned thread_count(unsigned wanted) {
  if (wanted > 0) return wanted;
  const unsigned cores = std::thread::hardware_concurrency();
  return cores > 0 ? cores : 1;
}

// Calls work(i) for every i below `count`, from `threads` threads of which the caller's is one, and returns when all
// is done. `work` must not throw. Where the system refuses a thread, the others do its share.
template <class Work>
void parallel(unsigned threads, size_t count, const Work& work) {
  std::atomic<size_t> next{0};
  const auto run = [&] {
    for (size_t i = next.fetch_add(1, std::memory_order_relaxed); i < count;
         i = next.fetch_add(1, std::memory_order_relaxed)) {
      work(i);
    }
  };
  std::vector<std::thread> others;
  try {
    for (size_t i = 1; i < threads && i < count; i++) others.emplace_back(run);
  } catch (const std::system_error&) {
    // Fewer threads, same result.
  }
  run();
  for (std::thread& each : others) each.join();
}

}  // namespace tvix
