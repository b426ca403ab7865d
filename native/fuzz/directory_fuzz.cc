// Directories as the mount decodes them: what is accepted is sorted, can be found, and has names and targets that can
// be.
#include <cstdio>
#include <cstdlib>

#include "fuse/directory.h"
#include "fuse/inodes.h"

using namespace tvix::fuse;

namespace {

void require(bool condition, const char* what) {
  if (condition) return;
  std::fprintf(stderr, "wrong: %s\n", what);
  std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string problem;
  const auto listing = Listing::decode({data, data + size}, problem);
  require((listing == nullptr) == !problem.empty(), "neither a listing nor a reason");
  if (!listing) return 0;
  std::string_view last;
  size_t bytes = 0;
  for (const Listing::Entry& entry : listing->entries()) {
    const std::string_view name = listing->name(entry);
    require(name > last && name.size() <= 255, "names are not in order");
    require(name.find('/') == name.npos && name.find('\0') == name.npos && name != "." && name != "..",
            "a name that cannot be one");
    require(listing->find(name) == &entry, "an entry is not found");
    const Inode inode = inode_of(*listing, entry);
    require(inode.number > 1, "a number that is nobody's");
    if (entry.kind == Kind::kSymlink) {
      require(!inode.target->empty() && inode.target->find('\0') == std::string::npos, "a target that cannot be one");
    }
    last = name;
    bytes += entry.name_size + entry.value_size;
  }
  require(bytes <= size, "entries are longer than what they were read from");
  return 0;
}
