// The peer of mounts: a file system on libfuse in plain C whose bytes come from memory; and the clock for both.
//
//   fuse-peer mount DIR     serves big (1 GiB), small/ (20 000 files of 1 to 4 KiB) and wide/ (100 000 empty files)
//   fuse-peer read FILE     reads a file by pieces of 1 MiB: seconds
//   fuse-peer small DIR     opens, reads and closes every file of a directory: seconds
//   fuse-peer find DIR      reads a directory and the attributes of all in it: seconds
//   fuse-peer drop DIR      drops the pages of a file, or of a directory's files, from the page cache
#define _GNU_SOURCE
#define FUSE_USE_VERSION 35
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fuse3/fuse_lowlevel.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { SMALL = 20000, WIDE = 100000, BIG_INODE = 2, SMALL_INODE = 3, WIDE_INODE = 4, FIRST_SMALL = 10 };
#define FIRST_WIDE (FIRST_SMALL + SMALL)
#define BIG_SIZE (1UL << 30)

static char bytes[(1 << 20) + 4096];

static struct stat attributes(fuse_ino_t inode) {
  struct stat out = {.st_ino = inode, .st_nlink = 1, .st_mode = S_IFREG | 0444};
  if (inode == FUSE_ROOT_ID || inode == SMALL_INODE || inode == WIDE_INODE) out.st_mode = S_IFDIR | 0555;
  if (inode == BIG_INODE) out.st_size = BIG_SIZE;
  if (inode >= FIRST_SMALL && inode < FIRST_WIDE) out.st_size = 1024 + (inode * 37) % 3072;
  return out;
}

static struct fuse_entry_param entry(fuse_ino_t inode) {
  struct fuse_entry_param out = {.ino = inode, .attr = attributes(inode), .attr_timeout = 1e9, .entry_timeout = 1e9};
  return out;
}

// The inode of entry `index` of a directory, and its name; 0 when there is none.
static fuse_ino_t child(fuse_ino_t parent, size_t index, char name[32]) {
  static const char* const top[] = {"big", "small", "wide"};
  if (parent == FUSE_ROOT_ID && index < 3) return strcpy(name, top[index]), BIG_INODE + index;
  if (parent == SMALL_INODE && index < SMALL) return sprintf(name, "file-%06zu", index), FIRST_SMALL + index;
  if (parent == WIDE_INODE && index < WIDE) return sprintf(name, "file-%06zu", index), FIRST_WIDE + index;
  return 0;
}

static void on_init(void* data, struct fuse_conn_info* connection) {
  (void)data;
  connection->want = connection->capable & (FUSE_CAP_ASYNC_READ | FUSE_CAP_PARALLEL_DIROPS | FUSE_CAP_READDIRPLUS |
                                            FUSE_CAP_READDIRPLUS_AUTO | FUSE_CAP_NO_OPEN_SUPPORT |
                                            FUSE_CAP_NO_OPENDIR_SUPPORT);
  connection->max_write = connection->max_readahead = 1 << 20;
}

static void on_lookup(fuse_req_t req, fuse_ino_t parent, const char* name) {
  char known[32];
  const char* digits = strrchr(name, '-');
  const size_t first = digits ? strtoul(digits + 1, NULL, 10) : 0;
  for (size_t i = first; i < first + 3; i++) {
    const fuse_ino_t inode = child(parent, i, known);
    if (inode == 0 || strcmp(known, name) != 0) continue;
    const struct fuse_entry_param found = entry(inode);
    fuse_reply_entry(req, &found);
    return;
  }
  fuse_reply_err(req, ENOENT);
}

static void on_getattr(fuse_req_t req, fuse_ino_t inode, struct fuse_file_info* info) {
  (void)info;
  const struct stat found = attributes(inode);
  fuse_reply_attr(req, &found, 1e9);
}

static void on_open(fuse_req_t req, fuse_ino_t inode, struct fuse_file_info* info) {
  (void)inode, (void)info;
  fuse_reply_err(req, ENOSYS);
}

static void on_read(fuse_req_t req, fuse_ino_t inode, size_t size, off_t offset, struct fuse_file_info* info) {
  (void)info;
  const size_t end = (size_t)attributes(inode).st_size;
  const size_t left = (size_t)offset < end ? end - (size_t)offset : 0;
  fuse_reply_buf(req, bytes + offset % 4096, size < left ? size : left);
}

static void list(fuse_req_t req, fuse_ino_t inode, size_t size, off_t offset, int plus) {
  char* buffer = malloc(size);
  char name[32];
  size_t used = 0;
  for (size_t i = (size_t)offset;; i++) {
    const fuse_ino_t one = child(inode, i, name);
    if (one == 0) break;
    const struct fuse_entry_param found = entry(one);
    const size_t need = plus ? fuse_add_direntry_plus(req, buffer + used, size - used, name, &found, (off_t)i + 1)
                             : fuse_add_direntry(req, buffer + used, size - used, name, &found.attr, (off_t)i + 1);
    if (need > size - used) break;
    used += need;
  }
  fuse_reply_buf(req, buffer, used);
  free(buffer);
}

static void on_readdir(fuse_req_t req, fuse_ino_t inode, size_t size, off_t offset, struct fuse_file_info* info) {
  (void)info;
  list(req, inode, size, offset, 0);
}

static void on_readdirplus(fuse_req_t req, fuse_ino_t inode, size_t size, off_t offset, struct fuse_file_info* info) {
  (void)info;
  list(req, inode, size, offset, 1);
}

static int serve(const char* directory) {
  static const struct fuse_lowlevel_ops ops = {.init = on_init,
                                               .lookup = on_lookup,
                                               .getattr = on_getattr,
                                               .open = on_open,
                                               .opendir = on_open,
                                               .read = on_read,
                                               .readdir = on_readdir,
                                               .readdirplus = on_readdirplus};
  char* argv[] = {"fuse-peer", "-o", "ro,fsname=fuse-peer", NULL};
  struct fuse_args args = FUSE_ARGS_INIT(3, argv);
  struct fuse_session* session = fuse_session_new(&args, &ops, sizeof ops, NULL);
  if (!session || fuse_set_signal_handlers(session) != 0 || fuse_session_mount(session, directory) != 0) return 1;
  puts("mounted");
  fflush(stdout);
  const int status = fuse_session_loop(session);
  fuse_session_unmount(session);
  fuse_session_destroy(session);
  return status != 0;
}

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static char buffer[1 << 20];

static void fail(const char* path) {
  perror(path);
  exit(1);
}

// Reads a whole file below a directory, or drops its pages.
static void visit(int directory, const char* name, int drop) {
  const int fd = openat(directory, name, O_RDONLY);
  ssize_t got = 0;
  if (fd < 0) fail(name);
  if (drop) posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
  else
    while ((got = read(fd, buffer, sizeof buffer)) > 0) continue;
  if (got < 0) fail(name);
  close(fd);
}

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  const char* command = argv[1];
  if (strcmp(command, "mount") == 0) {
    for (size_t i = 0; i < sizeof bytes; i++) bytes[i] = (char)(i * 31);
    return serve(argv[2]);
  }
  const int drop = strcmp(command, "drop") == 0;
  const double begin = now();
  DIR* directory = opendir(argv[2]);
  if (!directory) visit(AT_FDCWD, argv[2], drop);
  for (struct dirent* one; directory && (one = readdir(directory));) {
    struct stat attr;
    if (one->d_name[0] == '.') continue;
    if (strcmp(command, "find") != 0) visit(dirfd(directory), one->d_name, drop);
    else if (fstatat(dirfd(directory), one->d_name, &attr, AT_SYMLINK_NOFOLLOW) != 0) fail(one->d_name);
  }
  printf("%.6f\n", now() - begin);
  return 0;
}
