// Reading chunks from packs, each verified once.
#include "fuse/blob.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstring>

#include "blake3/blake3.h"
#include "common/failure.h"

namespace tvix::fuse {

namespace {

constexpr int64_t kRetryAfter = 2000;
// Bytes that are copied at a time.
constexpr uint64_t kPiece = uint64_t{4} << 20;

int64_t now() {
  using namespace std::chrono;
  return duration_cast<milliseconds>(steady_clock::now().time_since_epoch()).count() + 1;
}

// Bytes read, fewer at the end of the file; -1 with errno.
ssize_t pread_up_to(int fd, uint8_t* out, size_t size, uint64_t offset) {
  size_t done = 0;
  while (done < size) {
    const ssize_t n = pread(fd, out + done, size - done, static_cast<off_t>(offset + done));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return -1;
    if (n == 0) break;
    done += static_cast<size_t>(n);
  }
  return static_cast<ssize_t>(done);
}

bool pwrite_all(int fd, const uint8_t* bytes, size_t size, uint64_t offset) {
  while (size > 0) {
    const ssize_t n = pwrite(fd, bytes, size, static_cast<off_t>(offset));
    if (n < 0 && errno != EINTR) return false;
    if (n <= 0) continue;
    bytes += n;
    size -= static_cast<size_t>(n);
    offset += static_cast<uint64_t>(n);
  }
  return true;
}

// Packs are filled up to 1 GiB; a mapping that long at least shows what is written later too.
constexpr uint64_t kMapped = uint64_t{2} << 30;

}  // namespace

std::shared_ptr<const Pack> Pack::open(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
  if (fd < 0) return nullptr;
  return std::shared_ptr<const Pack>(new Pack(path, fd));
}

Pack::Pack(std::string path, int fd) : path_(std::move(path)), fd_(fd) {
  struct stat info{};
  if (fstat(fd_, &info) != 0) return;
  length_ = std::max<uint64_t>(static_cast<uint64_t>(info.st_size), kMapped);
  base_ = mmap(nullptr, length_, PROT_READ, MAP_SHARED | MAP_NORESERVE, fd_, 0);
  if (base_ == MAP_FAILED) base_ = nullptr;
}

Pack::~Pack() {
  if (base_) munmap(base_, length_);
  ::close(fd_);
}

const uint8_t* Pack::mapped(uint64_t offset, uint64_t size) const {
  const bool inside = base_ && offset <= length_ && size <= length_ - offset;
  return inside ? static_cast<const uint8_t*>(base_) + offset : nullptr;
}

bool Pack::unlinked() const {
  struct stat info{};
  return fstat(fd_, &info) == 0 && info.st_nlink == 0;
}

Blob::Blob(std::vector<std::shared_ptr<const Pack>> packs, std::vector<Chunk> chunks)
    : packs_(std::move(packs)),
      chunks_(std::move(chunks)),
      states_(std::make_unique<std::atomic<uint8_t>[]>(chunks_.size())) {
  for (Chunk& chunk : chunks_) {
    chunk.start = size_;
    size_ += chunk.length;
  }
}

bool Blob::read(uint64_t offset, size_t size, uint8_t* out, std::string& problem) {
  for (size_t index = chunk_at(offset); size > 0 && index < chunks_.size(); index++) {
    const Chunk& chunk = chunks_[index];
    const auto from = static_cast<uint32_t>(offset - chunk.start);
    const size_t part = std::min<size_t>(size, chunk.length - from);
    if (!read_chunk(index, from, part, out, problem)) return false;
    out += part;
    offset += part;
    size -= part;
  }
  return size == 0;
}

bool Blob::view(uint64_t offset, size_t size, std::vector<iovec>& parts) const {
  parts.clear();
  for (size_t index = chunk_at(offset); size > 0 && index < chunks_.size(); index++) {
    if (states_[index].load(std::memory_order_acquire) != kVerified) return false;
    const Chunk& chunk = chunks_[index];
    const uint64_t from = offset - chunk.start;
    const size_t part = std::min<size_t>(size, chunk.length - from);
    const uint8_t* bytes = packs_[chunk.pack]->mapped(chunk.offset + from, part);
    if (!bytes) return false;
    parts.push_back({const_cast<uint8_t*>(bytes), part});
    offset += part;
    size -= part;
  }
  return size == 0;
}

size_t Blob::chunk_at(uint64_t offset) const {
  auto after = std::upper_bound(chunks_.begin(), chunks_.end(), offset,
                                [](uint64_t at, const Chunk& chunk) { return at < chunk.start; });
  return after == chunks_.begin() ? 0 : static_cast<size_t>(after - chunks_.begin()) - 1;
}

bool Blob::read_chunk(size_t index, uint32_t from, size_t size, uint8_t* out, std::string& problem) {
  const Chunk& chunk = chunks_[index];
  const uint8_t state = states_[index].load(std::memory_order_acquire);
  if (state == kBad) return false;
  const int fd = packs_[chunk.pack]->fd();
  const bool whole = size == chunk.length;
  // An unverified chunk is read as a whole, into place when all of it is wanted.
  thread_local std::vector<uint8_t> scratch;
  uint8_t* target = out;
  size_t length = size;
  uint64_t offset = chunk.offset + from;
  if (state == kUnknown && !whole) {
    if (scratch.size() < chunk.length) scratch.resize(chunk.length);
    target = scratch.data();
    length = chunk.length;
    offset = chunk.offset;
  }
  const ssize_t got = pread_up_to(fd, target, length, offset);
  if (got < 0) return fail(index, "cannot be read: " + errno_text(errno), problem);
  if (static_cast<size_t>(got) < length) return fail(index, "is cut short", problem);
  if (state == kUnknown && !verify(index, target, problem)) return false;
  if (target != out) std::memcpy(out, target + from, size);
  // A chunk of unusual size does not leave its buffer behind.
  if (scratch.size() > (4u << 20)) std::vector<uint8_t>().swap(scratch);
  return true;
}

bool Blob::verify(size_t index, const uint8_t* bytes, std::string& problem) {
  Digest digest{};
  blake3::hash(bytes, chunks_[index].length, digest.data());
  if (digest != chunks_[index].digest) return fail(index, "has other bytes", problem);
  states_[index].store(kVerified, std::memory_order_release);
  return true;
}

bool Blob::fail(size_t index, const std::string& why, std::string& problem) {
  const Chunk& chunk = chunks_[index];
  // Another thread may have met the same damage at the same moment: one of them reports it.
  const bool known = states_[index].exchange(kBad, std::memory_order_acq_rel) == kBad;
  failed_at_.store(now(), std::memory_order_relaxed);
  if (known) return false;
  problem = "chunk " + digest_text(chunk.digest) + " in " + quoted(packs_[chunk.pack]->path()) + " at offset " +
            std::to_string(chunk.offset) + " " + why;
  return false;
}

bool Blob::copy(int fd, const Digest& digest, const std::atomic<bool>& stop, std::string& problem) const {
  const auto failed = [&](std::string why) {
    problem = std::move(why);
    return false;
  };
  blake3::Hasher hasher;
  // Written by pieces as large as the largest pages, for which chunks are too small and lie askew.
  std::vector<uint8_t> piece(std::min<uint64_t>(size_, kPiece));
  size_t filled = 0;
  uint64_t written = 0;
  const auto write = [&] {
    hasher.update(piece.data(), filled);
    if (!pwrite_all(fd, piece.data(), filled, written)) return failed("writing: " + errno_text(errno));
    written += std::exchange(filled, 0);
    return true;
  };
  for (const Chunk& chunk : chunks_) {
    for (uint32_t done = 0; done < chunk.length;) {
      if (stop.load(std::memory_order_relaxed)) return failed("the mount ends");
      const auto part = static_cast<uint32_t>(std::min<size_t>(chunk.length - done, piece.size() - filled));
      const ssize_t got = pread_up_to(packs_[chunk.pack]->fd(), piece.data() + filled, part, chunk.offset + done);
      if (got < 0) return failed("chunk " + digest_text(chunk.digest) + " cannot be read: " + errno_text(errno));
      if (static_cast<size_t>(got) < part) return failed("chunk " + digest_text(chunk.digest) + " is cut short");
      done += part;
      filled += part;
      if (filled == piece.size() && !write()) return false;
    }
  }
  if (!write()) return false;
  Digest actual{};
  hasher.finish(actual.data());
  return actual == digest || failed("its chunks make up other bytes");
}

bool Blob::stale() const {
  const int64_t failed = failed_at_.load(std::memory_order_relaxed);
  return failed != 0 && now() - failed > kRetryAfter;
}

bool Blob::uses_unlinked() const {
  return std::any_of(packs_.begin(), packs_.end(), [](const auto& pack) { return pack->unlinked(); });
}

std::string digest_text(const Digest& digest) {
  static constexpr char kDigits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out = "b3:";
  for (size_t i = 0; i < digest.size(); i += 3) {
    const size_t left = digest.size() - i;
    const uint32_t bits =
        static_cast<uint32_t>(digest[i]) << 16 | (left > 1 ? digest[i + 1] << 8 : 0) | (left > 2 ? digest[i + 2] : 0);
    out += kDigits[bits >> 18 & 63];
    out += kDigits[bits >> 12 & 63];
    out += left > 1 ? kDigits[bits >> 6 & 63] : '=';
    out += left > 2 ? kDigits[bits & 63] : '=';
  }
  return out;
}

}  // namespace tvix::fuse
