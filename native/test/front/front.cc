// The front-end's half: socket, memory, rings; and a client of the file system behind them.
#include "front.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace front {

void fail(const std::string& why) {
  std::fprintf(stderr, "FAILED: %s\n", why.c_str());
  std::exit(1);
}

Front::Front(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, path.c_str(), sizeof address.sun_path - 1);
  socket_ = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (connect(socket_, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
    fail("cannot connect to " + path + ": " + std::strerror(errno));
  }
  memory_file_ = memfd_create("guest", MFD_CLOEXEC);
  if (memory_file_ < 0 || ftruncate(memory_file_, kMemory) != 0) fail("no memory");
  memory_ = static_cast<uint8_t*>(mmap(nullptr, kMemory, PROT_READ | PROT_WRITE, MAP_SHARED, memory_file_, 0));
  for (unsigned i = 0; i < 2; i++) {
    uint8_t* base = memory_ + i * 0x10000;
    ring[i].descriptors = reinterpret_cast<vring_desc*>(base);
    ring[i].available = reinterpret_cast<uint16_t*>(base + 0x4000);
    ring[i].used = reinterpret_cast<uint16_t*>(base + 0x8000);
    ring[i].kick = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    ring[i].call = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  }
}

Front::~Front() {
  for (const Ring& one : ring) {
    close(one.kick);
    close(one.call);
  }
  munmap(memory_, kMemory);
  close(memory_file_);
  close(socket_);
}

std::vector<uint8_t> Front::message(uint32_t request, const void* payload, size_t size, const std::vector<int>& fds,
                                    bool reply, uint32_t flags) {
  uint32_t header[3] = {request, flags, static_cast<uint32_t>(size)};
  iovec parts[2] = {{header, sizeof header}, {const_cast<void*>(payload), size}};
  alignas(cmsghdr) char control[CMSG_SPACE(64 * sizeof(int))] = {};
  msghdr envelope{};
  envelope.msg_iov = parts;
  envelope.msg_iovlen = 2;
  if (!fds.empty()) {
    envelope.msg_control = control;
    envelope.msg_controllen = CMSG_SPACE(fds.size() * sizeof(int));
    cmsghdr* one = CMSG_FIRSTHDR(&envelope);
    one->cmsg_level = SOL_SOCKET;
    one->cmsg_type = SCM_RIGHTS;
    one->cmsg_len = CMSG_LEN(fds.size() * sizeof(int));
    std::memcpy(CMSG_DATA(one), fds.data(), fds.size() * sizeof(int));
  }
  // A device that has hung up is gone() then.
  if (sendmsg(socket_, &envelope, MSG_NOSIGNAL) < 0 || !reply) return {};
  uint32_t back[3];
  if (recv(socket_, back, sizeof back, MSG_WAITALL) != sizeof back)
    fail("no reply to message " + std::to_string(request));
  std::vector<uint8_t> out(back[2]);
  if (recv(socket_, out.data(), out.size(), MSG_WAITALL) != static_cast<ssize_t>(out.size())) fail("a short reply");
  return out;
}

uint64_t Front::ask(uint32_t request) {
  uint64_t value = 0;
  const auto reply = message(request, nullptr, 0, {}, true);
  if (reply.size() != sizeof value) fail("a reply of another size");
  std::memcpy(&value, reply.data(), sizeof value);
  return value;
}

bool Front::gone() {
  char byte;
  pollfd watched{socket_, POLLIN, 0};
  return poll(&watched, 1, 5000) == 1 && recv(socket_, &byte, 1, 0) <= 0;
}

void Front::set_up(bool event_index) {
  features_ = ask(1) & (1ULL << 32 | kProtocolFeature | 1ULL << 28 | (event_index ? 1ULL << 29 : 0));
  if ((features_ & kProtocolFeature) != 0) {
    const uint64_t protocol = ask(15) & (1ULL << 3);
    message(16, &protocol, sizeof protocol);
  }
  message(2, &features_, sizeof features_);
  message(3, nullptr, 0);
  const uint64_t table[] = {1, kGuestBase, kMemory, user_base(), 0};
  message(5, table, sizeof table, {memory_file_});
  start_ring(0);
  start_ring(1);
}

void Front::start_ring(unsigned index, bool enable) {
  Ring& one = ring[index];
  const uint32_t size[] = {index, Ring::kSize};
  const uint32_t base[] = {index, one.offered};
  const auto address = [](const void* pointer) { return reinterpret_cast<uint64_t>(pointer); };
  const uint64_t addresses[] = {index, address(one.descriptors), address(one.used), address(one.available), 0};
  message(8, size, sizeof size);
  message(10, base, sizeof base);
  message(9, addresses, sizeof addresses);
  const uint64_t which = index;
  message(13, &which, sizeof which, {one.call});
  message(12, &which, sizeof which, {one.kick});
  const uint32_t enabled[] = {index, 1};
  if (enable && (features_ & kProtocolFeature) != 0) message(18, enabled, sizeof enabled);
}

void Front::offer(unsigned index, uint16_t first, const std::vector<Buffer>& buffers) {
  for (size_t i = 0; i < buffers.size(); i++) {
    const bool last = i + 1 == buffers.size();
    vring_desc& descriptor = ring[index].descriptors[(first + i) % Ring::kSize];
    descriptor.addr = buffers[i].address;
    descriptor.len = buffers[i].size;
    descriptor.flags =
        static_cast<uint16_t>((last ? 0 : VRING_DESC_F_NEXT) | (buffers[i].writable ? VRING_DESC_F_WRITE : 0));
    descriptor.next = static_cast<uint16_t>((first + i + 1) % Ring::kSize);
  }
  publish(index, first);
}

void Front::publish(unsigned index, uint16_t head) {
  Ring& one = ring[index];
  one.available[2 + one.offered % Ring::kSize] = head;
  __atomic_store_n(&one.available[1], ++one.offered, __ATOMIC_RELEASE);
}

void Front::kick(unsigned index) {
  __atomic_thread_fence(__ATOMIC_SEQ_CST);
  Ring& one = ring[index];
  // With event indices the device says from which chain on it wants to be kicked; one kick too many does no harm.
  if ((features_ & 1ULL << 29) == 0 &&
      (__atomic_load_n(&one.used[0], __ATOMIC_ACQUIRE) & VRING_USED_F_NO_NOTIFY) != 0) {
    return;
  }
  if ((features_ & 1ULL << 29) != 0) {
    const uint16_t wanted = __atomic_load_n(&one.used[2 + Ring::kSize * 4], __ATOMIC_ACQUIRE);
    if (static_cast<uint16_t>(one.offered - wanted - 1) >= Ring::kSize) return;
  }
  const uint64_t number = 1;
  if (write(one.kick, &number, sizeof number) < 0) fail("a kick");
}

bool Front::used(unsigned index, uint16_t& head, uint32_t& written, int milliseconds) {
  Ring& one = ring[index];
  while (__atomic_load_n(&one.used[1], __ATOMIC_ACQUIRE) == one.seen) {
    one.available[2 + Ring::kSize] = one.seen;  // used_event: tell of the next
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    if (__atomic_load_n(&one.used[1], __ATOMIC_ACQUIRE) != one.seen) break;
    // The device says nothing on its own: whatever comes on the socket is its end.
    pollfd watched[2] = {{one.call, POLLIN, 0}, {socket_, POLLIN, 0}};
    if (poll(watched, 2, milliseconds) <= 0 || watched[0].revents == 0) return false;
    uint64_t number;
    if (::read(one.call, &number, sizeof number) < 0 && errno != EAGAIN) fail("a call");
  }
  uint32_t entry[2];
  std::memcpy(entry, &one.used[2 + (one.seen % Ring::kSize) * 4], sizeof entry);
  one.seen++;
  head = static_cast<uint16_t>(entry[0]);
  written = entry[1];
  return true;
}

// ——— the client

int Client::call(uint32_t opcode, uint64_t node, const void* body, size_t size, std::vector<uint8_t>& out,
                 uint32_t room) {
  fuse_in_header header{};
  header.len = static_cast<uint32_t>(sizeof header + size);
  header.opcode = opcode;
  header.nodeid = node;
  header.unique = unique_ += 2;
  const uint64_t in = Front::kRoom;
  const uint64_t back = Front::kRoom + 0x20000;
  std::memcpy(front_.at(in), &header, sizeof header);
  if (size > 0) std::memcpy(front_.at(in + sizeof header), body, size);
  const auto header_out = static_cast<uint32_t>(sizeof(fuse_out_header));
  std::vector<Buffer> buffers = {{in, static_cast<uint32_t>(sizeof header), false}};
  if (size > 0) buffers.push_back({in + sizeof header, static_cast<uint32_t>(size), false});
  buffers.push_back({back, header_out, true});
  // As a kernel's pages: one buffer each.
  for (uint32_t at = 0; at < room; at += 65536) {
    buffers.push_back({back + 4096 + at, std::min<uint32_t>(65536, room - at), true});
  }
  front_.offer(1, 0, buffers);
  front_.kick(1);
  uint16_t head;
  uint32_t written;
  if (!front_.used(1, head, written)) fail("no answer to opcode " + std::to_string(opcode));
  fuse_out_header reply;
  std::memcpy(&reply, front_.at(back), sizeof reply);
  if (reply.unique != header.unique || written < sizeof reply || reply.len != written) fail("an answer of another");
  const uint8_t* bytes = front_.at(back + 4096);
  out.assign(bytes, bytes + (written - sizeof reply));
  return -reply.error;
}

void Client::initialise() {
  fuse_init_in init{};
  init.major = FUSE_KERNEL_VERSION;
  init.minor = 36;
  init.max_readahead = 128 * 1024;
  init.flags = FUSE_ASYNC_READ | FUSE_DO_READDIRPLUS | FUSE_PARALLEL_DIROPS | FUSE_MAX_PAGES | FUSE_NO_OPEN_SUPPORT |
               FUSE_NO_OPENDIR_SUPPORT;
  std::vector<uint8_t> out;
  if (const int error = call(FUSE_INIT, 0, &init, sizeof init, out, sizeof(fuse_init_out)); error != 0) {
    fail(std::string("INIT: ") + std::strerror(error));
  }
}

uint64_t Client::lookup(uint64_t parent, const std::string& name, fuse_attr* attr) {
  std::vector<uint8_t> out;
  const int error = call(FUSE_LOOKUP, parent, name.c_str(), name.size() + 1, out, sizeof(fuse_entry_out));
  if (error == ENOENT) return 0;
  if (error != 0) fail("LOOKUP " + name + ": " + std::strerror(error));
  fuse_entry_out entry;
  std::memcpy(&entry, out.data(), sizeof entry);
  if (attr) *attr = entry.attr;
  return entry.nodeid;
}

void Client::forget(uint64_t node, uint64_t lookups) {
  struct {
    fuse_in_header header;
    fuse_forget_in forget;
  } request{};
  request.header.len = sizeof request;
  request.header.opcode = FUSE_FORGET;
  request.header.nodeid = node;
  request.header.unique = unique_ += 2;
  request.forget.nlookup = lookups;
  std::memcpy(front_.at(Front::kRoom), &request, sizeof request);
  front_.offer(0, 0, {{Front::kRoom, sizeof request, false}});
  front_.kick(0);
  uint16_t head;
  uint32_t written;
  if (!front_.used(0, head, written) || written != 0) fail("FORGET was not taken");
}

uint64_t Client::open(uint64_t node, bool directory) {
  fuse_open_in in{};
  std::vector<uint8_t> out;
  const int error = call(directory ? FUSE_OPENDIR : FUSE_OPEN, node, &in, sizeof in, out, sizeof(fuse_open_out));
  if (error == ENOSYS) return 0;
  if (error != 0) fail(std::string("OPEN: ") + std::strerror(error));
  fuse_open_out reply;
  std::memcpy(&reply, out.data(), sizeof reply);
  return reply.fh;
}

std::string Client::read(uint64_t node, uint64_t handle, uint64_t offset, uint32_t size) {
  fuse_read_in in{};
  in.fh = handle;
  in.offset = offset;
  in.size = size;
  std::vector<uint8_t> out;
  if (const int error = call(FUSE_READ, node, &in, sizeof in, out, size); error != 0) {
    fail(std::string("READ: ") + std::strerror(error));
  }
  return {out.begin(), out.end()};
}

std::string Client::readlink(uint64_t node) {
  std::vector<uint8_t> out;
  if (const int error = call(FUSE_READLINK, node, nullptr, 0, out, 4096); error != 0) {
    fail(std::string("READLINK: ") + std::strerror(error));
  }
  return {out.begin(), out.end()};
}

void Client::list(uint64_t node, const std::function<void(const std::string&, const fuse_entry_out&)>& each) {
  fuse_read_in in{};
  in.fh = open(node, true);
  in.size = 32768;
  for (std::vector<uint8_t> out;;) {
    if (const int error = call(FUSE_READDIRPLUS, node, &in, sizeof in, out, in.size); error != 0) {
      fail(std::string("READDIRPLUS: ") + std::strerror(error));
    }
    if (out.empty()) return;
    for (size_t at = 0; at < out.size();) {
      fuse_direntplus entry;
      std::memcpy(&entry, &out[at], sizeof entry);
      const std::string name(reinterpret_cast<const char*>(&out[at]) + FUSE_NAME_OFFSET_DIRENTPLUS,
                             entry.dirent.namelen);
      if (name != "." && name != "..") each(name, entry.entry_out);
      in.offset = entry.dirent.off;
      at += FUSE_DIRENT_ALIGN(FUSE_NAME_OFFSET_DIRENTPLUS + entry.dirent.namelen);
    }
  }
}

}  // namespace front
