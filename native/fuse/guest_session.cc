// Between chains of guest memory and libfuse.
#include "fuse/guest_session.h"

#include <fcntl.h>
#include <linux/fuse.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdarg>
#include <cstring>
#include <utility>

#include "fuse/copy.h"
#include "fuse/request.h"

namespace tvix::fuse {

namespace {

// Copies the first `limit` bytes that a chain's buffers hold.
void linearise(const std::vector<iovec>& from, uint8_t* out, size_t limit) {
  for (const iovec& part : from) {
    const size_t size = std::min(limit, part.iov_len);
    std::memcpy(out, part.iov_base, size);
    out += size;
    limit -= size;
    if (limit == 0) return;
  }
}

// A reply of a header alone; false when there is no room for it.
bool write_header(const Chain& chain, fuse_out_header header) {
  if (chain.writable_size < sizeof header) return false;
  header.len = sizeof header;
  const iovec part{&header, sizeof header};
  return copy_mapped(chain.writable, &part, 1);
}

ssize_t write_reply(int, iovec* parts, int count, void* channel) {
  auto* session = static_cast<GuestSession*>(static_cast<Channel*>(channel));
  if (const int error = session->reply(parts, count); error != 0) {
    errno = -error;
    return -1;
  }
  ssize_t total = 0;
  for (int i = 0; i < count; i++) total += static_cast<ssize_t>(parts[i].iov_len);
  return total;
}

// Requests come by GuestSession::serve().
ssize_t read_nothing(int, void*, size_t, void*) {
  errno = ENODEV;
  return -1;
}

}  // namespace

GuestSession::GuestSession(State& state, Finish finish)
    : Channel(state), finish_(std::move(finish)), request_(kMaxRequest) {}

GuestSession::~GuestSession() { end(); }

bool GuestSession::begin() {
  // What it has to say of a guest's requests, anyone's guest could make it say for ever.
  fuse_set_log_func([](fuse_log_level, const char*, va_list) {});
  char name[] = "tvix";
  char* argv[] = {name, nullptr};
  fuse_args args = FUSE_ARGS_INIT(1, argv);
  session_ = fuse_session_new(&args, &operations(), sizeof(fuse_lowlevel_ops), static_cast<Channel*>(this));
  fuse_opt_free_args(&args);
  if (!session_) return false;
  fuse_custom_io io{};
  io.writev = write_reply;
  io.read = read_nothing;
  // libfuse wants a descriptor to close.
  const int fd = open("/dev/null", O_RDWR | O_CLOEXEC);
  if (fd >= 0 && fuse_session_custom_io(session_, &io, fd) == 0) return true;
  if (fd >= 0) close(fd);
  fuse_session_destroy(session_);
  session_ = nullptr;
  return false;
}

void GuestSession::end() {
  if (!session_) return;
  interrupt_all(state);
  {
    std::unique_lock lock(mutex_);
    released_.wait(lock, [this] { return free_.size() == pending_.size(); });
  }
  fuse_session_destroy(session_);
  session_ = nullptr;
  // The next session's kernel knows nothing of this one's.
  state.forget_session();
}

void GuestSession::serve(unsigned queue, Chain& chain) {
  const size_t size = std::min(chain.readable_size, kMaxRequest);
  linearise(chain.readable, request_.data(), size);
  fuse_in_header header{};
  std::memcpy(&header, request_.data(), std::min(size, sizeof header));
  const Verdict verdict = judge(request_.data(), chain.readable_size);
  if (verdict.action == Verdict::kDrop) return finish_(queue, chain.head, 0);
  if (verdict.action == Verdict::kRefuse) return refuse(queue, chain, header.unique, verdict.error);
  // libfuse takes one INIT for each session; a guest that mounts again or was restarted sends another.
  if (header.opcode == FUSE_INIT || header.opcode == FUSE_DESTROY) end();
  if (header.opcode == FUSE_DESTROY) return refuse(queue, chain, header.unique, 0);
  if (!session_ && header.opcode != FUSE_INIT) return refuse(queue, chain, header.unique, EIO);
  if (!session_ && !begin()) return refuse(queue, chain, header.unique, ENOMEM);
  const uint64_t place = take(queue, chain, header.unique);
  header.unique = place;
  std::memcpy(request_.data(), &header, sizeof header);
  // What was left behind by a longer request is not part of this one.
  std::memset(request_.data() + size, 0, std::min<size_t>(kMaxRequest - size, 256));
  fuse_buf buffer{};
  buffer.mem = request_.data();
  buffer.size = size;
  fuse_session_process_buf(session_, &buffer);
  if (!verdict.answered) release(place, 0);
}

uint64_t GuestSession::take(unsigned queue, Chain& chain, uint64_t unique) {
  std::lock_guard lock(mutex_);
  if (free_.empty()) {
    free_.push_back(pending_.size());
    pending_.emplace_back();
  }
  const uint64_t place = free_.back();
  free_.pop_back();
  Pending& pending = pending_[place];
  std::swap(pending.chain, chain);
  pending.queue = queue;
  pending.unique = unique;
  pending.busy = true;
  return place;
}

void GuestSession::release(uint64_t place, uint32_t written) {
  unsigned queue;
  uint16_t head;
  {
    std::lock_guard lock(mutex_);
    if (!pending_[place].busy) return;
    queue = pending_[place].queue;
    head = pending_[place].chain.head;
    pending_[place].chain.memory = nullptr;
  }
  finish_(queue, head, written);
  std::lock_guard lock(mutex_);
  pending_[place].busy = false;
  free_.push_back(place);
  released_.notify_all();
}

// Answers that need no session: an errno, or 0 for what is done.
void GuestSession::refuse(unsigned queue, const Chain& chain, uint64_t unique, int error) {
  const fuse_out_header out{sizeof out, -error, unique};
  finish_(queue, chain.head, write_header(chain, out) ? sizeof out : 0);
}

int GuestSession::reply(iovec* parts, int count) {
  size_t total = 0;
  for (int i = 0; i < count; i++) total += parts[i].iov_len;
  fuse_out_header out;
  std::memcpy(&out, parts[0].iov_base, sizeof out);
  const uint64_t place = out.unique;
  const Pending* pending;
  {
    std::lock_guard lock(mutex_);
    if (place >= pending_.size() || !pending_[place].busy) return -ENOENT;
    pending = &pending_[place];
  }
  // Nobody else touches it until it is released.
  const Chain& chain = pending->chain;
  out.unique = pending->unique;
  std::memcpy(parts[0].iov_base, &out, sizeof out);
  const bool fits = total <= chain.writable_size;
  if (fits && copy_mapped(chain.writable, parts, count)) {
    release(place, static_cast<uint32_t>(total));
    return 0;
  }
  // Without room, or with a pack that was cut short.
  out.error = fits ? -EIO : -EINVAL;
  release(place, write_header(chain, out) ? sizeof out : 0);
  // libfuse complains of other errors aloud.
  return -ENOENT;
}

bool GuestSession::drain(unsigned queue, int milliseconds) {
  std::unique_lock lock(mutex_);
  return released_.wait_for(lock, std::chrono::milliseconds(milliseconds), [&] {
    return std::none_of(pending_.begin(), pending_.end(),
                        [&](const Pending& one) { return one.busy && one.queue == queue; });
  });
}

}  // namespace tvix::fuse
