// Writing a pack: a queue of pieces, one thread that lays them into an aligned buffer, large direct writes, one sync.
//
// Why direct writes: on an ordinary virtual disk, buffered writes followed by fdatasync reach a fraction of what the
// device takes from O_DIRECT writes of some MiB, because the whole copy to the disk then happens inside the sync.
// File systems that refuse O_DIRECT get buffered writes with early writeback.
#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "common/bytes.h"
#include "pack/pack.h"

namespace tvix::pack {

namespace {

constexpr size_t kBufferSize = 4u << 20;

constexpr uint64_t padded(uint64_t size) { return (size + kBlock - 1) & ~(kBlock - 1); }

int sync_data(int fd) {
#if defined(__linux__)
  return fdatasync(fd);
#else
  return fcntl(fd, F_FULLFSYNC);
#endif
}

// Makes the directory entry of a new file durable.
int sync_parent(const std::string& path) {
  size_t slash = path.find_last_of('/');
  std::string parent = slash == std::string::npos ? "." : slash == 0 ? "/" : path.substr(0, slash);
  int fd = ::open(parent.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return -1;
  int result = fsync(fd);
  int error = errno;
  ::close(fd);
  errno = error;
  return result;
}

ssize_t pwrite_all(int fd, const uint8_t* data, size_t size, uint64_t offset) {
  size_t done = 0;
  while (done < size) {
    ssize_t n = pwrite(fd, data + done, size - done, static_cast<off_t>(offset + done));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return -1;
    if (n == 0) {
      errno = ENOSPC;
      return -1;
    }
    done += static_cast<size_t>(n);
  }
  return static_cast<ssize_t>(size);
}

Failure failed(const std::string& path, int error, const char* doing) {
  std::string message = std::string("cannot ") + doing + " the pack " + quoted(path) + ": " + errno_text(error);
  if (error == ENOSPC || error == EDQUOT || error == EFBIG) {
    return {"ERR_PACK_FULL", message, "nothing of the failed write is referenced; free some space and try again"};
  }
  return {"ERR_PACK_IO", message};
}

// Checks the header of a pack of `size` bytes, or writes it to one that has none yet.
// What an interrupted creation left (fewer bytes than a header, all zero or a prefix of it) counts as none.
Failure settle_header(const std::string& path, int fd, uint64_t size) {
  std::array<uint8_t, kBlock> header{};
  std::memcpy(header.data(), kMagic, 8);
  store_le32(header.data() + 8, kVersion);
  std::array<uint8_t, kBlock> found{};
  ssize_t n = size == 0 ? 0 : pread(fd, found.data(), found.size(), 0);
  if (n < 0) return failed(path, errno, "read");
  auto length = static_cast<size_t>(n);
  bool fresh = std::all_of(found.begin(), found.end(), [](uint8_t byte) { return byte == 0; });
  if (!fresh && length == kBlock && std::memcmp(found.data(), header.data(), kBlock) == 0) return {};
  if (!fresh && length == kBlock && std::memcmp(found.data(), kMagic, 8) == 0) {
    return {"ERR_PACK_FORMAT", quoted(path) + " is a pack of version " + std::to_string(load_le32(found.data() + 8)),
            "this version reads and writes version " + std::to_string(kVersion)};
  }
  if (size > kBlock || (!fresh && std::memcmp(found.data(), header.data(), length) != 0)) {
    return {"ERR_PACK_FORMAT", quoted(path) + " is not a pack file"};
  }
  if (pwrite_all(fd, header.data(), header.size(), 0) < 0) return failed(path, errno, "write");
  if (fsync(fd) < 0 || sync_parent(path) < 0) return failed(path, errno, "sync");
  return {};
}

}  // namespace

Failure Writer::open(const std::string& path, std::unique_ptr<Writer>& out) {
  int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
  if (fd < 0) return failed(path, errno, "open");
  auto give_up = [&](Failure failure) {
    ::close(fd);
    return failure;
  };
  if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
    if (errno != EWOULDBLOCK) return give_up(failed(path, errno, "lock"));
    return give_up(
        {"ERR_PACK_LOCKED", "another writer has the pack " + quoted(path), "each writer takes its own pack"});
  }
  struct stat st;
  if (fstat(fd, &st) < 0) return give_up(failed(path, errno, "open"));
  if (!S_ISREG(st.st_mode)) return give_up({"ERR_PACK_FORMAT", quoted(path) + " is not a pack file"});
  auto size = static_cast<uint64_t>(st.st_size);
  if (Failure failure = settle_header(path, fd, size)) return give_up(std::move(failure));
  bool direct = false;
#if defined(O_DIRECT)
  // Set on the locked descriptor itself. A file system may take the flag and refuse the writes: see flush().
  int flags = fcntl(fd, F_GETFL);
  direct = flags >= 0 && fcntl(fd, F_SETFL, flags | O_DIRECT) == 0;
#endif
  out.reset(new Writer(path, fd, padded(std::max(size, kBlock)), direct));
  return {};
}

Writer::Writer(std::string path, int fd, uint64_t end, bool direct)
    : path_(std::move(path)), fd_(fd), direct_(direct), written_(end), flushed_(end), end_(end) {
  void* memory = mmap(nullptr, kBufferSize, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory != MAP_FAILED) buffer_ = static_cast<uint8_t*>(memory);
  if (buffer_ == nullptr) failure_ = failed(path_, ENOMEM, "write");
#if defined(MADV_HUGEPAGE)
  if (buffer_) madvise(buffer_, kBufferSize, MADV_HUGEPAGE);
#endif
  thread_ = std::thread([this] { run(); });
}

Writer::~Writer() {
  close();
  if (buffer_) munmap(buffer_, kBufferSize);
}

uint64_t Writer::size() {
  std::lock_guard lock(mutex_);
  return end_;
}

Failure Writer::append(std::vector<Piece> pieces, std::shared_ptr<const void> owner, uint64_t* offsets) {
  std::lock_guard lock(mutex_);
  if (failure_) return failure_;
  if (closing_) return {"ERR_PACK_CLOSED", "the pack " + quoted(path_) + " is closed"};
  if (pieces.empty()) return {};
  Job job;
  job.offset = end_;
  for (size_t i = 0; i < pieces.size(); i++) {
    offsets[i] = end_ + kHeadSize;
    end_ += kHeadSize + pieces[i].length;
    job.bytes += kHeadSize + pieces[i].length;
  }
  padded_ = false;
  queued_ += job.bytes;
  job.pieces = std::move(pieces);
  job.owner = std::move(owner);
  queue_.push_back(std::move(job));
  wake_.notify_one();
  return {};
}

void Writer::when_room(std::function<void()> done) {
  {
    std::lock_guard lock(mutex_);
    if (queued_ > kQueueLimit && !failure_) {
      waiting_.push_back(std::move(done));
      return;
    }
  }
  done();
}

void Writer::wait_for_room() {
  std::unique_lock lock(mutex_);
  room_.wait(lock, [this] { return queued_ <= kQueueLimit || failure_; });
}

void Writer::sync(std::function<void(Failure)> done) {
  {
    std::lock_guard lock(mutex_);
    if (!closing_) {
      Job job;
      job.synced = std::move(done);
      end_ = padded(end_);
      queue_.push_back(std::move(job));
      wake_.notify_one();
      return;
    }
  }
  done({"ERR_PACK_CLOSED", "the pack " + quoted(path_) + " is closed"});
}

void Writer::close() {
  {
    std::lock_guard lock(mutex_);
    closing_ = true;
    wake_.notify_one();
  }
  if (!thread_.joinable()) return;
  thread_.join();
  ::close(fd_);
}

void Writer::run() {
  std::unique_lock lock(mutex_);
  for (;;) {
    wake_.wait(lock, [this] { return !queue_.empty() || closing_; });
    if (queue_.empty()) break;
    Job job = std::move(queue_.front());
    queue_.pop_front();
    Failure failure = failure_;
    lock.unlock();
    if (!failure) failure = job.synced ? write_sync() : write_out(job);
    job.owner.reset();
    if (job.synced) job.synced(failure);
    lock.lock();
    failure_ = failure;
    queued_ -= job.bytes;
    if (queued_ > kQueueLimit && !failure_) continue;
    auto waiting = std::move(waiting_);
    waiting_.clear();
    room_.notify_all();
    lock.unlock();
    for (auto& done : waiting) done();
    lock.lock();
  }
  if (!failure_) (void)flush(padded(filled_));  // closed without a sync: nobody was promised these bytes
}

Failure Writer::put(const uint8_t* data, size_t size) {
  while (size > 0) {
    size_t step = std::min(size, kBufferSize - filled_);
    std::memcpy(buffer_ + filled_, data, step);
    filled_ += step;
    data += step;
    size -= step;
    if (filled_ < kBufferSize) continue;
    if (Failure failure = flush(kBufferSize)) return failure;
  }
  return {};
}

Failure Writer::write_out(const Job& job) {
  for (const Piece& piece : job.pieces) {
    uint8_t head[kHeadSize] = {};
    store_le32(head, piece.length);
    std::memcpy(head + 8, piece.digest.data(), 32);
    if (Failure failure = put(head, kHeadSize)) return failure;
    if (Failure failure = put(piece.data, piece.length)) return failure;
  }
  return {};
}

// Writes the first `size` bytes of the buffer, a multiple of the block; what is behind filled_ becomes padding.
Failure Writer::flush(size_t size) {
  if (size == 0) return {};
  std::memset(buffer_ + filled_, 0, size - filled_);
  ssize_t n = pwrite_all(fd_, buffer_, size, written_);
#if defined(O_DIRECT)
  if (n < 0 && errno == EINVAL && direct_) {
    direct_ = false;
    fcntl(fd_, F_SETFL, fcntl(fd_, F_GETFL) & ~O_DIRECT);
    n = pwrite_all(fd_, buffer_, size, written_);
  }
#endif
  if (n < 0) return failed(path_, errno, "write");
#if defined(SYNC_FILE_RANGE_WRITE)
  // Starts writeback of what is complete, so that the sync at the end finds little left to do.
  if (!direct_)
    (void)sync_file_range(fd_, static_cast<off_t>(written_), static_cast<off_t>(size), SYNC_FILE_RANGE_WRITE);
#endif
  written_ += size;
  filled_ = 0;
  dirty_ = true;
  return {};
}

Failure Writer::write_sync() {
  if (Failure failure = flush(padded(filled_))) return failure;
  if (!dirty_) return {};
  if (sync_data(fd_) < 0) return failed(path_, errno, "sync");
  dirty_ = false;
  return {};
}

}  // namespace tvix::pack
