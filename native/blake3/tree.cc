// From chunks to the root: subtrees, the incremental hasher, one-shot hashing.
#include <algorithm>
#include <bit>
#include <cstring>
#include <vector>

#include "blake3/blake3.h"
#include "blake3/kernel.h"
#include "common/parallel.h"

namespace tvix::blake3 {
namespace {

constexpr size_t kGroupChunks = kGroupSize / kChunkSize;
// Chunks whose chaining values are kept on the stack and folded together, 4 KiB of them.
constexpr size_t kLeafChunks = 128;

// Joins neighbours, level by level, until `target` (1 or 2) nodes are left; a last odd one moves up as it is.
void fold(const Kernel& use, uint8_t* cvs, size_t count, size_t target) {
  while (count > target) {
    const size_t pairs = count / 2;
    use.parents(cvs, pairs, 0, cvs);
    if (count % 2 == 1) std::memmove(cvs + pairs * 32, cvs + (count - 1) * 32, 32);
    count = pairs + count % 2;
  }
}

// Chaining values of the chunks of `size` > 0 bytes, of which the last may be short; returns how many.
// A short chunk shares its vectors with the whole ones before it.
size_t leaves(const Kernel& use, const uint8_t* data, size_t size, uint64_t counter, uint8_t* cvs) {
  const size_t whole = size / kChunkSize;
  const size_t tail = size % kChunkSize;
  const size_t alone = tail == 0 ? whole : whole - whole % use.lanes;
  use.chunks(data, alone, counter, cvs);
  if (tail == 0) return whole;
  Piece pieces[kMaxLanes];
  for (size_t i = alone; i <= whole; i++) {
    pieces[i - alone] = {data + i * kChunkSize, i < whole ? kChunkSize : tail, counter + i, 0};
  }
  use.pieces(pieces, whole - alone + 1, cvs + alone * 32);
  return whole + 1;
}

// The digest of a blob of at most kLeafChunks chunks.
void root(const Kernel& use, const uint8_t* data, size_t size, uint8_t out[32]) {
  if (size <= kChunkSize) {
    const Piece piece{data, size, 0, kRoot};
    return use.pieces(&piece, 1, out);
  }
  uint8_t cvs[kLeafChunks * 32];
  fold(use, cvs, leaves(use, data, size, 0, cvs), 2);
  use.parents(cvs, 1, kRoot, out);
}

void subtree_with(const Kernel& use, const uint8_t* data, uint64_t chunks, uint64_t counter, uint8_t cv[32]) {
  uint8_t cvs[kLeafChunks * 32];
  size_t count;
  if (chunks <= kLeafChunks) {
    use.chunks(data, chunks, counter, cvs);
    count = chunks;
  } else {
    const uint64_t part = std::max<uint64_t>(kLeafChunks, chunks / kLeafChunks);
    count = chunks / part;
    for (size_t i = 0; i < count; i++) {
      subtree_with(use, data + i * part * kChunkSize, part, counter + i * part, cvs + i * 32);
    }
  }
  fold(use, cvs, count, 1);
  std::memcpy(cv, cvs, 32);
}

}  // namespace

void subtree(const uint8_t* data, uint64_t chunks, uint64_t counter, uint8_t cv[32]) {
  subtree_with(kernel(), data, chunks, counter, cv);
}

size_t groups(const uint8_t* data, size_t size, uint64_t first, uint8_t* cvs) {
  const Kernel& use = kernel();
  const size_t whole = size / kGroupSize;
  const size_t tail = size % kGroupSize;
  for (size_t i = 0; i < whole; i++) {
    subtree_with(use, data + i * kGroupSize, kGroupChunks, (first + i) * kGroupChunks, cvs + i * 32);
  }
  if (tail == 0) return whole;
  uint8_t parts[kGroupChunks * 32];
  fold(use, parts, leaves(use, data + whole * kGroupSize, tail, (first + whole) * kGroupChunks, parts), 1);
  std::memcpy(cvs + whole * 32, parts, 32);
  return whole + 1;
}

void parent(const uint8_t children[64], bool is_root, uint8_t cv[32]) {
  kernel().parents(children, 1, is_root ? kRoot : 0, cv);
}

void Hasher::reset() {
  chunks_ = 0;
  buffered_ = 0;
  depth_ = 0;
}

void Hasher::push_subtree(const uint8_t cv[32], uint64_t chunks) {
  std::memcpy(stack_ + depth_ * 32, cv, 32);
  depth_++;
  chunks_ += chunks;
  // Every finished pair can be joined at once: more input follows, so none of these is the root.
  for (; depth_ > static_cast<size_t>(std::popcount(chunks_)); depth_--) {
    uint8_t* pair = stack_ + (depth_ - 2) * 32;
    kernel().parents(pair, 1, 0, pair);
  }
}

void Hasher::flush_group() {
  uint8_t cv[32];
  subtree(buffer_, kGroupChunks, chunks_, cv);
  push_subtree(cv, kGroupChunks);
  buffered_ = 0;
}

void Hasher::feed(const uint8_t* data, size_t size, unsigned threads) {
  if (size == 0) return;
  if (buffered_ > 0) {
    const size_t take = std::min(size, kGroupSize - buffered_);
    std::memcpy(buffer_ + buffered_, data, take);
    buffered_ += take, data += take, size -= take;
    if (size == 0) return;
    flush_group();
  }
  // At least one byte stays behind: what holds the input's last byte may be the root, and waits for finish().
  while (size > kGroupSize) {
    if (threads > 1 && chunks_ % kPieceChunks == 0 && size > 2 * kPieceSize) {
      const size_t count = (size - 1) / kPieceSize;
      std::vector<uint8_t> cvs(count * 32);
      parallel(threads, count, [&](size_t i) {
        subtree(data + i * kPieceSize, kPieceChunks, chunks_ + i * kPieceChunks, cvs.data() + i * 32);
      });
      for (size_t i = 0; i < count; i++) push_subtree(cvs.data() + i * 32, kPieceChunks);
      data += count * kPieceSize, size -= count * kPieceSize;
      continue;
    }
    uint64_t chunks = std::bit_floor((size - 1) / kChunkSize);
    while (chunks_ % chunks != 0) chunks /= 2;
    uint8_t cv[32];
    subtree(data, chunks, chunks_, cv);
    push_subtree(cv, chunks);
    data += chunks * kChunkSize, size -= chunks * kChunkSize;
  }
  std::memcpy(buffer_, data, size);
  buffered_ = size;
}

void Hasher::update(const uint8_t* data, size_t size) { feed(data, size, 1); }

void Hasher::update_parallel(const uint8_t* data, size_t size, unsigned threads) {
  feed(data, size, thread_count(threads));
}

void Hasher::finish(uint8_t out[32]) const {
  const Kernel& use = kernel();
  if (depth_ == 0) return root(use, buffer_, buffered_, out);
  uint8_t pair[64];
  uint8_t cvs[kGroupChunks * 32];
  fold(use, cvs, leaves(use, buffer_, buffered_, chunks_, cvs), 1);
  std::memcpy(pair + 32, cvs, 32);
  for (size_t level = depth_; level-- > 0;) {
    std::memcpy(pair, stack_ + level * 32, 32);
    use.parents(pair, 1, level == 0 ? kRoot : 0, pair + 32);
  }
  std::memcpy(out, pair + 32, 32);
}

void hash(const uint8_t* data, size_t size, uint8_t out[32]) {
  if (size <= kLeafChunks * kChunkSize) return root(kernel(), data, size, out);
  hash_parallel(data, size, 1, out);
}

void hash_parallel(const uint8_t* data, size_t size, unsigned threads, uint8_t out[32]) {
  Hasher hasher;
  hasher.update_parallel(data, size, threads);
  hasher.finish(out);
}

}  // namespace tvix::blake3
