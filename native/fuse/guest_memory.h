// A guest's memory as its front-end shares it: files mapped here, and the two kinds of addresses that point into them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace tvix::fuse {

// Immutable: a new table is a new object, and who still uses an old one keeps its mappings alive.
class GuestMemory {
 public:
  // One region as the front-end describes it.
  struct Region {
    uint64_t guest;   // guest-physical address
    uint64_t size;    // bytes
    uint64_t user;    // address in the front-end's process
    uint64_t offset;  // of the region in its file
  };

  static constexpr size_t kMaxRegions = 32;

  // Maps region i from descriptor fds[i], which stays the caller's. Null with a sentence in `problem` when the table
  // makes no sense: regions that are empty, overlap, wrap around or are longer than their file.
  static std::shared_ptr<const GuestMemory> map(const std::vector<Region>& regions, const std::vector<int>& fds,
                                                std::string& problem);
  ~GuestMemory();
  GuestMemory(const GuestMemory&) = delete;
  GuestMemory& operator=(const GuestMemory&) = delete;

  // What is at a guest-physical address; null when nothing is. `size` comes back smaller when a region ends before.
  uint8_t* at_guest(uint64_t address, uint64_t& size) const;
  // `size` bytes at an address of the front-end's process; null unless all of them lie in one region.
  uint8_t* at_user(uint64_t address, uint64_t size) const;

 private:
  struct Mapping {
    Region region;
    void* base;     // of the mapping, page-aligned
    size_t length;  // of the mapping
    uint8_t* bytes;
  };

  GuestMemory() = default;
  bool add(const Region& region, int fd, std::string& problem);

  std::vector<Mapping> mappings_;
};

}  // namespace tvix::fuse
