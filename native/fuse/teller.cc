// The teller's thread.
#include "fuse/teller.h"

#include <sched.h>

#include <bit>
#include <chrono>

namespace tvix::fuse {

namespace {

using Clock = std::chrono::steady_clock;

// How long it watches for more before it sleeps.
constexpr std::chrono::microseconds kLinger{100};

}  // namespace

void Teller::start() {
  thread_ = std::thread([this] { run(); });
}

void Teller::stop() {
  if (!thread_.joinable()) return;
  stopping_ = true;
  rouse();
  thread_.join();
}

void Teller::rouse() {
  {
    std::lock_guard lock(mutex_);
    awake_ = true;
  }
  roused_.notify_one();
}

void Teller::run() {
  while (!stopping_) {
    {
      std::unique_lock lock(mutex_);
      roused_.wait(lock, [this] { return awake_.load(); });
    }
    for (auto last = Clock::now(); !stopping_ && Clock::now() - last < kLinger;) {
      if (untold_.load(std::memory_order_relaxed) == 0) {
        sched_yield();
        continue;
      }
      for (uint32_t left = untold_.exchange(0, std::memory_order_acquire); left != 0; left &= left - 1) {
        tell_(static_cast<unsigned>(std::countr_zero(left)));
      }
      last = Clock::now();
    }
    // Lost, should it be woken at this moment: the next large read wakes it again.
    awake_ = false;
  }
}

}  // namespace tvix::fuse
