// The state of one file system: inodes, caches and open questions, shared by all sessions and threads that serve it.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

#include "fuse/blob.h"
#include "fuse/cache.h"
#include "fuse/directory.h"
#include "fuse/inodes.h"
#include "fuse/misses.h"
#include "fuse/passthrough.h"
#include "fuse/snapshots.h"

namespace tvix::fuse {

struct Options {
  // The root: a directory of the castore, or (`dynamic`) names that JavaScript knows.
  Digest root{};
  uint64_t root_size = 0;
  bool dynamic = false;
  bool list_root = false;  // for a dynamic root: whether it may be listed
  uid_t uid = 0;
  gid_t gid = 0;
  size_t directory_cache = size_t{64} << 20;  // bytes
  size_t blob_cache = size_t{32} << 20;       // bytes
  size_t max_inodes = SIZE_MAX;               // that whoever asks may hold
  Passthrough::Settings passthrough = {};     // of a mount; guests have none
};

// Bytes for names of a dynamic root: ten thousand paths or so.
inline constexpr size_t kNamesCache = size_t{4} << 20;

// What `df` shows.
struct Totals {
  uint64_t bytes = 0;
  uint64_t files = 0;
};

// The root of a mount as an inode.
inline Inode root_inode(const Options& options) {
  Inode root;
  root.digest = options.root;
  root.size = options.root_size;
  return root;
}

struct State {
  State(const Options& options, std::function<void()> wake, std::function<void(std::string)> log)
      : options(options),
        inodes(root_inode(options), options.max_inodes),
        directories(options.directory_cache),
        names(kNamesCache),
        blobs(options.blob_cache),
        snapshots(options.directory_cache),
        misses(std::move(wake)),
        log(std::move(log)),
        passthrough(options.passthrough, this->log) {}

  // After the end of a session, before the next one: nobody refers to its inodes and open directories any more.
  void forget_session() {
    inodes.clear();
    snapshots.clear();
  }

  bool is_dynamic_root(uint64_t node) const { return options.dynamic && node == kRootNode; }

  const Options options;
  Inodes inodes;
  Cache<const Listing> directories;
  Cache<const Listing> names;  // of a dynamic root: listings of one entry, by the digest of the name
  Cache<Blob> blobs;
  Snapshots snapshots;
  Misses misses;
  // One line for people, from any thread.
  const std::function<void(std::string)> log;
  Passthrough passthrough;

  std::atomic<uint64_t> totals_bytes = 0;
  std::atomic<uint64_t> totals_files = 0;
  std::atomic<uint64_t> requests = 0;
  std::atomic<uint64_t> asked = 0;  // requests that had to wait for JavaScript
  std::function<void()> initialised;

  // Requests that wait and may be interrupted, by a number that is never used again.
  std::mutex parked_mutex;
  std::map<uint64_t, void*> parked;
  uint64_t next_parked = 1;
};

}  // namespace tvix::fuse
