// Many small blobs at once: their chunks fill vectors across blob boundaries, and so do the parents of each level.
#include <algorithm>
#include <cstring>

#include "blake3/blake3.h"
#include "blake3/kernel.h"

namespace tvix::blake3 {
namespace {

class Batch {
 public:
  static constexpr size_t kCapacity = 256;  // chunks
  static constexpr size_t kLargest = 32;    // chunks of one blob; beyond that a blob fills vectors by itself

  explicit Batch(const Kernel& use) : use_(use) {}

  bool fits(size_t chunks) const { return nodes_ + chunks <= kCapacity; }

  void add(const Blob& blob, size_t chunks, Digest* out) {
    for (size_t i = 0; i < chunks; i++) {
      const size_t size = i + 1 < chunks ? kChunkSize : blob.size - i * kChunkSize;
      pieces_[nodes_ + i] = {blob.data + i * kChunkSize, size, i, chunks == 1 ? kRoot : 0};
    }
    members_[count_++] = {nodes_, chunks, out};
    nodes_ += chunks;
  }

  void run() {
    hash_pieces();
    // Blobs down to two nodes join them as their root; the others go one level up.
    while (join(2, 2, kRoot) + join(3, kCapacity, 0) > 0) {
    }
    for (size_t i = 0; i < count_; i++) std::memcpy(members_[i].out->data(), cvs_ + members_[i].first * 32, 32);
    count_ = 0;
    nodes_ = 0;
  }

 private:
  struct Member {
    size_t first;  // where its nodes begin in cvs_
    size_t nodes;  // how many are left: 1 when done
    Digest* out;
  };

  // A vector runs as many blocks as its longest lane has, so pieces of like length go together.
  void hash_pieces() {
    uint16_t order[kCapacity];
    Piece sorted[kCapacity];
    for (size_t i = 0; i < nodes_; i++) order[i] = static_cast<uint16_t>(i);
    std::sort(order, order + nodes_, [&](uint16_t a, uint16_t b) { return pieces_[a].size > pieces_[b].size; });
    for (size_t i = 0; i < nodes_; i++) sorted[i] = pieces_[order[i]];
    use_.pieces(sorted, nodes_, scratch_);
    for (size_t i = 0; i < nodes_; i++) std::memcpy(cvs_ + order[i] * 32, scratch_ + i * 32, 32);
  }

  // Joins the neighbours in every blob that has between `least` and `most` nodes left; returns how many pairs it found.
  size_t join(size_t least, size_t most, uint32_t flags) {
    const auto each = [&](auto&& visit) {
      for (size_t i = 0; i < count_; i++) {
        if (members_[i].nodes >= least && members_[i].nodes <= most) visit(members_[i]);
      }
    };
    size_t pairs = 0;
    each([&](const Member& m) {
      std::memcpy(scratch_ + pairs * 64, cvs_ + m.first * 32, m.nodes / 2 * 64);
      pairs += m.nodes / 2;
    });
    use_.parents(scratch_, pairs, flags, scratch_);
    const uint8_t* joined = scratch_;
    each([&](Member& m) {
      const size_t mine = m.nodes / 2;
      uint8_t* cvs = cvs_ + m.first * 32;
      std::memcpy(cvs, joined, mine * 32);
      if (m.nodes % 2 == 1) std::memcpy(cvs + mine * 32, cvs + (m.nodes - 1) * 32, 32);
      joined += mine * 32;
      m.nodes = mine + m.nodes % 2;
    });
    return pairs;
  }

  const Kernel& use_;
  size_t nodes_ = 0;
  size_t count_ = 0;
  Piece pieces_[kCapacity];
  Member members_[kCapacity];
  uint8_t cvs_[kCapacity * 32];
  uint8_t scratch_[kCapacity * 32];
};

}  // namespace

void hash_blobs(const Blob* blobs, size_t count, Digest* out) {
  Batch batch(kernel());
  for (size_t i = 0; i < count; i++) {
    const size_t chunks = blobs[i].size == 0 ? 1 : (blobs[i].size - 1) / kChunkSize + 1;
    if (chunks > Batch::kLargest) {
      hash(blobs[i].data, blobs[i].size, out[i].data());
      continue;
    }
    if (!batch.fits(chunks)) batch.run();
    batch.add(blobs[i], chunks, &out[i]);
  }
  batch.run();
}

}  // namespace tvix::blake3
