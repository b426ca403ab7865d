// Copying that jumps out of a SIGBUS.
#include "fuse/copy.h"

#include <setjmp.h>
#include <signal.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstring>
#include <mutex>

namespace tvix::fuse {

namespace {

// Where copy_mapped() goes on after a fault; null outside of it.
thread_local sigjmp_buf* after_fault = nullptr;
struct sigaction before_us;

void on_fault(int signal, siginfo_t* info, void* context) {
  if (after_fault) siglongjmp(*after_fault, 1);
  if ((before_us.sa_flags & SA_SIGINFO) != 0) {
    before_us.sa_sigaction(signal, info, context);
  } else if (before_us.sa_handler != SIG_DFL && before_us.sa_handler != SIG_IGN) {
    before_us.sa_handler(signal);
  } else {
    // The access is tried again, and ends the process as it would have without us.
    sigaction(signal, &before_us, nullptr);
  }
}

void take_faults() {
  struct sigaction ours{};
  ours.sa_sigaction = on_fault;
  // Not blocked meanwhile: leaving the handler by a jump would leave it blocked.
  ours.sa_flags = SA_SIGINFO | SA_NODEFER | SA_ONSTACK;
  sigaction(SIGBUS, &ours, &before_us);
}

constexpr size_t kLine = 64;
// How far ahead bytes are fetched. Processors fetch ahead by themselves, but not from one page into the next.
constexpr size_t kAhead = 4096;

// Copies `size` bytes, of which `known` can be read from `from` on, so that what follows them is at hand as well.
void copy_fetching(uint8_t* to, const uint8_t* from, size_t size, size_t known) {
  while (size > 0) {
    const size_t part = std::min(size, kAhead);
    const size_t end = std::min(known, kAhead + part);
    for (size_t at = kAhead; at < end; at += kLine) __builtin_prefetch(from + at);
    std::memcpy(to, from, part);
    to += part;
    from += part;
    size -= part;
    known -= part;
  }
}

void scatter(const std::vector<iovec>& to, const iovec* from, int count) {
  size_t place = 0;
  size_t within = 0;
  for (int i = 0; i < count; i++) {
    const auto* bytes = static_cast<const uint8_t*>(from[i].iov_base);
    for (size_t left = from[i].iov_len; left > 0 && place < to.size();) {
      const size_t part = std::min(left, to[place].iov_len - within);
      copy_fetching(static_cast<uint8_t*>(to[place].iov_base) + within, bytes, part, left);
      bytes += part;
      left -= part;
      within += part;
      if (within == to[place].iov_len) {
        place++;
        within = 0;
      }
    }
  }
}

}  // namespace

bool copy_mapped(const std::vector<iovec>& to, const iovec* from, int count) {
  static std::once_flag taken;
  std::call_once(taken, take_faults);
  sigjmp_buf here;
  if (sigsetjmp(here, 0) != 0) {
    after_fault = nullptr;
    return false;
  }
  after_fault = &here;
  std::atomic_signal_fence(std::memory_order_seq_cst);
  scatter(to, from, count);
  std::atomic_signal_fence(std::memory_order_seq_cst);
  after_fault = nullptr;
  return true;
}

}  // namespace tvix::fuse
