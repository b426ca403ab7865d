// A cache of shared, immutable things by digest, bounded by what they cost; the least recently used goes first.
#pragma once

#include <cstring>
#include <list>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <utility>

#include "fuse/directory.h"

namespace tvix::fuse {

// A digest is as good as random: its first bytes are its hash.
struct DigestHash {
  size_t operator()(const Digest& digest) const {
    size_t out;
    std::memcpy(&out, digest.data(), sizeof out);
    return out;
  }
};

// Safe to share between threads. T has cost(). The newest entry stays, whatever it costs.
template <class T>
class Cache {
 public:
  explicit Cache(size_t limit) : limit_(limit) {}

  std::shared_ptr<T> get(const Digest& digest) {
    std::lock_guard lock(mutex_);
    auto found = by_digest_.find(digest);
    if (found == by_digest_.end()) return nullptr;
    order_.splice(order_.begin(), order_, found->second);
    return found->second->value;
  }

  bool has(const Digest& digest) {
    std::lock_guard lock(mutex_);
    return by_digest_.contains(digest);
  }

  void put(const Digest& digest, std::shared_ptr<T> value) {
    std::lock_guard lock(mutex_);
    drop(by_digest_.find(digest));
    const size_t cost = value->cost();
    order_.push_front({digest, std::move(value), cost});
    by_digest_[digest] = order_.begin();
    used_ += cost;
    while (used_ > limit_ && order_.size() > 1) drop(by_digest_.find(order_.back().digest));
  }

  void remove(const Digest& digest) {
    std::lock_guard lock(mutex_);
    drop(by_digest_.find(digest));
  }

  template <class Test>
  void remove_if(Test test) {
    std::lock_guard lock(mutex_);
    for (auto at = order_.begin(); at != order_.end();) {
      auto next = std::next(at);
      if (test(*at->value)) drop(by_digest_.find(at->digest));
      at = next;
    }
  }

  void clear() {
    remove_if([](const T&) { return true; });
  }

  size_t used() {
    std::lock_guard lock(mutex_);
    return used_;
  }

 private:
  struct Item {
    Digest digest;
    std::shared_ptr<T> value;
    size_t cost;
  };
  using Order = std::list<Item>;
  using Index = std::unordered_map<Digest, typename Order::iterator, DigestHash>;

  void drop(typename Index::iterator found) {
    if (found == by_digest_.end()) return;
    used_ -= found->second->cost;
    order_.erase(found->second);
    by_digest_.erase(found);
  }

  const size_t limit_;
  std::mutex mutex_;
  Order order_;
  Index by_digest_;
  size_t used_ = 0;
};

}  // namespace tvix::fuse
