// What a request of each kind has to look like.
#include "fuse/request.h"

#include <linux/fuse.h>

#include <cerrno>
#include <cstddef>
#include <cstring>

namespace tvix::fuse {

namespace {

constexpr size_t kMaxName = 255;
// No guest with virtiofs speaks an older protocol; structures had other sizes once.
constexpr uint32_t kOldestMinor = 31;

// What follows the header.
struct Shape {
  uint32_t opcode;
  size_t fixed;  // bytes of a structure
  bool name;     // then a name with its NUL
};

constexpr Shape kShapes[] = {
    {FUSE_LOOKUP, 0, true},
    {FUSE_FORGET, sizeof(fuse_forget_in), false},
    {FUSE_GETATTR, sizeof(fuse_getattr_in), false},
    {FUSE_READLINK, 0, false},
    {FUSE_OPEN, sizeof(fuse_open_in), false},
    {FUSE_READ, sizeof(fuse_read_in), false},
    {FUSE_STATFS, 0, false},
    {FUSE_GETXATTR, sizeof(fuse_getxattr_in), true},
    {FUSE_LISTXATTR, sizeof(fuse_getxattr_in), false},
    {FUSE_OPENDIR, sizeof(fuse_open_in), false},
    {FUSE_READDIR, sizeof(fuse_read_in), false},
    {FUSE_READDIRPLUS, sizeof(fuse_read_in), false},
    {FUSE_RELEASEDIR, sizeof(fuse_release_in), false},
    {FUSE_DESTROY, 0, false},
};

Verdict refuse(int error) { return {Verdict::kRefuse, error}; }

// A guest may mount read-write and learns here that it cannot write.
bool changes(uint32_t opcode) {
  switch (opcode) {
    case FUSE_SETATTR:
    case FUSE_SYMLINK:
    case FUSE_MKNOD:
    case FUSE_MKDIR:
    case FUSE_UNLINK:
    case FUSE_RMDIR:
    case FUSE_RENAME:
    case FUSE_RENAME2:
    case FUSE_LINK:
    case FUSE_WRITE:
    case FUSE_SETXATTR:
    case FUSE_REMOVEXATTR:
    case FUSE_CREATE:
    case FUSE_FALLOCATE:
    case FUSE_COPY_FILE_RANGE:
    case FUSE_TMPFILE:
      return true;
    default:
      return false;
  }
}

Verdict judge_name(const uint8_t* name, size_t size) {
  if (size == 0 || std::memchr(name, 0, size) != name + size - 1) return refuse(EINVAL);
  if (size - 1 > kMaxName) return refuse(ENAMETOOLONG);
  return {Verdict::kServe};
}

Verdict judge_init(const uint8_t* body, size_t size) {
  // Up to and with `flags`; what follows came later, and is there when the flags say so.
  constexpr size_t kFirst = offsetof(fuse_init_in, flags2);
  fuse_init_in init{};
  if (size < kFirst) return refuse(EINVAL);
  std::memcpy(&init, body, kFirst);
  if (init.major != FUSE_KERNEL_VERSION || init.minor < kOldestMinor) return refuse(EPROTO);
  if ((init.flags & FUSE_INIT_EXT) != 0 && size < sizeof init) return refuse(EINVAL);
  return {Verdict::kServe};
}

Verdict judge_forgets(const uint8_t* body, size_t size) {
  fuse_batch_forget_in batch;
  if (size < sizeof batch) return {Verdict::kDrop};
  std::memcpy(&batch, body, sizeof batch);
  if (batch.count > (size - sizeof batch) / sizeof(fuse_forget_one)) return {Verdict::kDrop};
  return {Verdict::kServe, 0, false};
}

}  // namespace

Verdict judge(const uint8_t* bytes, size_t size) {
  fuse_in_header header;
  if (size < sizeof header) return {Verdict::kDrop};
  std::memcpy(&header, bytes, sizeof header);
  // Requests that want no reply. Nothing that a guest interrupts would be answered any sooner.
  if (header.opcode == FUSE_INTERRUPT) return {Verdict::kDrop};
  if (header.len != size) return refuse(EINVAL);
  if (changes(header.opcode)) return refuse(EROFS);
  if (size > kMaxRequest) return refuse(E2BIG);
  const uint8_t* body = bytes + sizeof header;
  const size_t left = size - sizeof header;
  if (header.opcode == FUSE_INIT) return judge_init(body, left);
  if (header.opcode == FUSE_BATCH_FORGET) return judge_forgets(body, left);
  for (const Shape& shape : kShapes) {
    if (shape.opcode != header.opcode) continue;
    if (left < shape.fixed) return refuse(EINVAL);
    if (shape.name) return judge_name(body + shape.fixed, left - shape.fixed);
    return {Verdict::kServe, 0, header.opcode != FUSE_FORGET};
  }
  return refuse(ENOSYS);
}

}  // namespace tvix::fuse
