// A host tree's NAR, hashed or written to a descriptor.
#pragma once

#include <condition_variable>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "common/failure.h"
#include "sha256/sha256.h"

namespace tvix::nar {

struct Digest {
  uint8_t digest[32] = {};
  uint64_t size = 0;
};

// SHA-256 in a thread of its own, fed through a ring of blocks: reading and hashing overlap.
class HashStage {
 public:
  HashStage();
  ~HashStage();
  // Where to put the next bytes: at least one, at most up to the block's end. Waits while all blocks are to be hashed.
  uint8_t* room(size_t& size);
  // So many bytes were put there.
  void advance(size_t size);
  void put(const uint8_t* data, size_t size);
  Digest finish();

 private:
  static constexpr size_t kBlockSize = 256 * 1024;
  static constexpr size_t kBlocks = 8;
  void run();
  void hand_over();

  std::vector<uint8_t> memory_;
  size_t sizes_[kBlocks] = {};
  size_t filled_ = 0;  // of the producer's block
  uint64_t total_ = 0;
  std::mutex mutex_;
  std::condition_variable changed_;
  uint64_t produced_ = 0;  // blocks handed over, ever
  uint64_t consumed_ = 0;  // blocks hashed, ever
  bool over_ = false;
  sha256::Hasher hasher_;
  std::thread thread_;
};

// SHA-256 and size of the NAR of the tree at `path`.
Failure hash_tree(const std::string& path, Digest& out);
// Writes that NAR to `fd` (blocking or not); file contents go by sendfile where the kernel allows it.
Failure write_tree(const std::string& path, int fd, uint64_t& size);
// Writes all bytes to `fd`, waiting where it is a full non-blocking pipe. Failures: ERR_NAR_PIPE, ERR_NAR_WRITE.
Failure write_all(int fd, const uint8_t* data, size_t size);

}  // namespace tvix::nar
