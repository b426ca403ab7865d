// The low-level operations. A hit is answered on the thread that read the request; a miss parks the request, which is
// answered when JavaScript has filled what was missing, or by EINTR when its caller gives up.
#include "fuse/operations.h"

#include <linux/fuse.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "fuse/state.h"

namespace tvix::fuse {

namespace {

using namespace std::literals;

// Contents never change: what the kernel was told holds for ever.
constexpr double kForever = 1e9;

State& state_of(fuse_req_t req) { return static_cast<Channel*>(fuse_req_userdata(req))->state; }

// ——— parking

void interrupted(fuse_req_t, void* number);

// Asks and parks the request; `resume` runs once with the answer unless the request was interrupted before.
template <class Resume>
void park(fuse_req_t req, Miss miss, Resume resume) {
  State& state = state_of(req);
  state.asked++;
  uint64_t number;
  {
    std::lock_guard lock(state.parked_mutex);
    number = state.next_parked++;
    state.parked[number] = req;
  }
  fuse_req_interrupt_func(req, interrupted, reinterpret_cast<void*>(number));
  state.misses.ask(std::move(miss), [&state, number, resume = std::move(resume)](const Answer& answer) {
    fuse_req_t req;
    {
      std::lock_guard lock(state.parked_mutex);
      auto found = state.parked.find(number);
      if (found == state.parked.end()) return;
      req = static_cast<fuse_req_t>(found->second);
      state.parked.erase(found);
    }
    fuse_req_interrupt_func(req, nullptr, nullptr);
    if (answer.error != 0) {
      fuse_reply_err(req, answer.error);
    } else {
      resume(req, answer);
    }
  });
}

void interrupted(fuse_req_t req, void* number) {
  State& state = state_of(req);
  {
    std::lock_guard lock(state.parked_mutex);
    if (state.parked.erase(reinterpret_cast<uint64_t>(number)) == 0) return;
  }
  fuse_reply_err(req, EINTR);
}

std::string key_of(const Digest& digest) { return {reinterpret_cast<const char*>(digest.data()), digest.size()}; }

// The inode of a request, or false after having answered that there is none.
bool find_inode(fuse_req_t req, fuse_ino_t node, Inode& inode) {
  State& state = state_of(req);
  state.requests.fetch_add(1, std::memory_order_relaxed);
  if (state.inodes.find(node, inode)) return true;
  fuse_reply_err(req, ESTALE);
  return false;
}

// Calls `use(req, listing)` with the entries of a directory, now or when they are known.
template <class Use>
void with_listing(fuse_req_t req, const Digest& digest, Use use) {
  if (auto listing = state_of(req).directories.get(digest)) return use(req, *listing);
  park(req, {Question::kDirectory, key_of(digest)},
       [use = std::move(use)](fuse_req_t req, const Answer& answer) { use(req, *answer.listing); });
}

// ——— attributes

struct stat attributes(const State& state, const Inode& inode) {
  struct stat out{};
  out.st_ino = inode.number;
  out.st_nlink = 1;
  out.st_uid = state.options.uid;
  out.st_gid = state.options.gid;
  out.st_size = static_cast<off_t>(inode.size);
  out.st_blksize = 4096;
  out.st_blocks = static_cast<blkcnt_t>(inode.kind == Kind::kFile ? (inode.size + 511) / 512 : 0);
  out.st_mtim.tv_sec = out.st_atim.tv_sec = out.st_ctim.tv_sec = 1;
  switch (inode.kind) {
    case Kind::kDirectory:
      out.st_mode = S_IFDIR | 0555;
      break;
    case Kind::kFile:
      out.st_mode = S_IFREG | (inode.executable ? 0555 : 0444);
      break;
    case Kind::kSymlink:
      out.st_mode = S_IFLNK | 0777;
      break;
  }
  return out;
}

fuse_entry_param entry_of(State& state, fuse_ino_t parent, const Listing& listing, const Listing::Entry& entry) {
  const Inode inode = inode_of(listing, entry);
  fuse_entry_param out{};
  out.attr = attributes(state, inode);
  out.attr_timeout = out.entry_timeout = kForever;
  out.ino = state.inodes.acquire(parent, listing.name(entry), inode);
  return out;
}

void reply_lookup(fuse_req_t req, fuse_ino_t parent, std::string_view name, const Listing& listing, bool remember) {
  State& state = state_of(req);
  const Listing::Entry* entry = listing.find(name);
  if (!entry) {
    if (!remember) {
      fuse_reply_err(req, ENOENT);
      return;
    }
    fuse_entry_param absent{};
    absent.entry_timeout = kForever;
    fuse_reply_entry(req, &absent);
    return;
  }
  const fuse_entry_param found = entry_of(state, parent, listing, *entry);
  if (found.ino == 0) {
    fuse_reply_err(req, ENFILE);
    return;
  }
  if (fuse_reply_entry(req, &found) != 0) state.inodes.forget(found.ino, 1);
}

void lookup(fuse_req_t req, fuse_ino_t parent, const char* name) {
  Inode inode;
  if (!find_inode(req, parent, inode)) return;
  if (inode.kind != Kind::kDirectory) {
    fuse_reply_err(req, ENOTDIR);
    return;
  }
  if (state_of(req).is_dynamic_root(parent)) {
    if (auto known = state_of(req).names.get(name_digest(name))) {
      reply_lookup(req, parent, name, *known, false);
      return;
    }
    // A name that is absent now may come.
    park(req, {Question::kName, name}, [parent, name = std::string(name)](fuse_req_t req, const Answer& answer) {
      reply_lookup(req, parent, name, *answer.listing, false);
    });
    return;
  }
  if (auto listing = state_of(req).directories.get(inode.digest)) {
    reply_lookup(req, parent, name, *listing, true);
    return;
  }
  with_listing(req, inode.digest, [parent, name = std::string(name)](fuse_req_t req, const Listing& listing) {
    reply_lookup(req, parent, name, listing, true);
  });
}

void forget(fuse_req_t req, fuse_ino_t node, uint64_t lookups) {
  state_of(req).inodes.forget(node, lookups);
  fuse_reply_none(req);
}

void forget_multi(fuse_req_t req, size_t count, fuse_forget_data* forgets) {
  State& state = state_of(req);
  for (size_t i = 0; i < count; i++) state.inodes.forget(forgets[i].ino, forgets[i].nlookup);
  fuse_reply_none(req);
}

void getattr(fuse_req_t req, fuse_ino_t node, fuse_file_info*) {
  Inode inode;
  if (!find_inode(req, node, inode)) return;
  const struct stat attr = attributes(state_of(req), inode);
  fuse_reply_attr(req, &attr, kForever);
}

void readlink(fuse_req_t req, fuse_ino_t node) {
  Inode inode;
  if (!find_inode(req, node, inode)) return;
  if (inode.kind == Kind::kSymlink) {
    fuse_reply_readlink(req, inode.target->c_str());
  } else {
    fuse_reply_err(req, EINVAL);
  }
}

// ——— reading files

void reply_opened(fuse_req_t req, const Passthrough::Opened& opened) {
  // libfuse has no word for the copy's number, which is where the kernel's structure once had its padding.
  constexpr uint32_t kPassthrough = 1u << 7;  // FOPEN_PASSTHROUGH; no other flag may be beside it
  struct {
    uint64_t handle;
    uint32_t flags;
    int32_t backing;
  } const out{opened.handle, opened.backing != 0 ? kPassthrough : uint32_t{FOPEN_KEEP_CACHE}, opened.backing};
  static_assert(sizeof out == sizeof(fuse_open_out));
  if (fuse_reply_buf(req, reinterpret_cast<const char*>(&out), sizeof out) != 0) {
    state_of(req).passthrough.close(opened.handle);
  }
}

// ENOSYS: the kernel stops asking and opens by itself, keeping its pages. With passthrough, which is decided here, it
// has to go on asking.
void open(fuse_req_t req, fuse_ino_t node, fuse_file_info*) {
  Passthrough& passthrough = state_of(req).passthrough;
  if (!passthrough.on()) {
    fuse_reply_err(req, ENOSYS);
    return;
  }
  Inode inode;
  if (!find_inode(req, node, inode)) return;
  if (inode.kind != Kind::kFile || !passthrough.wants(inode.size)) return reply_opened(req, {});
  const Passthrough::Opened opened = passthrough.open(node, inode.digest, false);
  if (opened.handle != 0) return reply_opened(req, opened);
  park(req, {Question::kCopy, key_of(inode.digest), 0, inode.size},
       [node, digest = inode.digest](fuse_req_t req, const Answer&) {
         reply_opened(req, state_of(req).passthrough.open(node, digest, true));
       });
}

void release(fuse_req_t req, fuse_ino_t, fuse_file_info* info) {
  state_of(req).passthrough.close(info->fh);
  fuse_reply_err(req, 0);
}

void reply_range(fuse_req_t req, Blob& blob, uint64_t offset, size_t size) {
  thread_local std::vector<iovec> parts;
  if (blob.view(offset, size, parts)) {
    fuse_reply_iov(req, parts.data(), static_cast<int>(parts.size()));
    return;
  }
  thread_local std::vector<uint8_t> buffer;
  if (buffer.size() < size) buffer.resize(size);
  std::string problem;
  if (blob.read(offset, size, buffer.data(), problem)) {
    fuse_reply_buf(req, reinterpret_cast<const char*>(buffer.data()), size);
    return;
  }
  if (!problem.empty()) state_of(req).log(problem);
  fuse_reply_err(req, EIO);
}

void read_blob(fuse_req_t req, const std::shared_ptr<Blob>& blob, const Inode& inode, uint64_t offset, size_t size) {
  if (blob->size() != inode.size) {
    state_of(req).log("blob " + digest_text(inode.digest) + " has " + std::to_string(blob->size()) +
                      " bytes, its directory says " + std::to_string(inode.size));
    fuse_reply_err(req, EIO);
    return;
  }
  if (!blob->remote()) {
    reply_range(req, *blob, offset, size);
    return;
  }
  park(req, {Question::kRead, key_of(inode.digest), offset, size}, [size](fuse_req_t req, const Answer& answer) {
    // A short answer would be taken for the end of the file and filled with zeros.
    if (answer.size != size) {
      fuse_reply_err(req, EIO);
    } else {
      fuse_reply_buf(req, reinterpret_cast<const char*>(answer.bytes), answer.size);
    }
  });
}

void read(fuse_req_t req, fuse_ino_t node, size_t wanted, off_t at, fuse_file_info*) {
  Inode inode;
  if (!find_inode(req, node, inode)) return;
  if (inode.kind != Kind::kFile || at < 0) {
    fuse_reply_err(req, inode.kind == Kind::kDirectory ? EISDIR : EINVAL);
    return;
  }
  const auto offset = static_cast<uint64_t>(at);
  if (offset >= inode.size) {
    fuse_reply_buf(req, nullptr, 0);
    return;
  }
  const size_t size = std::min<uint64_t>(std::min<size_t>(wanted, kMaxRead), inode.size - offset);
  State& state = state_of(req);
  auto blob = state.blobs.get(inode.digest);
  if (blob && !blob->stale()) {
    read_blob(req, blob, inode, offset, size);
    return;
  }
  state.blobs.remove(inode.digest);
  Miss miss{Question::kBlob, key_of(inode.digest), 0, inode.size};
  if (Inode parent; !state.is_dynamic_root(inode.parent) && state.inodes.find(inode.parent, parent)) {
    miss.directory = key_of(parent.digest);
  }
  park(req, std::move(miss), [inode, offset, size](fuse_req_t req, const Answer& answer) {
    read_blob(req, answer.blob, inode, offset, size);
  });
}

// ——— reading directories

void opendir(fuse_req_t req, fuse_ino_t node, fuse_file_info* info) {
  Inode inode;
  if (!find_inode(req, node, inode)) return;
  const Options& options = state_of(req).options;
  if (!options.dynamic || !options.list_root) {
    fuse_reply_err(req, ENOSYS);
    return;
  }
  // A root whose listing grows must not be cached, so with one there is no "no-opendir".
  if (node != kRootNode) {
    info->cache_readdir = info->keep_cache = 1;
    fuse_reply_open(req, info);
    return;
  }
  park(req, {Question::kRoot, {}}, [](fuse_req_t req, const Answer& answer) {
    State& state = state_of(req);
    fuse_file_info info{};
    info.fh = state.snapshots.open(answer.listing);
    if (info.fh == 0) {
      fuse_reply_err(req, ENFILE);
    } else if (fuse_reply_open(req, &info) != 0) {
      state.snapshots.close(info.fh);
    }
  });
}

void releasedir(fuse_req_t req, fuse_ino_t node, fuse_file_info* info) {
  State& state = state_of(req);
  if (state.is_dynamic_root(node)) state.snapshots.close(info->fh);
  fuse_reply_err(req, 0);
}

mode_t type_of(Kind kind) { return kind == Kind::kDirectory ? S_IFDIR : kind == Kind::kFile ? S_IFREG : S_IFLNK; }

// Offsets: 1 and 2 follow the dots, entry i is followed by offset i + 3.
void reply_entries(fuse_req_t req, fuse_ino_t node, const Inode& inode, const Listing& listing, size_t size, off_t from,
                   bool plus) {
  State& state = state_of(req);
  thread_local std::vector<char> buffer;
  size = std::min<size_t>(size, kMaxRead);
  if (buffer.size() < size) buffer.resize(size);
  size_t used = 0;
  std::vector<fuse_ino_t> acquired;
  auto add = [&](const char* name, const fuse_entry_param& param, off_t next) {
    const size_t left = size - used;
    const size_t length = plus ? fuse_add_direntry_plus(req, buffer.data() + used, left, name, &param, next)
                               : fuse_add_direntry(req, buffer.data() + used, left, name, &param.attr, next);
    if (length > left) return false;
    used += length;
    return true;
  };
  bool room = true;
  fuse_entry_param dots{};
  dots.attr.st_ino = inode.number;
  dots.attr.st_mode = S_IFDIR;
  if (from < 1) room = add(".", dots, 1);
  if (from < 2 && room) room = add("..", dots, 2);
  const auto& entries = listing.entries();
  std::string name;
  for (size_t i = from > 2 ? static_cast<size_t>(from) - 2 : 0; room && i < entries.size(); i++) {
    const Listing::Entry& entry = entries[i];
    name = listing.name(entry);
    fuse_entry_param param{};
    // Without an inode, for which there may be no room, an entry is a name only; who wants more looks it up.
    if (plus) param = entry_of(state, node, listing, entry);
    if (param.ino == 0) {
      param = {};
      param.attr.st_ino = inode_of(listing, entry).number;
      param.attr.st_mode = type_of(entry.kind);
    }
    room = add(name.c_str(), param, static_cast<off_t>(i) + 3);
    if (param.ino != 0) {
      if (room) {
        acquired.push_back(param.ino);
      } else {
        state.inodes.forget(param.ino, 1);
      }
    }
  }
  if (fuse_reply_buf(req, buffer.data(), used) == 0) return;
  for (const fuse_ino_t ino : acquired) state.inodes.forget(ino, 1);
}

void read_directory(fuse_req_t req, fuse_ino_t node, size_t size, off_t offset, fuse_file_info* info, bool plus) {
  Inode inode;
  if (!find_inode(req, node, inode)) return;
  if (inode.kind != Kind::kDirectory || offset < 0) {
    fuse_reply_err(req, inode.kind == Kind::kDirectory ? EINVAL : ENOTDIR);
    return;
  }
  State& state = state_of(req);
  if (state.is_dynamic_root(node)) {
    if (!state.options.list_root) {
      fuse_reply_err(req, EPERM);
      return;
    }
    const auto snapshot = state.snapshots.get(info->fh);
    if (!snapshot) {
      fuse_reply_err(req, EBADF);
      return;
    }
    reply_entries(req, node, inode, *snapshot, size, offset, plus);
    return;
  }
  with_listing(req, inode.digest, [=](fuse_req_t req, const Listing& listing) {
    reply_entries(req, node, inode, listing, size, offset, plus);
  });
}

void readdir(fuse_req_t req, fuse_ino_t node, size_t size, off_t offset, fuse_file_info* info) {
  read_directory(req, node, size, offset, info, false);
}

void readdirplus(fuse_req_t req, fuse_ino_t node, size_t size, off_t offset, fuse_file_info* info) {
  read_directory(req, node, size, offset, info, true);
}

// ——— extended attributes and totals

// A file's or directory's digest goes by two names: ours and that of the protocol's other implementation.
constexpr std::string_view kFileNames = "user.tvix.castore.blob.digest\0user.snix.castore.blob.digest\0"sv;
constexpr std::string_view kDirectoryNames =
    "user.tvix.castore.directory.digest\0user.snix.castore.directory.digest\0"sv;

std::string_view names_of(const State& state, fuse_ino_t node, const Inode& inode) {
  if (inode.kind == Kind::kSymlink || state.is_dynamic_root(node)) return {};
  return inode.kind == Kind::kFile ? kFileNames : kDirectoryNames;
}

void reply_attribute(fuse_req_t req, std::string_view value, size_t size) {
  if (size == 0) {
    fuse_reply_xattr(req, value.size());
  } else if (size < value.size()) {
    fuse_reply_err(req, ERANGE);
  } else {
    fuse_reply_buf(req, value.data(), value.size());
  }
}

void getxattr(fuse_req_t req, fuse_ino_t node, const char* name, size_t size) {
  Inode inode;
  if (!find_inode(req, node, inode)) return;
  std::string wanted(name);
  wanted += '\0';
  const std::string_view names = names_of(state_of(req), node, inode);
  const size_t at = names.find(wanted);
  if (at == names.npos || (at > 0 && names[at - 1] != '\0')) {
    fuse_reply_err(req, ENODATA);
  } else {
    reply_attribute(req, digest_text(inode.digest), size);
  }
}

void listxattr(fuse_req_t req, fuse_ino_t node, size_t size) {
  Inode inode;
  if (!find_inode(req, node, inode)) return;
  reply_attribute(req, names_of(state_of(req), node, inode), size);
}

void statfs(fuse_req_t req, fuse_ino_t) {
  State& state = state_of(req);
  struct statvfs out{};
  out.f_bsize = out.f_frsize = 4096;
  out.f_blocks = (state.totals_bytes.load() + 4095) / 4096;
  out.f_files = state.totals_files.load();
  out.f_namemax = 255;
  out.f_flag = ST_RDONLY;
  fuse_reply_statfs(req, &out);
}

void init(void* userdata, fuse_conn_info* connection) {
  const unsigned wanted = FUSE_CAP_ASYNC_READ | FUSE_CAP_PARALLEL_DIROPS | FUSE_CAP_READDIRPLUS |
                          FUSE_CAP_READDIRPLUS_AUTO | FUSE_CAP_CACHE_SYMLINKS | FUSE_CAP_NO_OPEN_SUPPORT |
                          FUSE_CAP_NO_OPENDIR_SUPPORT;
  // No splicing: slower than copying, and three times the CPU. No invalidation: nothing changes.
  connection->want = connection->capable & wanted;
  connection->max_write = kMaxRead;  // libfuse derives the pages of a read request from it
  connection->max_readahead = kMaxRead;
  connection->max_background = 64;
  connection->congestion_threshold = 48;
  const State& state = static_cast<Channel*>(userdata)->state;
  if (state.initialised) state.initialised();
}

}  // namespace

void interrupt_all(State& state) {
  std::map<uint64_t, void*> parked;
  {
    std::lock_guard lock(state.parked_mutex);
    parked.swap(state.parked);
  }
  for (const auto& [number, req] : parked) fuse_reply_err(static_cast<fuse_req_t>(req), EINTR);
}

const fuse_lowlevel_ops& operations() {
  static const fuse_lowlevel_ops ops = [] {
    fuse_lowlevel_ops out{};
    out.init = init;
    out.lookup = lookup;
    out.forget = forget;
    out.forget_multi = forget_multi;
    out.getattr = getattr;
    out.readlink = readlink;
    out.open = open;
    out.read = read;
    out.release = release;
    out.opendir = opendir;
    out.releasedir = releasedir;
    out.readdir = readdir;
    out.readdirplus = readdirplus;
    out.getxattr = getxattr;
    out.listxattr = listxattr;
    out.statfs = statfs;
    return out;
  }();
  return ops;
}

}  // namespace tvix::fuse
