// Copies of blobs, and the kernel's interface to them.
#include "fuse/passthrough.h"

#include <fcntl.h>
#include <linux/fuse.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <utility>

#include "common/failure.h"

namespace tvix::fuse {

namespace {

// Protocol 7.40 (include/uapi/linux/fuse.h of Linux 6.9), which the headers that we are built with may not know yet.
constexpr uint32_t kInitPassthrough = 1u << 5;  // FUSE_PASSTHROUGH, in the upper half of the flags
constexpr size_t kStackDepthAt = 36;            // max_stack_depth in fuse_init_out
constexpr uint32_t kStackDepth = 1;  // copies are on an ordinary file system, and we may lie below an overlay

struct BackingMap {
  int32_t fd;
  uint32_t flags;
  uint64_t padding;
};
constexpr unsigned long kBackingOpen = _IOW(229, 1, BackingMap);
constexpr unsigned long kBackingClose = _IOW(229, 2, uint32_t);

// Seconds after which a copy that failed is tried again.
constexpr int64_t kRetryAfter = 60;

int64_t now() {
  using namespace std::chrono;
  return duration_cast<seconds>(steady_clock::now().time_since_epoch()).count();
}

// The kernel's number for a file, or -1 with errno.
int32_t register_file(int device, int fd) {
  BackingMap map{fd, 0, 0};
  return ioctl(device, kBackingOpen, &map);
}

int nameless(int directory) { return openat(directory, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0400); }

// The same file, which nobody can write any more once `fd` is closed.
int read_only(int fd) { return open(("/proc/self/fd/" + std::to_string(fd)).c_str(), O_RDONLY | O_CLOEXEC); }

std::string why_not(int error) {
  if (error == EPERM) return "only root may";
  if (error == ELOOP) return "the directory for copies is on a stacked file system such as overlayfs";
  return errno_text(error);
}

}  // namespace

Passthrough::~Passthrough() {
  detach();
  if (directory_ >= 0) ::close(directory_);
}

// Before the mount is there: the path may lead through it.
Failure Passthrough::prepare() {
  if (!wanted() || directory_ >= 0) return {};
  directory_ = ::open(settings_.directory.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (directory_ >= 0) return {};
  return {"ERR_MOUNT_PASSTHROUGH",
          "copies cannot be kept in " + quoted(settings_.directory) + ": " + errno_text(errno)};
}

bool Passthrough::offered(const void* request, size_t size) const {
  fuse_in_header header;
  fuse_init_in init{};
  if (size < sizeof header) return false;
  std::memcpy(&header, request, sizeof header);
  if (header.opcode != FUSE_INIT) return false;
  std::memcpy(&init, static_cast<const char*>(request) + sizeof header, std::min(size - sizeof header, sizeof init));
  return (init.flags & FUSE_INIT_EXT) != 0 && (init.flags2 & kInitPassthrough) != 0;
}

void Passthrough::accept(const iovec* parts, int count) const {
  if (count < 2 || parts[1].iov_len < kStackDepthAt + sizeof kStackDepth) return;
  auto* reply = static_cast<fuse_init_out*>(parts[1].iov_base);
  reply->flags |= FUSE_INIT_EXT;
  reply->flags2 |= kInitPassthrough;
  std::memcpy(static_cast<char*>(parts[1].iov_base) + kStackDepthAt, &kStackDepth, sizeof kStackDepth);
}

void Passthrough::attach(int device, bool offered) {
  const auto off = [&](const std::string& why) { log_("large files are not passed through: " + why); };
  if (!offered) return off("the kernel has no FUSE passthrough (Linux 6.9 and later, CONFIG_FUSE_PASSTHROUGH)");
  // Whether everything is there that a copy needs shows a copy of nothing.
  const int fd = nameless(directory_);
  if (fd < 0) return off("no file can be made in " + quoted(settings_.directory) + ": " + errno_text(errno));
  const int32_t trial = register_file(device, fd);
  const int error = errno;
  ::close(fd);
  if (trial < 0) return off(why_not(error));
  ioctl(device, kBackingClose, &trial);
  std::lock_guard lock(mutex_);
  device_ = device;
  on_ = true;
}

void Passthrough::detach() {
  ending_ = true;
  std::unique_lock lock(mutex_);
  copied_.wait(lock, [this] { return copying_ == 0; });
  for (const auto& [digest, copy] : copies_) let_go(copy);
  copies_.clear();
  held_ = 0;
  device_ = -1;
}

Passthrough::Opened Passthrough::open(uint64_t node, const Digest& digest, bool tried) {
  std::lock_guard lock(mutex_);
  const auto cached = cached_.find(node);
  const auto copy = copies_.find(digest);
  const bool passed = cached == cached_.end() && copy != copies_.end();
  if (cached == cached_.end() && !passed && !tried) return {};
  Opened out{next_++, passed ? copy->second.backing : 0};
  handles_[out.handle] = {node, digest, passed};
  if (passed) {
    copy->second.opens++;
    copy->second.used = out.handle;
  } else {
    cached_[node]++;
  }
  return out;
}

void Passthrough::close(uint64_t handle) {
  std::lock_guard lock(mutex_);
  const auto found = handles_.find(handle);
  if (found == handles_.end()) return;
  const Handle& one = found->second;
  if (one.passed) {
    if (const auto copy = copies_.find(one.digest); copy != copies_.end()) copy->second.opens--;
  } else if (const auto cached = cached_.find(one.node); --cached->second == 0) {
    cached_.erase(cached);
  }
  handles_.erase(found);
}

void Passthrough::copy(const Digest& digest, const Blob& blob) {
  const uint64_t size = blob.size();
  if (blob.remote() || !wants(size) || !reserve(digest, size)) return;
  std::string problem;
  const int fd = write_copy(digest, blob, problem);
  std::lock_guard lock(mutex_);
  const int32_t backing = fd < 0 || device_ < 0 ? -1 : register_file(device_, fd);
  if (fd >= 0 && backing < 0 && problem.empty()) problem = why_not(errno);
  if (backing > 0) {
    copies_[digest] = {fd, backing, size, 0, next_++};
    failed_.erase(digest);
  } else {
    if (fd >= 0) ::close(fd);
    held_ -= size;
    failed_[digest] = now();
    if (!ending_) log_("blob " + digest_text(digest) + " is not passed through: " + problem);
  }
  copying_--;
  copied_.notify_all();
}

// Whether a blob is to be copied now. Its bytes are accounted for, those of copies that had to make room are not.
bool Passthrough::reserve(const Digest& digest, uint64_t size) {
  std::vector<Copy> victims;
  std::unique_lock lock(mutex_);
  if (ending_ || !on_ || copies_.contains(digest)) return false;
  if (const auto failed = failed_.find(digest); failed != failed_.end() && now() - failed->second < kRetryAfter) {
    return false;
  }
  uint64_t idle = 0;
  for (const auto& [other, copy] : copies_) idle += copy.opens == 0 ? copy.size : 0;
  if (held_ - idle + size > settings_.limit) return false;
  while (held_ + size > settings_.limit) {
    auto oldest = copies_.end();
    for (auto at = copies_.begin(); at != copies_.end(); ++at) {
      if (at->second.opens == 0 && (oldest == copies_.end() || at->second.used < oldest->second.used)) oldest = at;
    }
    held_ -= oldest->second.size;
    victims.push_back(oldest->second);
    copies_.erase(oldest);
  }
  held_ += size;
  copying_++;
  for (const Copy& victim : victims) let_go(victim);
  return true;
}

// A descriptor, for reading, of a file with a blob's bytes; -1 with the reason.
int Passthrough::write_copy(const Digest& digest, const Blob& blob, std::string& problem) const {
  const auto failed = [&](const std::string& what) {
    problem = "its copy in " + quoted(settings_.directory) + " " + what;
    return -1;
  };
  const int fd = nameless(directory_);
  if (fd < 0) return failed("cannot be made: " + errno_text(errno));
  int out = -1;
  // Space that is not there is better missed before a gigabyte was written.
  if (const int error = posix_fallocate(fd, 0, static_cast<off_t>(blob.size())); error != 0) {
    failed("cannot be made: " + errno_text(error));
  } else if (blob.copy(fd, digest, ending_, problem)) {
    out = read_only(fd);
    if (out < 0) failed("cannot be opened: " + errno_text(errno));
  }
  ::close(fd);
  return out;
}

void Passthrough::let_go(const Copy& copy) const {
  if (device_ >= 0) ioctl(device_, kBackingClose, &copy.backing);
  ::close(copy.fd);
}

size_t Passthrough::copies() {
  std::lock_guard lock(mutex_);
  return copies_.size();
}

uint64_t Passthrough::bytes() {
  std::lock_guard lock(mutex_);
  return held_;
}

}  // namespace tvix::fuse
