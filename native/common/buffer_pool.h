// Large buffers that are used again: a fresh one costs a page fault every 4 KiB, which is half of what reading costs.
//
// Buffers come in powers of two and are not cleared: whoever takes one fills all of it that it shows. A few MiB of free
// ones are kept; JavaScript's garbage collection gives them back through finalizers.
#pragma once

#include <cstddef>
#include <cstdint>

namespace tvix::buffers {

// Smaller buffers are not worth keeping.
constexpr size_t kSmallest = size_t{64} << 10;

// A buffer of at least `size` bytes with undefined contents; null when there is no memory.
uint8_t* take(size_t size);

// Gives back what `take` gave for the same size.
void give(uint8_t* buffer, size_t size);

}  // namespace tvix::buffers
