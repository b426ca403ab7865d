// The file system: libfuse's low-level operations over a State, which is the session's user data.
#pragma once

#define FUSE_USE_VERSION 35
#include <fuse3/fuse_lowlevel.h>

#include "fuse/state.h"

namespace tvix::fuse {

// The largest read request, in bytes: what the kernel's protocol allows.
inline constexpr unsigned kMaxRead = 1u << 20;

// What the user data of a session points to. A transport that has to know its session again derives from it.
struct Channel {
  explicit Channel(State& state) : state(state) {}
  virtual ~Channel() = default;
  State& state;
};

// For fuse_session_new(), whose user data is a Channel.
const fuse_lowlevel_ops& operations();

// Answers all requests that wait for JavaScript with EINTR.
void interrupt_all(State& state);

}  // namespace tvix::fuse
