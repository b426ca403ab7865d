// The vhost-user protocol, as far as a file system needs it, and the loop around it.
#include "fuse/vhost_user.h"

#include <fcntl.h>
#include <linux/virtio_config.h>
#define VIRTIO_RING_NO_LEGACY
#include <linux/virtio_ring.h>
#include <poll.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <utility>

namespace tvix::fuse {

namespace {

// Numbers and structures of the protocol: QEMU's docs/interop/vhost-user.rst.
enum Request : uint32_t {
  kGetFeatures = 1,
  kSetFeatures = 2,
  kSetOwner = 3,
  kResetOwner = 4,
  kSetMemTable = 5,
  kSetVringNum = 8,
  kSetVringAddr = 9,
  kSetVringBase = 10,
  kGetVringBase = 11,
  kSetVringKick = 12,
  kSetVringCall = 13,
  kSetVringErr = 14,
  kGetProtocolFeatures = 15,
  kSetProtocolFeatures = 16,
  kGetQueueNum = 17,
  kSetVringEnable = 18,
};

constexpr uint32_t kVersion = 1;
constexpr uint32_t kVersionMask = 3;
constexpr uint32_t kReply = 1u << 2;
constexpr uint32_t kNeedReply = 1u << 3;

constexpr uint64_t kFeatureProtocol = 1ULL << 30;
constexpr uint64_t kFeatures = 1ULL << VIRTIO_F_VERSION_1 | 1ULL << VIRTIO_RING_F_INDIRECT_DESC |
                               1ULL << VIRTIO_RING_F_EVENT_IDX | kFeatureProtocol;
constexpr uint64_t kProtocolMq = 1ULL << 0;
constexpr uint64_t kProtocolReplyAck = 1ULL << 3;
constexpr uint64_t kProtocolFeatures = kProtocolMq | kProtocolReplyAck;

constexpr uint64_t kNoDescriptor = 1ULL << 8;

struct Header {
  uint32_t request;
  uint32_t flags;
  uint32_t size;
};

struct RingState {
  uint32_t index;
  uint32_t number;
};

struct RingAddress {
  uint32_t index;
  uint32_t flags;
  uint64_t descriptors;
  uint64_t used;
  uint64_t available;
  uint64_t log;
};

struct MemoryTable {
  uint32_t count;
  uint32_t padding;
  GuestMemory::Region regions[GuestMemory::kMaxRegions];
};
static_assert(sizeof(GuestMemory::Region) == 32);

// Chains of one queue that are served before messages and other queues have their turn.
constexpr unsigned kTurn = 256;
// Bytes of replies that are told of together while there are more to come: waking a guest takes as long as copying
// this much.
constexpr uint32_t kTogether = 512 * 1024;
// Bytes of room for a reply from which on the teller is woken, which takes longer than small requests do.
constexpr uint32_t kLarge = 32 * 1024;
// How long rings are watched for the next request before the thread sleeps: being woken takes longer than most
// requests.
constexpr std::chrono::microseconds kLinger{50};
// Looks at them before others get to have the processor, about a microsecond.
constexpr unsigned kLooks = 16;
// Lines in the log about one guest.
constexpr unsigned kComplaints = 100;
// Milliseconds that a queue's requests have to finish when it is halted.
constexpr int kPatience = 5000;

void signal(int fd) {
  const uint64_t one = 1;
  // A counter that is full has been signalled enough.
  if (fd >= 0 && write(fd, &one, sizeof one) < 0) return;
}

// On a single processor the guest could not go on while we look.
bool several_processors() {
  static const bool several = sysconf(_SC_NPROCESSORS_ONLN) > 1;
  return several;
}

void spin() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

void unblock(int fd) { fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK); }

}  // namespace

struct VhostUser::Message {
  Header header{};
  std::array<uint8_t, sizeof(MemoryTable)> payload{};
  std::vector<int> fds;

  ~Message() {
    for (const int fd : fds) close(fd);
  }

  // The payload as a structure; false when it has another size.
  template <class T>
  bool read(T& out) const {
    if (header.size != sizeof out) return false;
    std::memcpy(&out, payload.data(), sizeof out);
    return true;
  }
};

void VhostUser::Descriptor::reset(int fd) {
  if (fd_ >= 0) close(fd_);
  fd_ = fd;
}

VhostUser::VhostUser(std::shared_ptr<State> state, std::function<void()> ended)
    : state_(std::move(state)),
      ended_(std::move(ended)),
      queues_(kQueues),
      teller_([this](unsigned queue) { tell(queue); }),
      session_(*state_, [this](unsigned queue, uint16_t head, uint32_t written) { finish(queue, head, written); }) {}

VhostUser::~VhostUser() { stop(); }

// ——— the socket

Failure VhostUser::listen(const std::string& path) {
  const auto failed = [&](const std::string& why) {
    return Failure{"ERR_MOUNT_SOCKET", "cannot offer a file system on " + quoted(path) + ": " + why};
  };
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof address.sun_path) {
    return failed("a socket's path has at most " + std::to_string(sizeof address.sun_path - 1) + " bytes");
  }
  std::memcpy(address.sun_path, path.data(), path.size());
  const auto* name = reinterpret_cast<const sockaddr*>(&address);
  if (struct stat there{}; lstat(path.c_str(), &there) == 0) {
    if (!S_ISSOCK(there.st_mode)) return failed("something that is no socket is there");
    Descriptor probe;
    probe.reset(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (connect(probe.get(), name, sizeof address) == 0 || errno != ECONNREFUSED) {
      return {"ERR_MOUNT_BUSY", quoted(path) + " is in use by another process"};
    }
    unlink(path.c_str());
  }
  listener_.reset(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  stop_event_.reset(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (listener_.get() < 0 || stop_event_.get() < 0 || bind(listener_.get(), name, sizeof address) != 0 ||
      ::listen(listener_.get(), 1) != 0) {
    return failed(errno_text(errno));
  }
  path_ = path;
  lstat(path.c_str(), &made_);
  if (several_processors()) teller_.start();
  thread_ = std::thread([this] { serve(); });
  return {};
}

void VhostUser::stop() {
  std::lock_guard once(stop_mutex_);
  if (!thread_.joinable()) return;
  stopping_ = true;
  signal(stop_event_.get());
  // Requests that wait fail, so that the thread does not wait for them.
  state_->misses.close(ENODEV);
  thread_.join();
  teller_.stop();
  struct stat now{};
  if (lstat(path_.c_str(), &now) == 0 && now.st_ino == made_.st_ino && now.st_dev == made_.st_dev) {
    unlink(path_.c_str());
  }
}

void VhostUser::serve() {
  while (!stopping_) turn();
  hang_up();
  listener_.reset();
  ended_();
}

// Waits for something to do, and does it.
void VhostUser::turn() {
  linger();
  std::array<pollfd, 2 + kQueues> watched;
  std::array<unsigned, kQueues> index{};
  watched[0] = {stop_event_.get(), POLLIN, 0};
  watched[1] = {connection_.get() < 0 ? listener_.get() : connection_.get(), POLLIN, 0};
  nfds_t count = 2;
  bool waiting = false;
  for (unsigned i = 0; i < kQueues; i++) {
    if (!queues_[i].running || !queues_[i].enabled) continue;
    queues_[i].waiting = queues_[i].ring.arm();
    waiting = waiting || queues_[i].waiting;
    index[count - 2] = i;
    watched[count++] = {queues_[i].kick.get(), POLLIN, 0};
  }
  if (poll(watched.data(), count, waiting ? 0 : -1) < 0) return;
  // Who let us wait for longer will not come sooner the next time.
  lingers_ = several_processors() && Clock::now() - idle_since_ < kLinger;
  if (watched[0].revents != 0) return;
  for (nfds_t i = 2; i < count; i++) {
    Queue& queue = queues_[index[i - 2]];
    if (watched[i].revents != 0) {
      uint64_t kicks;
      const ssize_t got = read(queue.kick.get(), &kicks, sizeof kicks);
      if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR)) {
        break_queue(index[i - 2], "its kick is no event");
        continue;
      }
    } else if (!queue.waiting) {
      continue;
    }
    work(index[i - 2]);
  }
  if (watched[1].revents == 0) return;
  if (connection_.get() < 0) {
    accept_one();
    return;
  }
  Message message;
  if (receive(message)) {
    handle(message);
  } else {
    drop(problem_);
  }
}

// Serves requests that come soon after others, without kicks and without sleep; no more than messages can wait for.
void VhostUser::linger() {
  if (!lingers_) return;
  unsigned looks = 0;
  for (unsigned left = kTurn; left > 0;) {
    bool found = false;
    for (unsigned i = 0; i < kQueues; i++) {
      if (!queues_[i].running || !queues_[i].enabled || !queues_[i].ring.waiting()) continue;
      left -= std::min(left, work(i));
      found = true;
    }
    if (found) continue;
    if (Clock::now() - idle_since_ >= kLinger) return;
    // The guest may be waiting for this very processor.
    if (++looks % kLooks == 0) {
      sched_yield();
    } else {
      spin();
    }
  }
}

void VhostUser::accept_one() {
  connection_.reset(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
  if (connection_.get() < 0) return;
  // A front-end that stops in the middle of a message is given up.
  const timeval patience{2, 0};
  setsockopt(connection_.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  setsockopt(connection_.get(), SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
}

void VhostUser::drop(const std::string& why) {
  if (!why.empty()) complain("a front-end was disconnected: " + why);
  hang_up();
}

// A guest may break its queues for ever: it does not get to fill a log.
void VhostUser::complain(const std::string& line) {
  if (complaints_ > kComplaints) return;
  state_->log(complaints_++ < kComplaints ? line : "no more is said of this guest");
}

void VhostUser::hang_up() {
  {
    std::lock_guard lock(mutex_);
    for (Queue& queue : queues_) queue.running = false;
  }
  session_.end();
  {
    std::lock_guard lock(calls_);
    queues_ = std::vector<Queue>(kQueues);
  }
  memory_ = nullptr;
  features_ = protocol_ = 0;
  complaints_ = 0;
  connection_.reset();
}

// ——— messages

bool VhostUser::refuse(std::string why) {
  problem_ = std::move(why);
  return false;
}

// Reads one message. With an empty problem_: the front-end has gone.
bool VhostUser::receive(Message& message) {
  iovec part{&message.header, sizeof message.header};
  alignas(cmsghdr) char control[CMSG_SPACE(GuestMemory::kMaxRegions * sizeof(int))];
  msghdr envelope{};
  envelope.msg_iov = &part;
  envelope.msg_iovlen = 1;
  envelope.msg_control = control;
  envelope.msg_controllen = sizeof control;
  const ssize_t got = recvmsg(connection_.get(), &envelope, MSG_CMSG_CLOEXEC | MSG_WAITALL);
  for (cmsghdr* one = got < 0 ? nullptr : CMSG_FIRSTHDR(&envelope); one; one = CMSG_NXTHDR(&envelope, one)) {
    if (one->cmsg_level != SOL_SOCKET || one->cmsg_type != SCM_RIGHTS) continue;
    for (size_t at = 0; at + sizeof(int) <= one->cmsg_len - CMSG_LEN(0); at += sizeof(int)) {
      int fd;
      std::memcpy(&fd, CMSG_DATA(one) + at, sizeof fd);
      message.fds.push_back(fd);
    }
  }
  if (got == 0 || (got < 0 && errno == ECONNRESET)) return refuse("");
  if (got != sizeof message.header) return refuse("a message is cut short");
  const Header& header = message.header;
  if ((header.flags & kVersionMask) != kVersion || (header.flags & kReply) != 0) {
    return refuse("a message of another version");
  }
  if (header.size > message.payload.size()) return refuse("a message of " + std::to_string(header.size) + " bytes");
  if (header.size == 0) return true;
  const ssize_t rest = recv(connection_.get(), message.payload.data(), header.size, MSG_WAITALL);
  return rest == static_cast<ssize_t>(header.size) || refuse("a message is cut short");
}

void VhostUser::send(const Message& message, const void* payload, uint32_t size) {
  Header header{message.header.request, kVersion | kReply, size};
  iovec parts[2] = {{&header, sizeof header}, {const_cast<void*>(payload), size}};
  msghdr envelope{};
  envelope.msg_iov = parts;
  envelope.msg_iovlen = 2;
  // A front-end that has gone is noticed by the next receive().
  (void)sendmsg(connection_.get(), &envelope, MSG_NOSIGNAL);
}

void VhostUser::handle(Message& message) {
  const auto reply = [&](uint64_t value) { send(message, &value, sizeof value); };
  switch (message.header.request) {
    case kGetFeatures:
      return reply(kFeatures);
    case kGetProtocolFeatures:
      return reply(kProtocolFeatures);
    case kGetQueueNum:
      return reply(kQueues);
    case kGetVringBase: {
      RingState state;
      if (!message.read(state) || state.index >= kQueues) return drop("a ring that does not exist");
      state.number = halt(state.index);
      return send(message, &state, sizeof state);
    }
    default:
      break;
  }
  const bool done = apply(message);
  if ((protocol_ & kProtocolReplyAck) != 0 && (message.header.flags & kNeedReply) != 0) {
    if (!done) complain("a front-end was refused: " + problem_);
    return reply(done ? 0 : 1);
  }
  if (!done) drop(problem_);
}

// Messages without an answer of their own.
bool VhostUser::apply(Message& message) {
  uint64_t bits = 0;
  switch (message.header.request) {
    case kSetFeatures:
      if (!message.read(bits) || (bits & ~kFeatures) != 0) return refuse("features that were not offered");
      features_ = bits;
      return true;
    case kSetProtocolFeatures:
      if (!message.read(bits) || (bits & ~kProtocolFeatures) != 0) return refuse("features that were not offered");
      protocol_ = bits;
      return true;
    case kSetOwner:
      return true;
    case kResetOwner:
      for (unsigned i = 0; i < kQueues; i++) halt(i);
      return true;
    case kSetMemTable:
      return set_memory(message);
    case kSetVringNum:
    case kSetVringBase:
    case kSetVringEnable:
    case kSetVringAddr:
      return set_ring(message);
    case kSetVringKick:
    case kSetVringCall:
    case kSetVringErr:
      return set_descriptor(message);
    default:
      return refuse("request " + std::to_string(message.header.request) + ", which was not offered");
  }
}

bool VhostUser::set_memory(Message& message) {
  MemoryTable table{};
  const uint32_t size = message.header.size;
  std::memcpy(&table, message.payload.data(), size);
  if (size < 8 || table.count > GuestMemory::kMaxRegions || size < 8 + table.count * sizeof table.regions[0]) {
    return refuse("a table of memory that is cut short");
  }
  auto memory = GuestMemory::map({table.regions, table.regions + table.count}, message.fds, problem_);
  if (!memory) return refuse("a table of memory that cannot be used: " + problem_);
  memory_ = std::move(memory);
  // Rings that are in use go on in the new memory; requests under way keep the old one until they are done.
  for (unsigned i = 0; i < kQueues; i++) {
    Queue& queue = queues_[i];
    if (!queue.running) continue;
    std::string why;
    std::unique_lock lock(mutex_);
    const bool found = queue.ring.attach(memory_, queue.size, queue.addresses, why);
    lock.unlock();
    if (!found) break_queue(i, why);
  }
  return true;
}

bool VhostUser::set_ring(const Message& message) {
  RingAddress address{};
  RingState state{};
  if (message.header.request == kSetVringAddr ? !message.read(address) : !message.read(state)) {
    return refuse("a message about a ring that is cut short");
  }
  const uint32_t index = message.header.request == kSetVringAddr ? address.index : state.index;
  if (index >= kQueues) return refuse("a ring that does not exist");
  Queue& queue = queues_[index];
  if (message.header.request == kSetVringEnable) {
    queue.enabled = state.number != 0;
    return start(index);
  }
  if (queue.running) return refuse("a change of a ring in use");
  switch (message.header.request) {
    case kSetVringNum:
      if (state.number > Virtqueue::kMaxSize) return refuse("a ring of " + std::to_string(state.number) + " entries");
      queue.size = state.number;
      return true;
    case kSetVringBase:
      queue.base = static_cast<uint16_t>(state.number);
      return true;
    default:
      queue.addresses = {address.descriptors, address.available, address.used};
      return true;
  }
}

bool VhostUser::set_descriptor(Message& message) {
  uint64_t value;
  if (!message.read(value)) return refuse("a message about a ring that is cut short");
  const uint64_t index = value & 0xff;
  const bool none = (value & kNoDescriptor) != 0;
  if (index >= kQueues) return refuse("a ring that does not exist");
  if (message.fds.size() != (none ? 0 : 1)) return refuse("a ring's event without its descriptor");
  Queue& queue = queues_[index];
  const int fd = none ? -1 : std::exchange(message.fds[0], -1);
  if (fd >= 0) unblock(fd);
  switch (message.header.request) {
    case kSetVringCall: {
      std::lock_guard lock(calls_);
      queue.call.reset(fd);
      // What was finished meanwhile was told to nobody.
      if (queue.running) signal(fd);
      return true;
    }
    case kSetVringErr:
      queue.error.reset(fd);
      return true;
    default:
      queue.kick.reset(fd);
      return !none ? start(static_cast<unsigned>(index)) : refuse("a ring that is to be polled");
  }
}

// ——— queues

// Begins when all is there that a ring needs.
bool VhostUser::start(unsigned index) {
  Queue& queue = queues_[index];
  // Without protocol features there is no message that enables a ring.
  if ((features_ & kFeatureProtocol) == 0) queue.enabled = true;
  if (!queue.enabled || queue.kick.get() < 0) return true;
  if (queue.running) return true;
  if (!memory_) return refuse("a ring without memory");
  settle(index);
  std::lock_guard lock(mutex_);
  if (!queue.ring.attach(memory_, queue.size, queue.addresses, problem_)) return false;
  queue.ring.begin(queue.base, (features_ & 1ULL << VIRTIO_RING_F_EVENT_IDX) != 0);
  queue.running = true;
  return true;
}

// Waits for the requests of a queue, and fails those that take too long.
void VhostUser::settle(unsigned index) {
  if (session_.drain(index, kPatience)) return;
  interrupt_all(*state_);
  while (!session_.drain(index, kPatience)) {
  }
}

// Stops a queue; the index up to which its chains were taken.
uint16_t VhostUser::halt(unsigned index) {
  Queue& queue = queues_[index];
  if (queue.running) {
    settle(index);
    std::lock_guard lock(mutex_);
    queue.running = false;
    queue.base = queue.ring.next();
  }
  queue.kick.reset();
  return queue.base;
}

// Serves what a queue has, up to a turn; the number of chains.
unsigned VhostUser::work(unsigned index) {
  Queue& queue = queues_[index];
  {
    std::lock_guard lock(mutex_);
    queue.working = true;
    queue.ring.disarm();
  }
  unsigned served = 0;
  while (served < kTurn && take(index)) served++;
  bool untold;
  {
    std::lock_guard lock(mutex_);
    queue.working = false;
    queue.untold_bytes = 0;
    untold = std::exchange(queue.untold, false);
  }
  // A teller that lost its processor would let the guest sleep.
  if (teller_.take_back(index) || untold) tell(index);
  idle_since_ = Clock::now();
  return served;
}

// Takes and serves the next chain of a queue; false when there is none.
bool VhostUser::take(unsigned index) {
  Queue& queue = queues_[index];
  std::string why;
  std::unique_lock lock(mutex_);
  const Virtqueue::Popped popped = queue.ring.pop(chain_, why);
  if (popped == Virtqueue::Popped::kNone) return false;
  const bool more = queue.ring.waiting();
  lock.unlock();
  if (popped == Virtqueue::Popped::kChain) {
    if (more && chain_.writable_size >= kLarge) teller_.wake();
    session_.serve(index, chain_);
    return true;
  }
  break_queue(index, why);
  return false;
}

void VhostUser::finish(unsigned index, uint16_t head, uint32_t written) {
  {
    std::lock_guard lock(mutex_);
    Queue& queue = queues_[index];
    if (!queue.running) return;
    // Once the guest wants to be told, it is asleep: what is finished until it was adds up.
    if (queue.ring.push(head, written)) queue.untold = true;
    if (!queue.untold) return;
    queue.untold_bytes += written;
    const bool apart = queue.working && teller_.awake();
    if (queue.working && !apart && queue.untold_bytes < kTogether) return;
    queue.untold = false;
    queue.untold_bytes = 0;
    // Before work() ends, which takes back what the teller has not come to.
    if (apart) return teller_.hand_over(index);
  }
  tell(index);
}

void VhostUser::tell(unsigned index) {
  std::lock_guard lock(calls_);
  signal(queues_[index].call.get());
}

// Until it is set up anew.
void VhostUser::break_queue(unsigned index, const std::string& why) {
  complain("queue " + std::to_string(index) + " of a guest is broken: " + why);
  std::lock_guard lock(mutex_);
  queues_[index].running = false;
  signal(queues_[index].error.get());
}

}  // namespace tvix::fuse
