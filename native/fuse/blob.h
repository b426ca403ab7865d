// Blobs: where a file's bytes are, and reading them so that no unverified byte gets out.
//
// A chunk is read by pread and verified once; after that its bytes are taken from a mapping of its pack, which spares a
// copy that costs more than the rest of a large read. Touching a mapping whose file was cut short kills a process by
// SIGBUS. So only two touch it, which survive that: the kernel, when it is given the mapping to write from, and
// copy_mapped() (copy.h).
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
  // Where bytes of the file are mapped, or will be once the file has grown to hold them; null when they are too far.
  const uint8_t* mapped(uint64_t offset, uint64_t size) const;
  const std::string& path() const { return path_; }
  // Whether a collection has replaced it: holding it keeps its space from being given back.
  bool unlinked() const;

 private:
  Pack(std::string path, int fd);
  const std::string path_;
  const int fd_;
  uint64_t length_ = 0;  // of the mapping
  void* base_ = nullptr;
};

// One chunk of a blob, in the order of the blob.
struct Chunk {
  Digest digest;
  uint64_t start;   // in the blob
  uint64_t offset;  // in the pack
  uint32_t length;
  uint32_t pack;  // index into the blob's packs
};

class Blob {
 public:
  // A blob in packs. `chunks` are given without `start`.
  Blob(std::vector<std::shared_ptr<const Pack>> packs, std::vector<Chunk> chunks);
  // A blob that JavaScript reads from a service.
  explicit Blob(uint64_t size) : size_(size), remote_(true) {}

  uint64_t size() const { return size_; }
  bool remote() const { return remote_; }
  // Fills `out` with `size` bytes from `offset`, all inside the blob. A chunk is verified as a whole the first time any
  // of it is read. False when it cannot be had; `problem` then says why, naming the digest, the first time only.
  bool read(uint64_t offset, size_t size, uint8_t* out, std::string& problem);
  // Gives the same bytes without reading them: they are to be taken by copy_mapped(), or by the kernel. False, if one
  // of their chunks is not verified yet.
  bool view(uint64_t offset, size_t size, std::vector<iovec>& parts) const;
  // Writes all of it to a file from its beginning, and holds what was written against `digest`, the blob's own. False
  // with a reason; also when `stop` was set meanwhile.
  bool copy(int fd, const Digest& digest, const std::atomic<bool>& stop, std::string& problem) const;
  // Whether it failed long enough ago to be worth looking up again: a repair may have mended it.
  bool stale() const;
  bool uses_unlinked() const;
  size_t cost() const { return sizeof(Blob) + chunks_.size() * (sizeof(Chunk) + 1) + packs_.size() * sizeof(void*); }

 private:
  enum State : uint8_t { kUnknown, kVerified, kBad };
  size_t chunk_at(uint64_t offset) const;
  bool read_chunk(size_t index, uint32_t from, size_t size, uint8_t* out, std::string& problem);
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
