// BLAKE3 of a whole file. By pread, not mmap: a file cut short while mapped kills the process with SIGBUS, and reading
// pieces that stay in a core's cache costs no more than the page faults of a mapping.
#include "common/file.h"

#include <atomic>
#include <memory>
#include <new>
#include <vector>

#include "blake3/blake3.h"
#include "common/parallel.h"

namespace tvix::blake3 {
namespace {

using Buffer = std::unique_ptr<uint8_t[]>;

// One buffer a thread: work(i) of parallel() may run anywhere, so each takes a free one and puts it back.
class Buffers {
 public:
  bool allocate(size_t count) {
    all_.resize(count);
    for (Buffer& each : all_) {
      each.reset(new (std::nothrow) uint8_t[kPieceSize]);
      if (!each) return false;
    }
    taken_ = std::vector<std::atomic_flag>(count);
    return true;
  }
  size_t take() {
    for (size_t i = 0;; i = (i + 1) % all_.size()) {
      if (!taken_[i].test_and_set(std::memory_order_acquire)) return i;
    }
  }
  void put_back(size_t i) { taken_[i].clear(std::memory_order_release); }
  uint8_t* operator[](size_t i) const { return all_[i].get(); }

 private:
  std::vector<Buffer> all_;
  std::vector<std::atomic_flag> taken_;
};

// The file's pieces but the last, each by whichever thread is free; the last, which may be short, by ours.
int hash_shared(const File& file, unsigned threads, FileResult& result) {
  const size_t pieces = (file.size() - 1) / kPieceSize;
  if (threads > pieces) threads = static_cast<unsigned>(pieces);
  Buffers buffers;
  if (!buffers.allocate(threads)) return ENOMEM;
  std::vector<uint8_t> cvs(pieces * 32);
  std::atomic<int> failure{0};
  parallel(threads, pieces, [&](size_t i) {
    if (failure.load(std::memory_order_relaxed) != 0) return;
    const size_t mine = buffers.take();
    size_t got;
    int error = file.read(buffers[mine], kPieceSize, i * kPieceSize, got);
    if (error == 0 && got < kPieceSize) error = File::kChanged;
    if (error == 0) {
      subtree(buffers[mine], kPieceChunks, i * kPieceChunks, cvs.data() + i * 32);
    } else {
      failure.store(error, std::memory_order_relaxed);
    }
    buffers.put_back(mine);
  });
  if (const int error = failure.load()) return error;
  Hasher hasher;
  for (size_t i = 0; i < pieces; i++) hasher.push_subtree(cvs.data() + i * 32, kPieceChunks);
  const size_t rest = file.size() - pieces * kPieceSize;
  size_t got;
  if (const int error = file.read(buffers[0], rest, pieces * kPieceSize, got)) return error;
  if (got < rest) return File::kChanged;
  hasher.update(buffers[0], rest);
  hasher.finish(result.digest.data());
  result.size = file.size();
  return file.check_unchanged();
}

int hash_alone(const File& file, FileResult& result) {
  const Buffer buffer(new (std::nothrow) uint8_t[kPieceSize]);
  if (!buffer) return ENOMEM;
  Hasher hasher;
  const int error = file.read_all(buffer.get(), kPieceSize, result.size,
                                  [&](const uint8_t* data, size_t size) { hasher.update(data, size); });
  if (error == 0) hasher.finish(result.digest.data());
  return error;
}

}  // namespace

FileResult hash_file(const char* path, unsigned threads) {
  FileResult result;
  File file;
  result.error = file.open(path);
  if (result.error != 0) return result;
  threads = thread_count(threads);
  const bool shared = threads > 1 && file.size() > 2 * kPieceSize;
  result.error = shared ? hash_shared(file, threads, result) : hash_alone(file, result);
  return result;
}

}  // namespace tvix::blake3
