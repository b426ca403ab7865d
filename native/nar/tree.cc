// The walk: openat with O_NOFOLLOW from directory to directory, names sorted as bytes.
#include "nar/tree.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

namespace tvix::nar {

namespace {

// A descriptor that closes itself.
class Fd {
 public:
  explicit Fd(int fd) : fd_(fd) {}
  ~Fd() {
    if (fd_ >= 0) ::close(fd_);
  }
  Fd(const Fd&) = delete;
  Fd& operator=(const Fd&) = delete;
  int get() const { return fd_; }

 private:
  int fd_;
};

struct Child {
  uint32_t offset;  // of the NUL-terminated name
  uint32_t length;
  uint8_t type;  // DT_…
};

// The names in a directory, sorted; "." and ".." left out.
struct Children {
  std::string text;
  std::vector<Child> list;

  void add(const char* name, uint8_t type) {
    size_t length = std::strlen(name);
    if (length <= 2 && name[0] == '.' && (length == 1 || name[1] == '.')) return;
    list.push_back({static_cast<uint32_t>(text.size()), static_cast<uint32_t>(length), type});
    text.append(name, length + 1);
  }

  int read(int fd, std::vector<char>& buffer) {
#if defined(__GLIBC__)
    buffer.resize(64 * 1024);
    for (;;) {
      ssize_t n = getdents64(fd, buffer.data(), buffer.size());
      if (n < 0) return errno;
      if (n == 0) break;
      for (ssize_t at = 0; at < n;) {
        const auto* entry = reinterpret_cast<const struct dirent64*>(buffer.data() + at);
        add(entry->d_name, entry->d_type);
        at += entry->d_reclen;
      }
    }
#else
    (void)buffer;
    DIR* directory = fdopendir(dup(fd));
    if (directory == nullptr) return errno;
    errno = 0;
    while (const struct dirent* entry = readdir(directory)) add(entry->d_name, entry->d_type);
    int error = errno;
    closedir(directory);
    if (error != 0) return error;
#endif
    std::sort(list.begin(), list.end(), [this](const Child& a, const Child& b) {
      int order = std::memcmp(text.data() + a.offset, text.data() + b.offset, std::min(a.length, b.length));
      return order != 0 ? order < 0 : a.length < b.length;
    });
    return 0;
  }
};

const char* kind_name(mode_t mode) {
  if (S_ISSOCK(mode)) return "a socket";
  if (S_ISFIFO(mode)) return "a named pipe";
  if (S_ISCHR(mode)) return "a character device";
  if (S_ISBLK(mode)) return "a block device";
  return "of an unknown kind";
}

uint8_t type_of(mode_t mode) {
  if (S_ISDIR(mode)) return DT_DIR;
  if (S_ISREG(mode)) return DT_REG;
  if (S_ISLNK(mode)) return DT_LNK;
  return DT_FIFO;
}

#if defined(__APPLE__)
const timespec& modified(const struct stat& st) { return st.st_mtimespec; }
#else
const timespec& modified(const struct stat& st) { return st.st_mtim; }
#endif

bool same(const struct stat& a, const struct stat& b) {
  return a.st_size == b.st_size && modified(a).tv_sec == modified(b).tv_sec &&
         modified(a).tv_nsec == modified(b).tv_nsec;
}

class Walker {
 public:
  Walker(const std::string& path, const WalkOptions& options, NodeSink& sink, FileSink* reader)
      : path_(path), options_(options), sink_(sink), reader_(reader) {
    while (path_.size() > 1 && path_.back() == '/') path_.pop_back();
  }

  Failure run() {
    std::string root = path_;
    next_ = 1;
    return node(AT_FDCWD, root.c_str(), DT_UNKNOWN, 0);
  }

 private:
  Failure changed(const char* how) const {
    return {"ERR_TREE_CHANGED", quoted(path_) + " " + how + " while it was read",
            "try again when nothing writes to it"};
  }

  Failure failed(int error) const {
    const bool root = depth_ == 0;
    if (error == ENOENT && root) return {"ERR_TREE_MISSING", "there is no " + quoted(path_)};
    if (error == ENOENT) return changed("vanished");
    if (error == ELOOP || error == ENOTDIR) {
      return root ? Failure{"ERR_TREE_MISSING", "there is no " + quoted(path_)} : changed("was replaced");
    }
    if (error == EACCES || error == EPERM) {
      return {"ERR_TREE_UNREADABLE", "no permission to read " + quoted(path_)};
    }
    if (error == ENAMETOOLONG) return {"ERR_TREE_NAME", "the name is too long: " + quoted(path_)};
    return {"ERR_TREE_IO", "cannot read " + quoted(path_) + ": " + errno_text(error)};
  }

  Failure node(int parent, const char* name, uint8_t type, uint32_t index) {
    if (options_.stop && *options_.stop) return {"ERR_INGEST_CLOSED", "the ingestion was closed"};
    struct stat st;
    bool known = false;
    if (type == DT_UNKNOWN || (type == DT_REG && !reader_) || (type != DT_REG && type != DT_DIR && type != DT_LNK)) {
      if (fstatat(parent, name, &st, AT_SYMLINK_NOFOLLOW) < 0) return failed(errno);
      known = true;
      type = type_of(st.st_mode);
    }
    if (options_.only) {
      uint8_t kind = options_.only->kinds[index];
      uint8_t listed = kind == kDirectory ? DT_DIR : kind == kSymlink ? DT_LNK : DT_REG;
      if (listed != type) return changed("became another kind of file");
    }
    switch (type) {
      case DT_DIR:
        return directory(parent, name, index);
      case DT_LNK:
        return symlink(parent, name);
      case DT_REG:
        if (!reader_ && known) {
          if (Failure failure = sink_.begin_file(st.st_mode & S_IXUSR, static_cast<uint64_t>(st.st_size))) {
            return failure;
          }
          return sink_.end_file();
        }
        return file(parent, name);
      default:
        return {"ERR_TREE_KIND", quoted(path_) + " is " + kind_name(st.st_mode),
                "only directories, regular files and symlinks can be in a store"};
    }
  }

  Failure symlink(int parent, const char* name) {
    target_.resize(kMaxTarget + 1);
    ssize_t n = readlinkat(parent, name, target_.data(), target_.size());
    if (n < 0) return errno == EINVAL ? changed("was replaced") : failed(errno);
    if (n == 0 || static_cast<size_t>(n) > kMaxTarget) {
      return {"ERR_TREE_NAME", "the target of the symlink " + quoted(path_) + " is not of 1 to 4095 bytes"};
    }
    return sink_.symlink({target_.data(), static_cast<size_t>(n)});
  }

  Failure file(int parent, const char* name) {
    // O_NONBLOCK: should a pipe have taken the file's place, opening it must not wait for a writer.
    Fd fd(openat(parent, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
    struct stat before;
    if (fd.get() < 0 || fstat(fd.get(), &before) < 0) return failed(errno);
    if (!S_ISREG(before.st_mode)) return changed("was replaced");
    auto size = static_cast<uint64_t>(before.st_size);
    if (Failure failure = sink_.begin_file(before.st_mode & S_IXUSR, size)) return failure;
    int error = 0;
    if (size > 0) {
      if (Failure failure = reader_->contents(fd.get(), size, error)) return failure;
    }
    if (error == FileSink::kShort) return changed("became shorter");
    if (error != 0) return failed(error);
    struct stat after;
    if (fstat(fd.get(), &after) < 0) return failed(errno);
    if (!same(before, after)) return changed("changed");
    return sink_.end_file();
  }

  Failure directory(int parent, const char* name, uint32_t index) {
    if (depth_ >= kMaxDepth) {
      return {"ERR_TREE_TOO_DEEP", "directories nest deeper than " + std::to_string(kMaxDepth) + ": " + quoted(path_)};
    }
    Fd fd(openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (fd.get() < 0) return failed(errno);
    if (Failure failure = sink_.begin_directory()) return failure;
    depth_++;
    Failure failure = options_.only ? listed_children(fd.get(), index) : all_children(fd.get());
    if (failure) return failure;
    depth_--;
    return sink_.end_directory();
  }

  Failure child(int parent, std::string_view name, const char* terminated, uint8_t type, uint32_t index) {
    const size_t length = path_.size();
    if (path_.back() != '/') path_ += '/';
    path_ += name;
    if (name.size() > kMaxName) return {"ERR_TREE_NAME", "a name is longer than 255 bytes: " + quoted(path_)};
    if (Failure failure = sink_.entry(name)) return failure;
    if (Failure failure = node(parent, terminated, type, index)) return failure;
    path_.resize(length);
    return {};
  }

  Failure all_children(int fd) {
    Children children;
    if (int error = children.read(fd, buffer_)) return failed(error);
    for (const Child& each : children.list) {
      const char* name = children.text.data() + each.offset;
      if (Failure failure = child(fd, {name, each.length}, name, each.type, 0)) return failure;
    }
    return {};
  }

  Failure listed_children(int fd, uint32_t index) {
    const Listing& only = *options_.only;
    while (next_ < only.count() && only.parents[next_] == index) {
      uint32_t i = next_++;
      std::string name(only.name(i));
      if (Failure failure = child(fd, name, name.c_str(), DT_UNKNOWN, i)) return failure;
    }
    return {};
  }

  std::string path_;
  const WalkOptions& options_;
  NodeSink& sink_;
  FileSink* reader_;
  size_t depth_ = 0;
  uint32_t next_ = 0;  // the next entry of options_.only
  std::vector<char> buffer_;
  std::vector<char> target_;
};

class ListingSink : public NodeSink {
 public:
  Failure begin_directory() override {
    builder.begin_directory();
    return {};
  }
  Failure entry(std::string_view name) override {
    builder.entry(name);
    return {};
  }
  Failure end_directory() override {
    builder.end_directory();
    return {};
  }
  Failure symlink(std::string_view target) override {
    builder.symlink(target);
    return {};
  }
  Failure begin_file(bool executable, uint64_t size) override {
    builder.file(executable, size);
    return {};
  }
  Failure end_file() override { return {}; }

  ListingBuilder builder;
};

bool valid_name(std::string_view name) {
  return !name.empty() && name.size() <= kMaxName && name != "." && name != ".." &&
         name.find('/') == std::string_view::npos && name.find('\0') == std::string_view::npos;
}

}  // namespace

uint32_t ListingBuilder::add(Kind kind, std::string_view target, uint64_t size) {
  auto index = static_cast<uint32_t>(listing_.kinds.size());
  listing_.kinds.push_back(kind);
  listing_.parents.push_back(open_.empty() ? kNoParent : open_.back());
  listing_.sizes.push_back(static_cast<double>(size));
  listing_.text.insert(listing_.text.end(), name_.begin(), name_.end());
  listing_.ends.push_back(static_cast<uint32_t>(listing_.text.size()));
  listing_.text.insert(listing_.text.end(), target.begin(), target.end());
  listing_.ends.push_back(static_cast<uint32_t>(listing_.text.size()));
  if (!open_.empty()) listing_.sizes[open_.back()] += 1;
  return index;
}

void ListingBuilder::entry(std::string_view name) { name_.assign(name); }
void ListingBuilder::begin_directory() { open_.push_back(add(kDirectory, {}, 0)); }
void ListingBuilder::symlink(std::string_view target) { add(kSymlink, target, target.size()); }
uint32_t ListingBuilder::file(bool executable, uint64_t size) {
  return add(executable ? kExecutable : kRegular, {}, size);
}

bool Listing::valid() const {
  const size_t n = count();
  if (n == 0 || parents.size() != n || sizes.size() != n || ends.size() != 2 * n) return false;
  if (parents[0] != kNoParent || ends[0] != 0) return false;
  uint32_t at = 0;
  for (uint32_t end : ends) {
    if (end < at || end > text.size()) return false;
    at = end;
  }
  std::vector<uint32_t> open;
  std::vector<uint32_t> last;  // the last entry seen in each open directory; the directory itself before the first
  for (uint32_t i = 0; i < n; i++) {
    if (kinds[i] > kSymlink || (kinds[i] == kSymlink) == target(i).empty() || target(i).size() > kMaxTarget)
      return false;
    if (target(i).find('\0') != std::string_view::npos) return false;
    if (i > 0) {
      while (!open.empty() && open.back() != parents[i]) {
        open.pop_back();
        last.pop_back();
      }
      if (open.empty() || !valid_name(name(i))) return false;
      if (last.back() != open.back() && name(last.back()) >= name(i)) return false;
      last.back() = i;
    }
    if (kinds[i] != kDirectory) continue;
    if (open.size() >= kMaxDepth) return false;
    open.push_back(i);
    last.push_back(i);
  }
  return true;
}

Failure walk(const std::string& path, const WalkOptions& options, FileSink& sink) {
  return Walker(path, options, sink, &sink).run();
}

Failure list(const std::string& path, Listing& listing) {
  ListingSink sink;
  WalkOptions options;
  Failure failure = Walker(path, options, sink, nullptr).run();
  listing = sink.builder.take();
  return failure;
}

}  // namespace tvix::nar
