// Reading a pack: nothing leaves unverified.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "blake3/blake3.h"
#include "common/bytes.h"
#include "pack/pack.h"

namespace tvix::pack {

namespace {

// Small chunks are hashed together; more than this many bytes at a time would fall out of the near caches.
constexpr size_t kGroupBytes = 256 * 1024;

Failure failed(const std::string& path, int error) {
  if (error == ENOENT) return {"ERR_PACK_MISSING", "there is no pack " + quoted(path)};
  return {"ERR_PACK_IO", "cannot read the pack " + quoted(path) + ": " + errno_text(error)};
}

ssize_t pread_up_to(int fd, uint8_t* out, size_t size, uint64_t offset) {
  size_t done = 0;
  while (done < size) {
    ssize_t n = pread(fd, out + done, size - done, static_cast<off_t>(offset + done));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return -1;
    if (n == 0) break;
    done += static_cast<size_t>(n);
  }
  return static_cast<ssize_t>(done);
}

}  // namespace

Failure Reader::open(const std::string& path, std::shared_ptr<Reader>& out) {
  int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
  if (fd < 0) return failed(path, errno);
  std::shared_ptr<Reader> reader(new Reader(path, fd));
  std::array<uint8_t, 12> header{};
  ssize_t n = pread_up_to(fd, header.data(), header.size(), 0);
  if (n < 0) return failed(path, errno);
  if (n < 12 || std::memcmp(header.data(), kMagic, 8) != 0) {
    return {"ERR_PACK_FORMAT", quoted(path) + " is not a pack file"};
  }
  if (uint32_t version = load_le32(header.data() + 8); version != kVersion) {
    return {"ERR_PACK_FORMAT", quoted(path) + " is a pack of version " + std::to_string(version),
            "this version reads version " + std::to_string(kVersion)};
  }
  out = std::move(reader);
  return {};
}

Reader::~Reader() { ::close(fd_); }

Failure Reader::corrupt(const Extent& extent, const char* what) const {
  return {"ERR_PACK_CORRUPT",
          "chunk " + digest_text(extent.digest.data()) + " in the pack " + quoted(path_) + " at offset " +
              std::to_string(extent.offset) + ": " + what,
          "run `tvix store verify --repair` to fetch it again where a remote has it"};
}

Failure Reader::pread_all(uint8_t* out, size_t size, uint64_t offset, const Extent& extent) const {
  ssize_t n = pread_up_to(fd_, out, size, offset);
  if (n < 0) return failed(path_, errno);
  if (static_cast<size_t>(n) < size) return corrupt(extent, "the pack ends before the chunk does");
  return {};
}

Failure Reader::read(const Extent* extents, size_t count, uint8_t* out) {
  std::vector<blake3::Blob> blobs;
  std::vector<blake3::Digest> digests;
  for (size_t first = 0; first < count;) {
    blobs.clear();
    size_t bytes = 0;
    size_t last = first;
    for (; last < count && (last == first || bytes + extents[last].length <= kGroupBytes); last++) {
      const Extent& extent = extents[last];
      if (Failure failure = pread_all(out + bytes, extent.length, extent.offset, extent)) return failure;
      blobs.push_back({out + bytes, extent.length});
      bytes += extent.length;
    }
    digests.resize(blobs.size());
    blake3::hash_blobs(blobs.data(), blobs.size(), digests.data());
    for (size_t i = 0; i < blobs.size(); i++) {
      if (digests[i] != extents[first + i].digest) {
        return corrupt(extents[first + i], "its bytes have another digest");
      }
    }
    out += bytes;
    first = last;
  }
  return {};
}

Failure Reader::read_range(const Extent& extent, uint32_t from, uint8_t* out, size_t size) {
  bool known;
  {
    std::lock_guard lock(mutex_);
    known = verified_.contains(extent.offset);
  }
  if (known) return pread_all(out, size, extent.offset + from, extent);
  std::vector<uint8_t> whole(extent.length);
  if (Failure failure = read(&extent, 1, whole.data())) return failure;
  std::memcpy(out, whole.data() + from, size);
  std::lock_guard lock(mutex_);
  verified_.insert(extent.offset);
  return {};
}

Failure Scan::next(std::vector<Record>& records, uint64_t bytes) {
  struct stat st;
  if (fstat(reader_->fd(), &st) < 0) return failed(reader_->path(), errno);
  auto size = static_cast<uint64_t>(st.st_size);
  uint64_t start = offset_;
  while (offset_ < size && (records.empty() || offset_ - start < bytes)) {
    uint64_t next = (offset_ / kBlock + 1) * kBlock;
    if (Failure failure = at(offset_, size, records, next)) return failure;
    offset_ = next;
  }
  return {};
}

// Whether a record's head, or padding, or the end of the pack may be at `offset`.
bool Scan::plausible(uint64_t offset, uint64_t size, Extent& extent) const {
  uint8_t head[kHeadSize];
  extent.length = 0;
  if (offset >= size) return offset == size;
  ssize_t n = pread_up_to(reader_->fd(), head, kHeadSize, offset);
  if (n < static_cast<ssize_t>(kHeadSize)) return false;
  if (std::all_of(head, head + kHeadSize, [](uint8_t byte) { return byte == 0; })) return true;
  uint32_t length = load_le32(head);
  if (length == 0 || length > kMaxChunk || load_le32(head + 4) != 0) return false;
  if (offset + kHeadSize + length > size) return false;
  extent.offset = offset + kHeadSize;
  extent.length = length;
  std::memcpy(extent.digest.data(), head + 8, 32);
  return true;
}

// Looks for a record at `offset`; moves `next` behind it when there is one.
Failure Scan::at(uint64_t offset, uint64_t size, std::vector<Record>& records, uint64_t& next) {
  Record record{};
  if (!plausible(offset, size, record.extent) || record.extent.length == 0) return {};
  if (buffer_.size() < record.extent.length) buffer_.resize(record.extent.length);
  Failure failure = reader_->read(&record.extent, 1, buffer_.data());
  if (failure && std::strcmp(failure.code, "ERR_PACK_CORRUPT") != 0) return failure;
  record.intact = !failure;
  uint64_t behind = record.extent.offset + record.extent.length;
  // The length of a damaged record may be what is damaged; it is believed when something sensible follows.
  Extent follower;
  if (record.intact || plausible(behind, size, follower)) {
    next = behind;
    records.push_back(record);
  }
  return {};
}

}  // namespace tvix::pack
