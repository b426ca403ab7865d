// Unpacking: events to system calls.
#include "nar/unpack.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>
#if defined(__linux__)
#include <linux/fs.h>
#include <sys/syscall.h>
#endif

#include <random>

#include "nar/reader.h"
#include "nar/stream.h"

namespace tvix::nar {

namespace {

constexpr char kRoot[] = "tree";

// Removes a file or a whole directory below `parent`. What cannot be removed stays.
void remove_tree(int parent, const char* name) {
  if (unlinkat(parent, name, 0) == 0) return;
  int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0) return;
  if (DIR* directory = fdopendir(fd)) {
    while (const struct dirent* entry = readdir(directory)) {
      std::string_view child = entry->d_name;
      if (child != "." && child != "..") remove_tree(fd, entry->d_name);
    }
    closedir(directory);
  } else {
    ::close(fd);
  }
  (void)unlinkat(parent, name, AT_REMOVEDIR);
}

// Renames without ever replacing; 0 or an errno.
int rename_new(int from_dir, const char* from, int to_dir, const char* to) {
#if defined(__linux__) && defined(RENAME_NOREPLACE)
  if (syscall(SYS_renameat2, from_dir, from, to_dir, to, RENAME_NOREPLACE) == 0) return 0;
  if (errno != EINVAL && errno != ENOSYS) return errno;
#elif defined(__APPLE__)
  if (renameatx_np(from_dir, from, to_dir, to, RENAME_EXCL) == 0) return 0;
  if (errno != ENOTSUP) return errno;
#endif
  // A file system without that operation: the check and the rename are two steps there.
  struct stat st;
  if (fstatat(to_dir, to, &st, AT_SYMLINK_NOFOLLOW) == 0) return EEXIST;
  return renameat(from_dir, from, to_dir, to) == 0 ? 0 : errno;
}

}  // namespace

Failure Unpacker::failed(int error, const char* doing) const {
  std::string message = std::string("cannot ") + doing + " while unpacking to " + quoted(target_) + ": ";
  if (error == ENOSPC || error == EDQUOT) {
    return {"ERR_UNPACK_FULL", message + errno_text(error), "nothing was left behind; free some space and try again"};
  }
  if (error == EEXIST) {
    return {"ERR_UNPACK_COLLISION", message + "another entry is there already",
            "names that differ for Nix may be the same on this file system (letter case, normalisation)"};
  }
  return {"ERR_UNPACK_IO", message + errno_text(error)};
}

Failure Unpacker::exists() const {
  return {"ERR_UNPACK_EXISTS", quoted(target_) + " exists already", "choose another target or move it away"};
}

Failure Unpacker::open(const std::string& target) {
  target_ = target;
  std::string path = target;
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  size_t slash = path.find_last_of('/');
  base_ = slash == std::string::npos ? path : path.substr(slash + 1);
  std::string parent = slash == std::string::npos ? "." : slash == 0 ? "/" : path.substr(0, slash);
  if (base_.empty() || base_ == "." || base_ == "..") return exists();
  parent_ = ::open(parent.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (parent_ < 0) return failed(errno, "open the directory of the target");
  struct stat st;
  if (fstatat(parent_, base_.c_str(), &st, AT_SYMLINK_NOFOLLOW) == 0) return exists();
  std::random_device random;
  for (int attempt = 0;; attempt++) {
    uint32_t number[2] = {random(), random()};
    std::string name = ".tvix-unpack-" + hex(reinterpret_cast<const uint8_t*>(number), sizeof number);
    if (mkdirat(parent_, name.c_str(), 0700) == 0) {
      temporary_ = name;
      break;
    }
    if (errno != EEXIST || attempt == 100) return failed(errno, "make a temporary directory");
  }
  int fd = openat(parent_, temporary_.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0) return failed(errno, "open the temporary directory");
  open_.push_back(fd);
  name_ = kRoot;
  return {};
}

Failure Unpacker::begin_directory() {
  if (mkdirat(open_.back(), name_.c_str(), 0777) < 0) return failed(errno, "make a directory");
  int fd = openat(open_.back(), name_.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0) return failed(errno, "open a directory");
  open_.push_back(fd);
  return {};
}

Failure Unpacker::entry(std::string_view name) {
  name_ = name;
  return {};
}

Failure Unpacker::end_directory() {
  ::close(open_.back());
  open_.pop_back();
  return {};
}

Failure Unpacker::symlink(std::string_view target) {
  std::string text(target);
  if (symlinkat(text.c_str(), open_.back(), name_.c_str()) < 0) return failed(errno, "make a symlink");
  return {};
}

Failure Unpacker::begin_file(bool executable, uint64_t) {
  file_ = openat(open_.back(), name_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
                 executable ? 0777 : 0666);
  if (file_ < 0) return failed(errno, "make a file");
  return {};
}

Failure Unpacker::data(const uint8_t* bytes, size_t size) {
  while (size > 0) {
    ssize_t n = ::write(file_, bytes, size);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return failed(errno, "write a file");
    bytes += n;
    size -= static_cast<size_t>(n);
  }
  return {};
}

Failure Unpacker::end_file() {
  int result = ::close(file_);
  file_ = -1;
  if (result < 0 && errno != EINTR) return failed(errno, "close a file");
  return {};
}

Failure Unpacker::commit() {
  int error = rename_new(open_[0], kRoot, parent_, base_.c_str());
  if (error == EEXIST || error == ENOTEMPTY) return exists();
  if (error != 0) return failed(error, "move the tree to its place");
  abandon();
  return {};
}

void Unpacker::abandon() {
  if (file_ >= 0) ::close(file_);
  file_ = -1;
  for (int fd : open_) ::close(fd);
  open_.clear();
  if (!temporary_.empty()) remove_tree(parent_, temporary_.c_str());
  temporary_.clear();
  if (parent_ >= 0) ::close(parent_);
  parent_ = -1;
}

Failure unpack(int fd, const std::string& target, Digest& out) {
  Unpacker unpacker;
  if (Failure failure = unpacker.open(target)) return failure;
  Reader reader(unpacker);
  HashStage stage;
  for (;;) {
    size_t space;
    uint8_t* to = stage.room(space);
    ssize_t n = ::read(fd, to, space);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EAGAIN) {
      struct pollfd entry = {fd, POLLIN, 0};
      (void)poll(&entry, 1, -1);
      continue;
    }
    if (n < 0) return {"ERR_NAR_READ", "cannot read the NAR: " + errno_text(errno)};
    if (n == 0) break;
    if (Failure failure = reader.push(to, static_cast<size_t>(n))) return failure;
    stage.advance(static_cast<size_t>(n));
  }
  if (Failure failure = reader.end()) return failure;
  out = stage.finish();
  return unpacker.commit();
}

}  // namespace tvix::nar
