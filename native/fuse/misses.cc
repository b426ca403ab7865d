// Coalescing questions, and running those that waited.
#include "fuse/misses.h"

#include <utility>

namespace tvix::fuse {

std::string Miss::id() const {
  std::string out(1, static_cast<char>(question));
  out += key;
  if (question == Question::kRead) {
    out.append(reinterpret_cast<const char*>(&offset), sizeof offset);
    out.append(reinterpret_cast<const char*>(&size), sizeof size);
  }
  return out;
}

Misses::Misses(std::function<void()> wake) : wake_(std::move(wake)), thread_([this] { run(); }) {}

Misses::~Misses() { close(1); }

void Misses::ask(Miss miss, Waiter waiter) {
  bool first = false;
  {
    std::unique_lock lock(mutex_);
    if (closed_ != 0) {
      const int error = closed_;
      lock.unlock();
      Answer answer;
      answer.error = error;
      waiter(answer);
      return;
    }
    auto& waiters = waiters_[miss.id()];
    waiters.push_back(std::move(waiter));
    if (waiters.size() == 1) {
      first = asked_.empty();
      asked_.push_back(std::move(miss));
    }
  }
  if (first) wake_();
}

std::vector<Miss> Misses::take() {
  std::lock_guard lock(mutex_);
  return std::exchange(asked_, {});
}

void Misses::answer(const std::string& id, const Answer& answer, bool now) {
  std::vector<Waiter> waiters;
  {
    std::lock_guard lock(mutex_);
    auto found = waiters_.find(id);
    if (found == waiters_.end()) return;
    waiters = std::move(found->second);
    waiters_.erase(found);
    if (!now) {
      answered_.emplace_back(answer, std::move(waiters));
      changed_.notify_one();
      return;
    }
  }
  for (const Waiter& waiter : waiters) waiter(answer);
}

void Misses::run() {
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [this] { return !answered_.empty() || closed_ != 0; });
    if (answered_.empty()) return;
    auto [answer, waiters] = std::move(answered_.front());
    answered_.pop_front();
    lock.unlock();
    for (const Waiter& waiter : waiters) waiter(answer);
    waiters.clear();
    lock.lock();
  }
}

void Misses::close(int error) {
  std::unordered_map<std::string, std::vector<Waiter>> left;
  {
    std::lock_guard lock(mutex_);
    if (closed_ == 0) closed_ = error;
    left = std::move(waiters_);
    waiters_.clear();
    asked_.clear();
    changed_.notify_all();
  }
  Answer answer;
  answer.error = error;
  for (const auto& [id, waiters] : left) {
    for (const Waiter& waiter : waiters) waiter(answer);
  }
  if (thread_.joinable()) thread_.join();
}

size_t Misses::waiting() {
  std::lock_guard lock(mutex_);
  return waiters_.size();
}

}  // namespace tvix::fuse
