// BLAKE3: one-shot, incremental, batched and multi-threaded, on the widest vectors the CPU has.
//
// The model. BLAKE3 cuts its input into chunks of 1024 bytes, hashes each chunk to a chaining value of 32 bytes, and
// joins chaining values pairwise, level by level, into one root; where a level has an odd number of nodes the last one
// moves up unchanged. Chunks do not depend on each other, so vector lane i hashes chunk i: that is the whole speed.
//
//   kernel.h        the five functions an implementation provides, and the constants of the format
//   lanes.h         those functions written once, over any vector type
//   portable.cc, simd_*.cc   a vector type each: 1 lane, SSE4.1 and NEON 4, AVX2 8, AVX-512 16 (and 8)
//   dispatch.cc     which of them run on this CPU, and which one is in use
//   tree.cc         chunks to root: subtrees, the hasher, one-shot
//   batch.cc        many small blobs at once
//   file.cc         a whole file, by several threads
//
// Invariants. Chaining values are bytes (little-endian words) everywhere outside a kernel. A kernel never sees a root
// except through the flags it is given. Every implementation gives the same bytes for the same input; the tests hold
// each of them to that for every length up to 8193 and for random splits.
//
// Nothing here throws, and nothing needs Node: see binding.cc for that side.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace tvix::blake3 {

using Digest = std::array<uint8_t, 32>;

// Bytes hashed as one SIMD unit: 16 chunks. Their joint chaining value is what an outboard of 16 KiB groups stores.
inline constexpr size_t kGroupSize = 16 * 1024;

// What one thread takes at a time when several share an input: 256 chunks, which is small enough to stay in its cache.
inline constexpr uint64_t kPieceChunks = 256;
inline constexpr size_t kPieceSize = kPieceChunks * 1024;

// Hashes bytes that arrive in pieces. Copyable: a copy continues on its own from the same state.
// Input gathers in a buffer of one group, so pieces of any size are hashed on full vectors.
class Hasher {
 public:
  void update(const uint8_t* data, size_t size);
  // The same, large inputs shared among `threads` threads, the caller's included (0: as many as the CPU runs).
  void update_parallel(const uint8_t* data, size_t size, unsigned threads);
  // The digest of everything so far; the hasher may go on afterwards.
  void finish(uint8_t out[32]) const;
  void reset();
  // Takes in the subtree over the next `chunks` chunks by its chaining value (see subtree()), instead of their bytes.
  // `chunks` is a power of two, at least a group, and divides the position, which is on a group boundary;
  // at least one more byte must follow.
  void push_subtree(const uint8_t cv[32], uint64_t chunks);

 private:
  void feed(const uint8_t* data, size_t size, unsigned threads);
  void flush_group();

  uint64_t chunks_ = 0;  // chunks already in stack_; always a whole number of groups
  size_t buffered_ = 0;  // bytes in buffer_, 0…kGroupSize; full only until the next byte arrives
  size_t depth_ = 0;     // chaining values in stack_: one for each 1 bit of chunks_
  uint8_t stack_[54 * 32];
  uint8_t buffer_[kGroupSize];
};

void hash(const uint8_t* data, size_t size, uint8_t out[32]);
void hash_parallel(const uint8_t* data, size_t size, unsigned threads, uint8_t out[32]);

struct Blob {
  const uint8_t* data;
  size_t size;
};

// Digests of many blobs. Small blobs share vectors (lane i may be in another blob than lane i+1), which for files of a
// few hundred bytes to a few KiB is several times faster than hashing them one by one. Large ones are hashed alone.
void hash_blobs(const Blob* blobs, size_t count, Digest* out);

// The chaining value of a whole subtree that is not the root: `chunks` (a power of two) chunks of input, the first of
// them chunk number `counter` of the blob. With 16 chunks it is the chaining value of one group.
void subtree(const uint8_t* data, uint64_t chunks, uint64_t counter, uint8_t cv[32]);

// Chaining values of consecutive groups, none of which is the root: what an outboard is made of and checked with.
// `data` begins with group number `first`; the last group may be short, but only where the blob ends. Returns how many.
size_t groups(const uint8_t* data, size_t size, uint64_t first, uint8_t* cvs);

// The chaining value of a parent of two, which is the digest when `is_root`.
void parent(const uint8_t children[64], bool is_root, uint8_t cv[32]);

// What became of reading a file. `error` is 0, an errno, or one of File's (common/file.h): kChanged when the file's
// size or time of modification moved while it was read, kNotRegular for a directory, a device or a pipe.
struct FileResult {
  int error = 0;
  uint64_t size = 0;
  Digest digest{};
};

// Hashes the file at `path` (NUL-terminated bytes) by preads from `threads` threads (0: as many as the CPU runs).
FileResult hash_file(const char* path, unsigned threads);

// Names of the implementations that run on this CPU, the best first; "portable" is always the last.
std::vector<std::string> implementations();
// The name of the one in use.
std::string implementation();
// Uses the named one from now on, in every thread; "auto" goes back to the best. False when this CPU cannot run it.
bool force(const std::string& name);

}  // namespace tvix::blake3
