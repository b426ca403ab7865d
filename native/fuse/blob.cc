// Reading chunks from packs, each verified once.
#include "fuse/blob.h"

#include <fcntl.h>
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

int64_t now() {
  using namespace std::chrono;
  return duration_cast<milliseconds>(steady_clock::now().time_since_epoch()).count() + 1;
}

// What the kernel takes at once.
constexpr size_t kMaxParts = 1024;

// Fills `parts`, which it changes. Bytes read, fewer at the end of the file; -1 with errno.
ssize_t read_up_to(int fd, std::vector<iovec>& parts, uint64_t offset) {
  size_t done = 0;
  for (size_t at = 0; at < parts.size();) {
    const auto count = static_cast<int>(std::min(parts.size() - at, kMaxParts));
    const ssize_t n = preadv(fd, &parts[at], count, static_cast<off_t>(offset + done));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return -1;
    if (n == 0) break;
    done += static_cast<size_t>(n);
    size_t left = static_cast<size_t>(n);
    for (; at < parts.size() && left >= parts[at].iov_len; at++) left -= parts[at].iov_len;
    if (left > 0) parts[at] = {static_cast<uint8_t*>(parts[at].iov_base) + left, parts[at].iov_len - left};
  }
  return static_cast<ssize_t>(done);
}

void copy_to(const std::vector<iovec>& parts, const uint8_t* from) {
  for (const iovec& part : parts) {
    std::memcpy(part.iov_base, from, part.iov_len);
    from += part.iov_len;
  }
}

// Hands out places one behind the other.
class Cursor {
 public:
  explicit Cursor(const Places& places) : from_(places) {}

  void next(size_t size, Places& out) {
    out.parts.clear();
    out.shared = from_.shared;
    while (size > 0 && at_ < from_.parts.size()) {
      const iovec& part = from_.parts[at_];
      const size_t length = std::min(size, part.iov_len - within_);
      if (length > 0) out.parts.push_back({static_cast<uint8_t*>(part.iov_base) + within_, length});
      size -= length;
      within_ += length;
      if (within_ == part.iov_len) {
        at_++;
        within_ = 0;
      }
    }
  }

 private:
  const Places& from_;
  size_t at_ = 0;
  size_t within_ = 0;
};

}  // namespace

std::shared_ptr<const Pack> Pack::open(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
  if (fd < 0) return nullptr;
  return std::shared_ptr<const Pack>(new Pack(path, fd));
}

Pack::~Pack() { ::close(fd_); }

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

bool Blob::read(uint64_t offset, size_t size, const Places& places, std::string& problem) {
  thread_local Places part_places;
  Cursor cursor(places);
  auto after = std::upper_bound(chunks_.begin(), chunks_.end(), offset,
                                [](uint64_t at, const Chunk& chunk) { return at < chunk.start; });
  size_t index = after == chunks_.begin() ? 0 : static_cast<size_t>(after - chunks_.begin()) - 1;
  for (; size > 0 && index < chunks_.size(); index++) {
    const Chunk& chunk = chunks_[index];
    const auto from = static_cast<uint32_t>(offset - chunk.start);
    const size_t part = std::min<size_t>(size, chunk.length - from);
    cursor.next(part, part_places);
    if (!read_chunk(index, from, part, part_places, problem)) return false;
    offset += part;
    size -= part;
  }
  return size == 0;
}

bool Blob::read_chunk(size_t index, uint32_t from, size_t size, Places& places, std::string& problem) {
  const Chunk& chunk = chunks_[index];
  const uint8_t state = states_[index].load(std::memory_order_acquire);
  if (state == kBad) return false;
  // An unverified chunk is read as a whole, into place when all of it is wanted there.
  const bool in_place = state == kVerified || (size == chunk.length && places.parts.size() == 1 && !places.shared);
  thread_local std::vector<uint8_t> scratch;
  thread_local std::vector<iovec> target;
  if (in_place) {
    target = places.parts;
  } else {
    if (scratch.size() < chunk.length) scratch.resize(chunk.length);
    target.assign(1, {scratch.data(), chunk.length});
    size = chunk.length;
  }
  const auto* bytes = static_cast<const uint8_t*>(target[0].iov_base);
  const ssize_t got = read_up_to(packs_[chunk.pack]->fd(), target, chunk.offset + (in_place ? from : 0));
  if (got < 0) return fail(index, "cannot be read: " + errno_text(errno), problem);
  if (static_cast<size_t>(got) < size) return fail(index, "is cut short", problem);
  if (state == kUnknown && !verify(index, bytes, problem)) return false;
  if (!in_place) copy_to(places.parts, scratch.data() + from);
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
