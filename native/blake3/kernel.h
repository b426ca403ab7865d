// What an implementation of BLAKE3's compression provides, and the numbers of the format (BLAKE3 paper, section 2).
#pragma once

#include <cstddef>
#include <cstdint>

namespace tvix::blake3 {

inline constexpr size_t kBlockSize = 64;
inline constexpr size_t kChunkSize = 1024;
inline constexpr size_t kChunkBlocks = kChunkSize / kBlockSize;
inline constexpr size_t kMaxLanes = 16;

inline constexpr uint32_t kChunkStart = 1;
inline constexpr uint32_t kChunkEnd = 2;
inline constexpr uint32_t kParent = 4;
inline constexpr uint32_t kRoot = 8;

inline constexpr uint32_t kIv[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                    0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};

// Which message word each round adds where: row r is the permutation 2 6 3 10 7 0 4 13 1 11 12 5 9 14 15 8 applied r
// times.
inline constexpr uint8_t kSchedule[7][16] = {
    {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}, {2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8},
    {3, 4, 10, 12, 13, 2, 7, 14, 6, 5, 9, 0, 11, 15, 8, 1}, {10, 7, 12, 9, 14, 3, 13, 15, 4, 0, 11, 2, 5, 8, 1, 6},
    {12, 13, 9, 11, 15, 10, 14, 8, 7, 2, 5, 3, 0, 1, 6, 4}, {9, 14, 11, 5, 8, 12, 15, 1, 13, 3, 0, 10, 2, 6, 4, 7},
    {11, 15, 5, 0, 1, 9, 8, 6, 14, 10, 2, 12, 3, 4, 7, 13},
};

// One chunk, whole or short, wherever it lies: a lane's work in a batch. `size` is 0…1024 (0 only for an empty blob).
// `flags` join the last block's: kRoot when the chunk is a whole blob.
struct Piece {
  const uint8_t* data;
  size_t size;
  uint64_t counter;
  uint32_t flags;
};

struct Kernel {
  const char* name;
  size_t lanes;  // chunks hashed side by side: batches of this many are the most efficient
  // Chaining values of `count` whole chunks that lie one after the other, the first being chunk number `counter`.
  void (*chunks)(const uint8_t* data, size_t count, uint64_t counter, uint8_t* cvs);
  // Chaining values of `count` parents of the 2·count chaining values at `children`; `cvs` may equal `children`.
  // `flags` join kParent in all of them.
  void (*parents)(const uint8_t* children, size_t count, uint32_t flags, uint8_t* cvs);
  // Chaining values of `count` pieces.
  void (*pieces)(const Piece* pieces, size_t count, uint8_t* cvs);
};

// The implementation in use; one atomic load.
const Kernel& kernel();

extern const Kernel portable;
#if defined(__x86_64__)
extern const Kernel sse41;
extern const Kernel avx2;
extern const Kernel avx512;
#elif defined(__aarch64__)
extern const Kernel neon;
#endif

}  // namespace tvix::blake3
