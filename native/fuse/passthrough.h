// Passthrough: large files that the kernel reads by itself, from whole copies of their blobs.
//
// A store keeps a blob as chunks inside packs, and the kernel wants one file with the same bytes at the same offsets.
// So the first open of a large blob copies it, holding the copy against the blob's digest as it is written, into a file
// without a name: nobody else can open it, and nothing is left of it when the process is killed. From then on reads
// and mappings of the file never reach us, and its pages are as large as the copy's file system makes them.
//
// The kernel's rule, which we keep: as long as anybody has an inode open, everybody opens it in the same way. An inode
// that was opened through the page cache stays so until its last user has closed it, and one that is read from a copy
// is read from that copy. Copies take `limit` bytes at most; those that nobody has open make room, the least recently
// used first. What finds no room, or cannot be copied, is read through the page cache as everything else.
#pragma once

#include <sys/types.h>
#include <sys/uio.h>

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include "common/failure.h"
#include "fuse/blob.h"
#include "fuse/cache.h"

namespace tvix::fuse {

// Safe to share between threads.
class Passthrough {
 public:
  struct Settings {
    std::string directory;  // of the copies; empty: no passthrough
    uint64_t minimum = 0;   // bytes of a file that is worth a copy
    uint64_t limit = 0;     // bytes of all copies
  };
  using Log = std::function<void(std::string)>;

  Passthrough(Settings settings, Log log) : settings_(std::move(settings)), log_(std::move(log)) {}
  ~Passthrough();

  // ——— INIT, which libfuse 3.14 speaks without a word for passthrough

  bool wanted() const { return !settings_.directory.empty(); }
  // Opens the directory for copies.
  Failure prepare();
  // Looks at a request of the kernel: whether it is INIT, and offers passthrough.
  bool offered(const void* request, size_t size) const;
  // Accepts in libfuse's reply to it.
  void accept(const iovec* parts, int count) const;
  // After that: turned on for the connection of `device`, or, with a line in the log, not.
  void attach(int device, bool offered);
  // Before the device is closed: ends what is being copied, and lets go of all copies.
  void detach();

  // ——— opening

  bool on() const { return on_; }
  bool wants(uint64_t size) const { return size >= settings_.minimum && size <= settings_.limit; }

  struct Opened {
    uint64_t handle = 0;  // for close(); 0: not decided, a copy is to be tried first
    int32_t backing = 0;  // the kernel's number for the copy; 0: through the page cache
  };
  // Opens an inode with a blob's contents. Once a copy was tried, `tried`, it is decided.
  Opened open(uint64_t node, const Digest& digest, bool tried);
  void close(uint64_t handle);
  // Copies a blob if that is to be done; takes as long as that takes. What goes wrong is for the log.
  void copy(const Digest& digest, const Blob& blob);

  // ——— figures

  size_t copies();
  uint64_t bytes();

 private:
  struct Copy {
    int fd;
    int32_t backing;
    uint64_t size;
    size_t opens = 0;
    uint64_t used = 0;  // when, in opens
  };
  struct Handle {
    uint64_t node;
    Digest digest;
    bool passed;
  };

  bool reserve(const Digest& digest, uint64_t size);
  int write_copy(const Digest& digest, const Blob& blob, std::string& problem) const;
  void let_go(const Copy& copy) const;

  const Settings settings_;
  const Log log_;
  std::atomic<bool> on_ = false;
  std::atomic<bool> ending_ = false;
  std::mutex mutex_;
  std::condition_variable copied_;
  int directory_ = -1;
  int device_ = -1;
  unsigned copying_ = 0;
  uint64_t held_ = 0;  // bytes of copies, those being made included
  uint64_t next_ = 1;
  std::unordered_map<Digest, Copy, DigestHash> copies_;
  std::unordered_map<Digest, int64_t, DigestHash> failed_;  // when: steady clock, seconds
  std::unordered_map<uint64_t, Handle> handles_;
  std::unordered_map<uint64_t, size_t> cached_;  // by node: how often it is open through the page cache
};

}  // namespace tvix::fuse
