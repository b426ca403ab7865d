// Judges a FUSE request that came from a guest before libfuse decodes it.
//
// libfuse's decoder was written for requests of the kernel it runs on: it takes names to end, counts to be true and
// structures to be whole. A guest's kernel promises nothing. So every request is held against the table in request.cc
// first; what is not in it, libfuse never gets to see.
#pragma once

#include <cstddef>
#include <cstdint>

namespace tvix::fuse {

// The longest request that is looked at; only changes to files, which are refused unseen, may be longer.
inline constexpr size_t kMaxRequest = 64 * 1024;

struct Verdict {
  enum Action : uint8_t {
    kServe,   // libfuse may have it
    kRefuse,  // reply with `error`
    kDrop,    // no reply is expected, or possible
  };
  Action action;
  int error = 0;         // errno
  bool answered = true;  // for kServe: whether there will be a reply
};

// `bytes` holds the first min(size, kMaxRequest) bytes of a request of `size` bytes.
Verdict judge(const uint8_t* bytes, size_t size);

}  // namespace tvix::fuse
