// Open listings of a root whose names come and go: each shows the root as it was when it was opened.
//
// Who opens listings without end, as a guest's kernel may, gets no more of them: their number is bounded, and so is the
// memory of those that differ. Equal ones, which is most of them, are one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <utility>

#include "fuse/directory.h"

namespace tvix::fuse {

// Safe to share between threads.
class Snapshots {
 public:
  static constexpr size_t kMaxOpen = 4096;

  // `limit`: bytes that listings may take. One may be open whatever it takes.
  explicit Snapshots(size_t limit) : limit_(limit) {}

  // A handle for it, never 0 and never used again; 0 when too many are open.
  uint64_t open(std::shared_ptr<const Listing> listing) {
    std::lock_guard lock(mutex_);
    if (auto last = last_.lock(); last && last->same_as(*listing)) listing = std::move(last);
    const auto held = holders_.find(listing.get());
    const size_t cost = held == holders_.end() ? listing->cost() : 0;
    if (open_.size() >= kMaxOpen || (!open_.empty() && used_ + cost > limit_)) return 0;
    used_ += cost;
    holders_[listing.get()]++;
    last_ = listing;
    open_[next_] = std::move(listing);
    return next_++;
  }

  // Null for a handle that is not open.
  std::shared_ptr<const Listing> get(uint64_t handle) {
    std::lock_guard lock(mutex_);
    const auto found = open_.find(handle);
    return found == open_.end() ? nullptr : found->second;
  }

  void close(uint64_t handle) {
    std::lock_guard lock(mutex_);
    const auto found = open_.find(handle);
    if (found == open_.end()) return;
    const auto held = holders_.find(found->second.get());
    if (--held->second == 0) {
      used_ -= found->second->cost();
      holders_.erase(held);
    }
    open_.erase(found);
  }

  void clear() {
    std::lock_guard lock(mutex_);
    open_.clear();
    holders_.clear();
    used_ = 0;
  }

  // Bytes that open listings take.
  size_t used() {
    std::lock_guard lock(mutex_);
    return used_;
  }

 private:
  const size_t limit_;
  std::mutex mutex_;
  std::map<uint64_t, std::shared_ptr<const Listing>> open_;
  std::map<const Listing*, size_t> holders_;
  std::weak_ptr<const Listing> last_;
  size_t used_ = 0;
  uint64_t next_ = 1;
};

}  // namespace tvix::fuse
