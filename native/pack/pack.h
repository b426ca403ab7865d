// Pack files: append-only files that hold the chunks of a store.
//
// Format, version 1. All integers are little-endian.
//
//   offset 0     header, 4096 bytes: "tvixpack", u32 version (1), zeros
//   offset 4096  records and padding, in any number:
//     record     u32 length of the chunk (1 … 2^30), u32 zero, BLAKE3 of the chunk (32 bytes), the chunk's bytes
//     padding    zeros up to the next multiple of 4096
//
// Records follow each other without gap, except that whatever was synced ends with padding: bytes once acknowledged as
// durable are never written again, not even as part of a rewritten last block. A store's index locates chunks by
// (offset of the bytes, length) and never needs the record's head; the head is there so that a pack can be verified,
// and an index rebuilt, from the pack alone. A crash may leave anything behind the last sync: unreferenced, and skipped
// by later writers, who go on at the next multiple of 4096. A scan that meets something that is no record looks for the
// next one at the next multiple of 4096; a record is only believed when its bytes have its digest.
//
// One writer per pack (an advisory lock on the file), any number of readers.
#pragma once

#include <array>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <unordered_set>
#include <vector>

#include "common/failure.h"

namespace tvix::pack {

inline constexpr uint64_t kBlock = 4096;
inline constexpr uint32_t kHeadSize = 40;
inline constexpr uint32_t kMaxChunk = 1u << 30;
inline constexpr uint32_t kVersion = 1;
inline constexpr char kMagic[] = "tvixpack";

// One chunk to append; the bytes stay with whoever owns them.
struct Piece {
  const uint8_t* data;
  uint32_t length;
  std::array<uint8_t, 32> digest;
};

// Appends to one pack through a thread of its own. All methods may be called from any thread.
class Writer {
 public:
  static Failure open(const std::string& path, std::unique_ptr<Writer>& out);
  ~Writer();

  // Queues pieces and gives each the offset its bytes will have. `owner` keeps the bytes alive until they are copied;
  // dropping it may happen on the writer's thread. Fails at once when an earlier write failed.
  Failure append(std::vector<Piece> pieces, std::shared_ptr<const void> owner, uint64_t* offsets);
  // Calls `done` on the writer's thread when at most kQueueLimit bytes wait (at once when that is so already).
  void when_room(std::function<void()> done);
  // The same, blocking.
  void wait_for_room();
  // Calls `done` when everything appended so far is on the disk, or with why it is not.
  void sync(std::function<void(Failure)> done);
  // Writes what is queued, closes the file and ends the thread; blocks. Later calls fail with ERR_PACK_CLOSED.
  void close();
  uint64_t size();

  static constexpr size_t kQueueLimit = 32u << 20;

 private:
  struct Job {
    std::vector<Piece> pieces;
    std::shared_ptr<const void> owner;
    uint64_t offset = 0;  // of the first piece's record
    size_t bytes = 0;
    std::function<void(Failure)> synced;  // a sync when set
  };

  Writer(std::string path, int fd, uint64_t end, bool direct);
  void run();
  Failure put(const uint8_t* data, size_t size);
  Failure flush(size_t size);
  Failure write_out(const Job& job);
  Failure write_sync();
  Failure system_failure(int error, const char* doing) const;

  const std::string path_;
  const int fd_;
  bool direct_;
  // the thread's own
  uint8_t* buffer_ = nullptr;
  size_t filled_ = 0;
  uint64_t written_;  // file offset of buffer_[0]
  uint64_t flushed_;  // start of what was handed to the page cache but not pushed to the disk (buffered mode)
  bool dirty_ = false;
  // shared
  std::mutex mutex_;
  std::condition_variable wake_;
  std::condition_variable room_;
  std::deque<Job> queue_;
  std::vector<std::function<void()>> waiting_;
  size_t queued_ = 0;
  uint64_t end_;  // where the next record goes
  bool padded_ = true;
  bool closing_ = false;
  Failure failure_;
  std::thread thread_;
};

// Where a chunk is, and what it must hash to.
struct Extent {
  uint64_t offset;
  uint32_t length;
  std::array<uint8_t, 32> digest;
};

// Reads from one pack; safe to share between threads. The descriptor closes with the object.
class Reader {
 public:
  static Failure open(const std::string& path, std::shared_ptr<Reader>& out);
  ~Reader();
  Reader(const Reader&) = delete;
  Reader& operator=(const Reader&) = delete;

  // Reads the extents' bytes to `out`, one behind the other, and verifies each.
  Failure read(const Extent* extents, size_t count, uint8_t* out);
  // Reads part of a chunk; the chunk as a whole is verified the first time.
  Failure read_range(const Extent& extent, uint32_t from, uint8_t* out, size_t size);
  int fd() const { return fd_; }
  const std::string& path() const { return path_; }

 private:
  Reader(std::string path, int fd) : path_(std::move(path)), fd_(fd) {}
  Failure pread_all(uint8_t* out, size_t size, uint64_t offset, const Extent& extent) const;
  Failure corrupt(const Extent& extent, const char* what) const;

  const std::string path_;
  const int fd_;
  std::mutex mutex_;
  std::unordered_set<uint64_t> verified_;
};

// Goes through all records of a pack.
class Scan {
 public:
  struct Record {
    Extent extent;
    bool intact;
  };
  explicit Scan(std::shared_ptr<Reader> reader) : reader_(std::move(reader)) {}
  // Appends records until about `bytes` bytes have been read; none are appended at the end of the pack.
  Failure next(std::vector<Record>& records, uint64_t bytes);

 private:
  bool plausible(uint64_t offset, uint64_t size, Extent& extent) const;
  Failure at(uint64_t offset, uint64_t size, std::vector<Record>& records, uint64_t& next);

  std::shared_ptr<Reader> reader_;
  uint64_t offset_ = kBlock;
  std::vector<uint8_t> buffer_;
};

}  // namespace tvix::pack
