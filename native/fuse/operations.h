// The file system: libfuse's low-level operations over a State, which is the session's user data.
#pragma once

#define FUSE_USE_VERSION 35
#include <fuse3/fuse_lowlevel.h>

namespace tvix::fuse {

// The largest read request, in bytes: what the kernel's protocol allows.
inline constexpr unsigned kMaxRead = 1u << 20;

// For fuse_session_new(); any number of sessions may share one State.
const fuse_lowlevel_ops& operations();

}  // namespace tvix::fuse
