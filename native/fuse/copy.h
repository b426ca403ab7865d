// Copying from memory that may vanish: the mapping of a pack, and memory that another process shares.
//
// Touching a mapping whose file was cut short kills a process by SIGBUS; a copy made here survives it.
#pragma once

#include <sys/uio.h>

#include <vector>

namespace tvix::fuse {

// Copies the bytes of `count` parts, one behind the other, into the buffers of `to`, as far as there is room. False
// when a file behind any of them has been cut short. The first call takes over SIGBUS for the process; a fault
// elsewhere does what it did before.
bool copy_mapped(const std::vector<iovec>& to, const iovec* from, int count);

}  // namespace tvix::fuse
