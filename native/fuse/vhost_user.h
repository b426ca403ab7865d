// A vhost-user-fs device: a file system for virtual machines, offered on a socket to a front-end such as QEMU.
//
// One thread of the device does nearly all: it takes the front-end's messages, and requests from the rings as their
// kicks come. Answers that had to wait for JavaScript come from another thread; what they share with this one, the
// rings' used sides, is behind `mutex_`. While large reads queue a third tells the guest of replies (teller.h); it
// touches nothing but the queues' call events, behind `calls_`. The front-end, which runs the guest, is trusted not to
// shrink the memory it shares; what it says is checked all the same, and a front-end that makes no sense is
// disconnected. The guest is not trusted at all: the worst it can do is to break a queue of its own.
//
// A guest that has had its answer often asks again within microseconds, while being woken takes tens of them: the
// thread watches the rings a while before it sleeps, unless the guest took its time before. Between looks it lets
// others have the processor, the guest among them.
//
// One front-end at a time; the next one, or the same again, may connect when it has gone.
#pragma once

#include <sys/stat.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "common/failure.h"
#include "fuse/guest_session.h"
#include "fuse/teller.h"
#include "fuse/transport.h"
#include "fuse/virtqueue.h"

namespace tvix::fuse {

class VhostUser : public Transport {
 public:
  // Queue 0 is for requests that must not wait behind others (FORGET), the rest are equal.
  static constexpr unsigned kQueues = 17;

  // `ended` is called once, from the device's thread, when it serves no more.
  VhostUser(std::shared_ptr<State> state, std::function<void()> ended);
  ~VhostUser() override;

  // Makes the socket, taking the place of one that a dead process left, and starts to serve.
  Failure listen(const std::string& path);
  // Removes the socket.
  void stop() override;

 private:
  using Clock = std::chrono::steady_clock;

  // A file descriptor that is closed when it is replaced.
  class Descriptor {
   public:
    Descriptor() = default;
    ~Descriptor() { reset(); }
    Descriptor(const Descriptor&) = delete;
    Descriptor& operator=(const Descriptor&) = delete;
    void reset(int fd = -1);
    int get() const { return fd_; }

   private:
    int fd_ = -1;
  };

  struct Queue {
    Virtqueue ring;
    Virtqueue::Addresses addresses;
    uint32_t size = 0;
    uint16_t base = 0;
    Descriptor kick, call, error;
    bool enabled = false;
    bool running = false;
    bool waiting = false;  // had requests when it was armed
    bool working = false;  // chains are being taken: replies are told of together
    bool untold = false;   // some are
    uint64_t untold_bytes = 0;
  };

  struct Message;

  void serve();
  void accept_one();
  void hang_up();
  void turn();
  void linger();
  void drop(const std::string& why);
  void complain(const std::string& line);
  // Messages. False: the front-end is to be told, or disconnected, with `problem_` as the reason.
  bool receive(Message& message);
  void handle(Message& message);
  bool apply(Message& message);
  bool set_memory(Message& message);
  bool set_ring(const Message& message);
  bool set_descriptor(Message& message);
  bool refuse(std::string why);
  void send(const Message& message, const void* payload, uint32_t size);
  // Queues.
  bool start(unsigned index);
  void settle(unsigned index);
  uint16_t halt(unsigned index);
  unsigned work(unsigned index);
  bool take(unsigned index);
  void finish(unsigned index, uint16_t head, uint32_t written);
  void tell(unsigned index);
  void break_queue(unsigned index, const std::string& why);

  const std::shared_ptr<State> state_;
  const std::function<void()> ended_;
  std::string path_;
  struct stat made_{};  // the socket, as we made it
  Descriptor listener_;
  Descriptor stop_event_;
  Descriptor connection_;
  std::atomic<bool> stopping_ = false;
  std::mutex stop_mutex_;
  std::thread thread_;

  // Of one connection.
  std::string problem_;
  unsigned complaints_ = 0;
  Clock::time_point idle_since_;  // when the last request was served
  bool lingers_ = false;          // the next one is worth waiting for awake
  uint64_t features_ = 0;
  uint64_t protocol_ = 0;
  std::shared_ptr<const GuestMemory> memory_;
  std::vector<Queue> queues_;
  Chain chain_;
  std::mutex mutex_;  // the rings; what of a queue finish() uses; not held while `calls_` is taken
  std::mutex calls_;  // the queues' call events
  Teller teller_;
  GuestSession session_;
};

}  // namespace tvix::fuse
