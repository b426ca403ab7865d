// The file system: libfuse's low-level operations over a State, which is the session's user data.
#pragma once

#define FUSE_USE_VERSION 35
#include <fuse3/fuse_lowlevel.h>

#include "fuse/state.h"

namespace tvix::fuse {

// The largest read request, in bytes: what the kernel's protocol allows.
inline constexpr unsigned kMaxRead = 1u << 20;

// What the user data of a session points to: the state, and what the operations want of the way that replies take.
struct Channel {
  explicit Channel(State& state) : state(state) {}
  virtual ~Channel() = default;

  // Where the `size` bytes of a reply's contents will end up, if they can be put there at once; else false.
  virtual bool destination(size_t size, Places& places) {
    (void)size, (void)places;
    return false;
  }

  State& state;
};

// For fuse_session_new(), whose user data is a Channel.
const fuse_lowlevel_ops& operations();

// Answers all requests that wait for JavaScript with EINTR.
void interrupt_all(State& state);

}  // namespace tvix::fuse
