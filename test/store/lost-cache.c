// Preloaded into a process, keeps beside a directory a copy of it as a power failure would leave it: a file's bytes
// are copied when the file is synced, writes through a synchronous descriptor at once, and everything else never.
//
// TVIX_LOST_FROM and TVIX_LOST_TO name the directory and the copy. A copy is renamed into place, so that a kill in the
// midst of one leaves the former, as a disk does that never finished the sync.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int shadow_path(int fd, char *from, char *to) {
  const char *source = getenv("TVIX_LOST_FROM");
  const char *target = getenv("TVIX_LOST_TO");
  char link[64];
  if (source == NULL || target == NULL) return 0;
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t length = readlink(link, from, PATH_MAX - 1);
  if (length < 0) return 0;
  from[length] = 0;
  size_t base = strlen(source);
  if (strncmp(from, source, base) != 0 || from[base] != '/') return 0;
  snprintf(to, PATH_MAX, "%s%s", target, from + base);
  for (char *at = to + strlen(target) + 1; (at = strchr(at, '/')) != NULL; at++) {
    *at = 0;
    mkdir(to, 0755);
    *at = '/';
  }
  return 1;
}

static void copy_file(int fd) {
  char from[PATH_MAX], to[PATH_MAX], temporary[PATH_MAX + 8];
  struct stat stat;
  if (!shadow_path(fd, from, to) || fstat(fd, &stat) != 0 || !S_ISREG(stat.st_mode)) return;
  snprintf(temporary, sizeof temporary, "%s.copy", to);
  int in = open(from, O_RDONLY | O_CLOEXEC);
  int out = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (in >= 0 && out >= 0) {
    ssize_t count;
    while ((count = copy_file_range(in, NULL, out, NULL, 1 << 24, 0)) > 0) {
    }
    if (count == 0) rename(temporary, to);
  }
  if (in >= 0) close(in);
  if (out >= 0) close(out);
}

static int synced(const char *name, int fd) {
  int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, name);
  int result = real(fd);
  int error = errno;
  if (result == 0) copy_file(fd);
  errno = error;
  return result;
}

int fsync(int fd) { return synced("fsync", fd); }
int fdatasync(int fd) { return synced("fdatasync", fd); }

static ssize_t written(const char *name, int fd, const void *bytes, size_t count, off64_t offset) {
  ssize_t (*real)(int, const void *, size_t, off64_t) = (ssize_t(*)(int, const void *, size_t, off64_t))dlsym(RTLD_NEXT, name);
  ssize_t result = real(fd, bytes, count, offset);
  int error = errno;
  char from[PATH_MAX], to[PATH_MAX];
  if (result > 0 && (fcntl(fd, F_GETFL) & (O_DSYNC | O_SYNC)) != 0 && shadow_path(fd, from, to)) {
    int out = open(to, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    if (out >= 0) {
      real(out, bytes, (size_t)result, offset);
      close(out);
    }
  }
  errno = error;
  return result;
}

ssize_t pwrite(int fd, const void *bytes, size_t count, off_t offset) {
  return written("pwrite", fd, bytes, count, offset);
}
ssize_t pwrite64(int fd, const void *bytes, size_t count, off64_t offset) {
  return written("pwrite64", fd, bytes, count, offset);
}
