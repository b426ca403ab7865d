// A guest's file system: requests in chains of buffers, served by libfuse and the operations that /dev/fuse has too.
//
// Why libfuse's sessions with input and output of our own (fuse_session_custom_io), and not a protocol of our own
// beside libfuse's: one table of operations then serves the kernel and guests alike, and a request of a guest costs
// libfuse about half a microsecond of the five that it takes. What libfuse would take on trust is judged before
// (request.h), and verified bytes of files are copied once, from the packs' mappings into the guest's memory.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <vector>

#include "common/failure.h"
#include "fuse/operations.h"
#include "fuse/state.h"
#include "fuse/virtqueue.h"

struct fuse_session;

namespace tvix::fuse {

class GuestSession : public Channel {
 public:
  // Gives a chain back to queue number `queue` with `written` bytes in it; called from any thread.
  using Finish = std::function<void(unsigned queue, uint16_t head, uint32_t written)>;

  GuestSession(State& state, Finish finish);
  ~GuestSession() override;

  // Serves one request: finished in this call or, when it has to wait for JavaScript, later. Takes what is in `chain`.
  // From one thread only.
  void serve(unsigned queue, Chain& chain);
  // Fails with EINTR what still waits, and ends the session; a guest may then begin a new one with INIT.
  void end();
  // Waits until the requests of a queue are finished, some milliseconds at most; whether they are.
  bool drain(unsigned queue, int milliseconds);

  // libfuse's reply: a header, which gets the guest's number of the request, then bytes. 0, or -errno.
  int reply(iovec* parts, int count);

 private:
  // A request under way.
  struct Pending {
    Chain chain;
    unsigned queue = 0;
    uint64_t unique = 0;  // the guest's number for it; libfuse knows it by its place in `pending_`
    bool busy = false;
  };

  uint64_t take(unsigned queue, Chain& chain, uint64_t unique);
  void release(uint64_t place, uint32_t written);
  void refuse(unsigned queue, const Chain& chain, uint64_t unique, int error);
  bool begin();

  const Finish finish_;
  fuse_session* session_ = nullptr;
  std::vector<uint8_t> request_;
  std::mutex mutex_;
  std::condition_variable released_;
  std::deque<Pending> pending_;  // whose elements stay where they are
  std::vector<uint64_t> free_;
};

}  // namespace tvix::fuse
