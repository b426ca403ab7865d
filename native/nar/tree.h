// Walking a host tree: every entry once, in NAR order, through descriptors, so that nothing outside it can be reached.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "nar/node.h"

namespace tvix::nar {

enum Kind : uint8_t { kDirectory = 0, kRegular = 1, kExecutable = 2, kSymlink = 3 };
inline constexpr uint32_t kNoParent = 0xffffffff;

// A tree as parallel arrays in NAR order; the meaning of each is described in lib/native/tree.ts.
struct Listing {
  std::vector<uint8_t> kinds;
  std::vector<uint32_t> parents;
  std::vector<double> sizes;
  std::vector<uint32_t> ends;
  std::vector<uint8_t> text;

  size_t count() const { return kinds.size(); }
  std::string_view name(size_t i) const { return slice(i == 0 ? 0 : ends[2 * i - 1], ends[2 * i]); }
  std::string_view target(size_t i) const { return slice(ends[2 * i], ends[2 * i + 1]); }
  // Whether it is what it claims to be: sizes agree, ends ascend, parents are open directories, names ascend.
  bool valid() const;

 private:
  std::string_view slice(uint32_t from, uint32_t to) const {
    return {reinterpret_cast<const char*>(text.data()) + from, to - from};
  }
};

// Makes a listing out of events.
class ListingBuilder {
 public:
  void begin_directory();
  void entry(std::string_view name);
  void end_directory() { open_.pop_back(); }
  void symlink(std::string_view target);
  // The index of the new entry.
  uint32_t file(bool executable, uint64_t size);
  Listing take() { return std::move(listing_); }

 private:
  uint32_t add(Kind kind, std::string_view target, uint64_t size);
  Listing listing_;
  std::vector<uint32_t> open_;
  std::string name_;
};

struct WalkOptions {
  // Only these entries, in this order, instead of what the directories hold.
  const Listing* only = nullptr;
  // Set from another thread to stop early.
  const std::atomic<bool>* stop = nullptr;
};

// Walks the tree at `path` (a directory, a regular file or a symlink) and tells `sink`; symlinks are never followed.
// Failures of the walk are ERR_TREE_… and name the path.
Failure walk(const std::string& path, const WalkOptions& options, FileSink& sink);
// The same without opening files.
Failure list(const std::string& path, Listing& listing);

}  // namespace tvix::nar
