// A file opened to be read to its end, with the means to tell whether it changed meanwhile.
#pragma once

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>

namespace tvix {

class File {
 public:
  // Beside errno values, what read_all and open give as an error.
  static constexpr int kChanged = -1;
  static constexpr int kNotRegular = -2;

  File() = default;
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  ~File() {
    if (fd_ >= 0) ::close(fd_);
  }

  // 0 or an error. O_NONBLOCK only so that a pipe is refused instead of waited for.
  int open(const char* path) {
    do {
      fd_ = ::open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    } while (fd_ < 0 && errno == EINTR);
    if (fd_ < 0) return errno;
    if (::fstat(fd_, &before_) != 0) return errno;
    return S_ISREG(before_.st_mode) ? 0 : kNotRegular;
  }

  uint64_t size() const { return static_cast<uint64_t>(before_.st_size); }

  // Reads up to `size` bytes from `offset`, fewer only at the end of the file. 0 or an errno.
  int read(uint8_t* out, size_t size, uint64_t offset, size_t& got) const {
    got = 0;
    while (got < size) {
      const ssize_t n = ::pread(fd_, out + got, size - got, static_cast<off_t>(offset + got));
      if (n == 0) return 0;
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return errno;
      got += static_cast<size_t>(n);
    }
    return 0;
  }

  // Whether the file is, by size and time of modification, still what was opened. 0, kChanged or an errno.
  int check_unchanged() const {
    struct stat after;
    if (::fstat(fd_, &after) != 0) return errno;
#if defined(__APPLE__)
    const timespec &then = before_.st_mtimespec, &now = after.st_mtimespec;
#else
    const timespec &then = before_.st_mtim, &now = after.st_mtim;
#endif
    const bool same = after.st_size == before_.st_size && now.tv_sec == then.tv_sec && now.tv_nsec == then.tv_nsec;
    return same ? 0 : kChanged;
  }

  // Gives the whole file to take(bytes, size) in order. 0 or an error. Files that have no size of their own (/proc)
  // are read until they end.
  template <class Take>
  int read_all(uint8_t* buffer, size_t buffer_size, uint64_t& total, const Take& take) const {
    total = 0;
    for (;;) {
      size_t got;
      if (const int error = read(buffer, buffer_size, total, got)) return error;
      take(buffer, got);
      total += got;
      if (got < buffer_size) break;
    }
    if (size() != 0 && total != size()) return kChanged;
    return check_unchanged();
  }

 private:
  int fd_ = -1;
  struct stat before_{};
};

}  // namespace tvix
