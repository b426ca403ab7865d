// NAR of a host tree: the hashing stage, and writing with as few copies as the kernel allows.
#include "nar/stream.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>
#if defined(__linux__)
#include <sys/sendfile.h>
#endif

#include <algorithm>

#include "nar/tree.h"
#include "nar/writer.h"

namespace tvix::nar {

HashStage::HashStage() : memory_(kBlockSize * kBlocks), thread_([this] { run(); }) {}

HashStage::~HashStage() {
  {
    std::lock_guard lock(mutex_);
    over_ = true;
    changed_.notify_all();
  }
  if (thread_.joinable()) thread_.join();
}

uint8_t* HashStage::room(size_t& size) {
  if (filled_ == 0) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return produced_ - consumed_ < kBlocks; });
  }
  size = kBlockSize - filled_;
  return memory_.data() + produced_ % kBlocks * kBlockSize + filled_;
}

void HashStage::advance(size_t size) {
  filled_ += size;
  total_ += size;
  if (filled_ == kBlockSize) hand_over();
}

void HashStage::hand_over() {
  std::lock_guard lock(mutex_);
  sizes_[produced_ % kBlocks] = filled_;
  filled_ = 0;
  produced_++;
  changed_.notify_all();
}

void HashStage::put(const uint8_t* data, size_t size) {
  while (size > 0) {
    size_t space;
    uint8_t* to = room(space);
    size_t step = std::min(size, space);
    std::memcpy(to, data, step);
    advance(step);
    data += step;
    size -= step;
  }
}

Digest HashStage::finish() {
  if (filled_ > 0) hand_over();
  {
    std::lock_guard lock(mutex_);
    over_ = true;
    changed_.notify_all();
  }
  thread_.join();
  Digest out;
  hasher_.finish(out.digest);
  out.size = total_;
  return out;
}

void HashStage::run() {
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [this] { return consumed_ < produced_ || over_; });
    if (consumed_ == produced_) return;
    size_t block = consumed_ % kBlocks;
    size_t size = sizes_[block];
    lock.unlock();
    hasher_.update(memory_.data() + block * kBlockSize, size);
    lock.lock();
    consumed_++;
    changed_.notify_all();
  }
}

namespace {

// What the two sinks share: framing gathers in a vector until it is large or contents follow.
class FramingSink : public FileSink {
 public:
  FramingSink() : writer_(framing_) { framing_.reserve(2 * kGather); }
  Failure begin_directory() override {
    writer_.begin_directory();
    return {};
  }
  Failure entry(std::string_view name) override {
    writer_.entry(name);
    return {};
  }
  Failure end_directory() override {
    writer_.end_directory();
    return settle();
  }
  Failure symlink(std::string_view target) override {
    writer_.symlink(target);
    return settle();
  }
  Failure begin_file(bool executable, uint64_t size) override {
    writer_.begin_file(executable, size);
    return {};
  }
  Failure end_file() override {
    writer_.end_file();
    return settle();
  }
  virtual Failure flush() = 0;

 protected:
  static constexpr size_t kGather = 64 * 1024;
  Failure settle() { return framing_.size() >= kGather ? flush() : Failure{}; }

  std::vector<uint8_t> framing_;
  Writer writer_;
};

class HashSink : public FramingSink {
 public:
  Failure contents(int fd, uint64_t size, int& read_error) override {
    (void)flush();
    while (size > 0) {
      size_t space;
      uint8_t* to = stage.room(space);
      ssize_t n = ::read(fd, to, static_cast<size_t>(std::min<uint64_t>(space, size)));
      if (n < 0 && errno == EINTR) continue;
      if (n <= 0) {
        read_error = n == 0 ? kShort : errno;
        return {};
      }
      stage.advance(static_cast<size_t>(n));
      size -= static_cast<uint64_t>(n);
    }
    return {};
  }
  Failure flush() override {
    stage.put(framing_.data(), framing_.size());
    framing_.clear();
    return {};
  }

  HashStage stage;
};

Failure write_failed(int error) {
  if (error == EPIPE) return {"ERR_NAR_PIPE", "cannot write the NAR: whoever read it has gone away"};
  return {"ERR_NAR_WRITE", "cannot write the NAR: " + errno_text(error)};
}

// Waits until a non-blocking descriptor takes more.
void wait_writable(int fd) {
  struct pollfd entry = {fd, POLLOUT, 0};
  (void)poll(&entry, 1, -1);
}

class DescriptorSink : public FramingSink {
 public:
  explicit DescriptorSink(int fd) : fd_(fd) {
#if defined(F_SETPIPE_SZ)
    (void)fcntl(fd, F_SETPIPE_SZ, 1 << 20);  // fewer turns between us and a reader; refused where fd is no pipe
#endif
  }

  Failure contents(int fd, uint64_t size, int& read_error) override {
    if (size > kSmall) {
      if (Failure failure = flush()) return failure;
      uint64_t sent = 0;
      if (Failure failure = send(fd, size, sent, read_error)) return failure;
      total += sent;
      size -= sent;
      if (size == 0 || read_error != 0) return {};
    }
    return copy(fd, size, read_error);
  }

  Failure flush() override {
    total += framing_.size();
    Failure failure = write_all(fd_, framing_.data(), framing_.size());
    framing_.clear();
    return failure;
  }

  uint64_t total = 0;

 private:
  static constexpr uint64_t kSmall = 32 * 1024;  // below this, one read and a shared write beat a sendfile

  // Moves contents inside the kernel, as far as it does that for this pair of descriptors.
  Failure send(int fd, uint64_t size, uint64_t& sent, int& read_error) {
#if defined(__linux__)
    while (sent < size && sendfile_works_) {
      ssize_t n = sendfile(fd_, fd, nullptr, static_cast<size_t>(std::min<uint64_t>(size - sent, 1u << 30)));
      if (n > 0) {
        sent += static_cast<uint64_t>(n);
      } else if (n == 0) {
        read_error = kShort;
        return {};
      } else if (errno == EAGAIN) {
        wait_writable(fd_);
      } else if (errno == EINVAL || errno == ENOSYS) {
        sendfile_works_ = false;
      } else if (errno != EINTR) {
        return write_failed(errno);
      }
    }
#else
    (void)fd, (void)size, (void)sent, (void)read_error;
#endif
    return {};
  }

  Failure copy(int fd, uint64_t size, int& read_error) {
    while (size > 0) {
      const size_t at = framing_.size();
      const size_t step = static_cast<size_t>(std::min<uint64_t>(size, kGather));
      framing_.resize(at + step);
      ssize_t n = ::read(fd, framing_.data() + at, step);
      framing_.resize(at + static_cast<size_t>(std::max<ssize_t>(n, 0)));
      if (n < 0 && errno == EINTR) continue;
      if (n <= 0) {
        read_error = n == 0 ? kShort : errno;
        return {};
      }
      size -= static_cast<uint64_t>(n);
      if (Failure failure = settle()) return failure;
    }
    return {};
  }

  int fd_;
  bool sendfile_works_ = true;
};

}  // namespace

Failure write_all(int fd, const uint8_t* data, size_t size) {
  while (size > 0) {
    ssize_t n = ::write(fd, data, size);
    if (n < 0 && errno == EAGAIN) {
      wait_writable(fd);
    } else if (n < 0 && errno != EINTR) {
      return write_failed(errno);
    } else if (n > 0) {
      data += n;
      size -= static_cast<size_t>(n);
    }
  }
  return {};
}

Failure hash_tree(const std::string& path, Digest& out) {
  HashSink sink;
  if (Failure failure = walk(path, {}, sink)) return failure;
  (void)sink.flush();
  out = sink.stage.finish();
  return {};
}

Failure write_tree(const std::string& path, int fd, uint64_t& size) {
  DescriptorSink sink(fd);
  if (Failure failure = walk(path, {}, sink)) return failure;
  if (Failure failure = sink.flush()) return failure;
  size = sink.total;
  return {};
}

}  // namespace tvix::nar
