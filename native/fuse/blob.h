// Blobs: where a file's bytes are, and reading them so that no unverified byte gets out.
//
// Packs are read by pread and not mapped: a pack cut short under a mapping (a full disk, a failing one) would kill the
// process by SIGBUS and every user of the mount with it, while a short pread is an error for one range.
#pragma once

#include <sys/uio.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "fuse/directory.h"

namespace tvix::fuse {

// An open pack file. It stays readable after it was unlinked, for as long as someone holds this.
class Pack {
 public:
  // Null with errno set when it cannot be opened.
  static std::shared_ptr<const Pack> open(const std::string& path);
  ~Pack();
  Pack(const Pack&) = delete;
  Pack& operator=(const Pack&) = delete;

  int fd() const { return fd_; }
  const std::string& path() const { return path_; }
  // Whether a collection has replaced it: holding it keeps its space from being given back.
  bool unlinked() const;

 private:
  Pack(std::string path, int fd) : path_(std::move(path)), fd_(fd) {}
  const std::string path_;
  const int fd_;
};

// One chunk of a blob, in the order of the blob.
struct Chunk {
  Digest digest;
  uint64_t start;   // in the blob
  uint64_t offset;  // in the pack
  uint32_t length;
  uint32_t pack;  // index into the blob's packs
};

// Where bytes are to go.
struct Places {
  std::vector<iovec> parts;
  // Whether someone else may write there meanwhile, as a guest may: such bytes are not the ones to verify.
  bool shared = false;
};

class Blob {
 public:
  // A blob in packs. `chunks` are given without `start`.
  Blob(std::vector<std::shared_ptr<const Pack>> packs, std::vector<Chunk> chunks);
  // A blob that JavaScript reads from a service.
  explicit Blob(uint64_t size) : size_(size), remote_(true) {}

  uint64_t size() const { return size_; }
  bool remote() const { return remote_; }
  // Fills `places`, `size` bytes together, from `offset`, all inside the blob. A chunk is verified as a whole the first
  // time any of it is read. False when it cannot be had; `problem` then says why, naming the digest, the first time
  // only.
  bool read(uint64_t offset, size_t size, const Places& places, std::string& problem);
  // Whether it failed long enough ago to be worth looking up again: a repair may have mended it.
  bool stale() const;
  bool uses_unlinked() const;
  size_t cost() const { return sizeof(Blob) + chunks_.size() * (sizeof(Chunk) + 1) + packs_.size() * sizeof(void*); }

 private:
  enum State : uint8_t { kUnknown, kVerified, kBad };
  bool read_chunk(size_t index, uint32_t from, size_t size, Places& places, std::string& problem);
  bool verify(size_t index, const uint8_t* bytes, std::string& problem);
  bool fail(size_t index, const std::string& why, std::string& problem);

  uint64_t size_ = 0;
  bool remote_ = false;
  std::vector<std::shared_ptr<const Pack>> packs_;
  std::vector<Chunk> chunks_;
  std::unique_ptr<std::atomic<uint8_t>[]> states_;
  std::atomic<int64_t> failed_at_ = 0;  // steady clock, milliseconds; 0: never
};

// `b3:` and base64, the form of logs and extended attributes.
std::string digest_text(const Digest& digest);

}  // namespace tvix::fuse
