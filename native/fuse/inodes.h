// Inodes: what the kernel knows by number, kept from its first lookup until it forgets.
//
// Two numbers. The *node id* is the kernel's handle: a slot and the slot's generation, checked on every use, so that a
// stale or made-up one is refused. The *inode number* is what users see in stat: 64 bits of the contents' digest, the
// same in every mount everywhere.
//
// Files and symlinks with the same contents share one inode, hence one set of pages in the page cache. Directories have
// one inode per place: the kernel gives a directory exactly one parent and would move it about otherwise.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "fuse/directory.h"

namespace tvix::fuse {

inline constexpr uint64_t kRootNode = 1;

struct Inode {
  Kind kind = Kind::kDirectory;
  bool executable = false;
  uint64_t size = 0;    // bytes of a file or target; elements of a directory
  uint64_t number = 0;  // st_ino
  uint64_t parent = 0;  // node id of a directory it was found in; that may be forgotten by now
  Digest digest{};      // of a file or directory
  std::shared_ptr<const std::string> target;
};

// The inode that an entry stands for; needs no table.
Inode inode_of(const Listing& listing, const Listing::Entry& entry);

class Inodes {
 public:
  // The root is always there and never forgotten. There are at most `limit`, the root included.
  explicit Inodes(Inode root, size_t limit = SIZE_MAX);

  // The node id of an entry of directory `parent`, counted as one more lookup by the kernel; 0 when there are too many.
  uint64_t acquire(uint64_t parent, std::string_view name, const Inode& inode);
  // False for a node id that the kernel was never given, or has forgotten.
  bool find(uint64_t node, Inode& out);
  void forget(uint64_t node, uint64_t lookups);
  // Forgets all but the root.
  void clear();
  // How many there are, the root included.
  size_t count();

 private:
  struct Slot {
    Inode inode;
    std::string key;
    uint64_t lookups = 0;  // 0: free
    uint32_t generation = 0;
  };
  Slot* slot_of(uint64_t node);

  const size_t limit_;
  std::mutex mutex_;
  std::vector<Slot> slots_;
  std::vector<uint32_t> free_;
  std::unordered_map<std::string, uint32_t> by_key_;
};

}  // namespace tvix::fuse
