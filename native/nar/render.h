// The NAR of a tree whose files are chunks in packs.
#pragma once

#include <memory>
#include <vector>

#include "nar/tree.h"
#include "nar/writer.h"
#include "pack/pack.h"

namespace tvix::nar {

struct Plan {
  Listing listing;
  std::vector<uint32_t> counts;       // chunks of each regular file
  std::vector<pack::Extent> extents;  // of all files, one behind the other
  std::vector<uint32_t> packs;        // index into readers, per chunk
  std::vector<std::shared_ptr<pack::Reader>> readers;
};

// Gives the NAR's bytes from front to back, every chunk verified before any of its bytes is given out.
class Render {
 public:
  // What is wrong with a plan, or null. To be asked before constructing.
  static const char* wrong(const Plan& plan);
  explicit Render(Plan plan);
  uint64_t size() const { return total_; }
  // Fills `out`; `filled` is less than `size` only at the end.
  Failure fill(uint8_t* out, size_t size, size_t& filled);
  // Writes the rest to `fd`; reading and verifying overlap with writing.
  Failure write(int fd);

 private:
  bool advance();
  Failure chunks(uint8_t* out, size_t size, size_t& filled);

  Plan plan_;
  uint64_t total_ = 0;
  std::vector<uint8_t> framing_;
  size_t framing_at_ = 0;
  Writer writer_{framing_};
  std::vector<uint8_t> scratch_;  // a chunk of which only a part fitted
  size_t scratch_at_ = 0;
  std::vector<uint32_t> open_;
  uint32_t entry_ = 0;
  size_t file_ = 0;
  size_t chunk_ = 0;
  uint32_t chunks_left_ = 0;
  bool in_file_ = false;
};

}  // namespace tvix::nar
