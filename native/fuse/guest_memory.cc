// Mapping regions, and translating addresses that a guest may have made up.
#include "fuse/guest_memory.h"

#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "common/failure.h"

namespace tvix::fuse {

namespace {

bool overlap(uint64_t a, uint64_t a_size, uint64_t b, uint64_t b_size) { return a < b + b_size && b < a + a_size; }

}  // namespace

std::shared_ptr<const GuestMemory> GuestMemory::map(const std::vector<Region>& regions, const std::vector<int>& fds,
                                                    std::string& problem) {
  if (regions.size() > kMaxRegions || regions.size() != fds.size()) {
    problem = "there are " + std::to_string(regions.size()) + " regions and " + std::to_string(fds.size()) + " files";
    return nullptr;
  }
  const std::shared_ptr<GuestMemory> out(new GuestMemory);
  for (size_t i = 0; i < regions.size(); i++) {
    if (!out->add(regions[i], fds[i], problem)) return nullptr;
  }
  return out;
}

bool GuestMemory::add(const Region& region, int fd, std::string& problem) {
  const auto refuse = [&](const std::string& why) {
    problem = "region " + std::to_string(mappings_.size()) + " " + why;
    return false;
  };
  if (region.size == 0) return refuse("is empty");
  if (region.guest > UINT64_MAX - region.size || region.user > UINT64_MAX - region.size ||
      region.offset > UINT64_MAX - region.size) {
    return refuse("wraps around");
  }
  for (const Mapping& other : mappings_) {
    if (overlap(region.guest, region.size, other.region.guest, other.region.size) ||
        overlap(region.user, region.size, other.region.user, other.region.size)) {
      return refuse("overlaps another");
    }
  }
  // Touching a mapping behind the end of its file kills the process.
  struct stat info{};
  if (fstat(fd, &info) != 0) return refuse("has no file: " + errno_text(errno));
  if (static_cast<uint64_t>(info.st_size) < region.offset + region.size) return refuse("is longer than its file");
  const auto page = static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
  const uint64_t start = region.offset & ~(page - 1);
  const uint64_t length = region.offset - start + region.size;
  void* base = mmap(nullptr, length, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, static_cast<off_t>(start));
  if (base == MAP_FAILED) return refuse("cannot be mapped: " + errno_text(errno));
  mappings_.push_back({region, base, length, static_cast<uint8_t*>(base) + (region.offset - start)});
  return true;
}

GuestMemory::~GuestMemory() {
  for (const Mapping& mapping : mappings_) munmap(mapping.base, mapping.length);
}

uint8_t* GuestMemory::at_guest(uint64_t address, uint64_t& size) const {
  for (const Mapping& mapping : mappings_) {
    const uint64_t offset = address - mapping.region.guest;
    if (address < mapping.region.guest || offset >= mapping.region.size) continue;
    size = std::min(size, mapping.region.size - offset);
    return mapping.bytes + offset;
  }
  return nullptr;
}

uint8_t* GuestMemory::at_user(uint64_t address, uint64_t size) const {
  for (const Mapping& mapping : mappings_) {
    const uint64_t offset = address - mapping.region.user;
    if (address >= mapping.region.user && offset < mapping.region.size && size <= mapping.region.size - offset) {
      return mapping.bytes + offset;
    }
  }
  return nullptr;
}

}  // namespace tvix::fuse
