// Tells guests of replies, while the device's thread goes on with the next requests.
//
// Waking a guest that sleeps takes the thread that does it as long as copying some hundred KiB. So there is a thread
// for it while large reads queue. It watches for replies to tell of, letting others have its processor between looks,
// and falls asleep when there were none for a while. What it has not come to can be taken back: on a busy machine it
// may be without a processor for milliseconds, which a guest must not wait.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <thread>
#include <utility>

namespace tvix::fuse {

class Teller {
 public:
  // `tell` is called from the teller's thread, with the number of a queue; those are below 32.
  explicit Teller(std::function<void(unsigned queue)> tell) : tell_(std::move(tell)) {}
  ~Teller() { stop(); }

  // Without, it never is awake.
  void start();
  void stop();

  bool awake() const { return awake_.load(std::memory_order_relaxed); }
  void wake() {
    if (!awake() && thread_.joinable()) rouse();
  }
  // To one that is awake: a queue's replies are to be told of. Should it fall asleep at this moment, they wait until
  // they are taken back.
  void hand_over(unsigned queue) { untold_.fetch_or(1u << queue, std::memory_order_release); }
  // Whether a queue was handed over whose replies have not been told of, nor will be.
  bool take_back(unsigned queue) {
    const uint32_t bit = 1u << queue;
    if ((untold_.load(std::memory_order_relaxed) & bit) == 0) return false;
    return (untold_.fetch_and(~bit, std::memory_order_acquire) & bit) != 0;
  }

 private:
  void run();
  void rouse();

  const std::function<void(unsigned)> tell_;
  std::atomic<uint32_t> untold_ = 0;  // a bit for each queue
  std::atomic<bool> awake_ = false;
  std::atomic<bool> stopping_ = false;
  std::mutex mutex_;
  std::condition_variable roused_;
  std::thread thread_;
};

}  // namespace tvix::fuse
