// A vhost-user front-end and a guest's FUSE driver in one, without a virtual machine: for tests and measurements.
//
// It offers a device its memory and rings as QEMU would, and puts requests into them as a guest's kernel would, or as
// none would: everything in memory and rings can be written directly. Works with any vhost-user-fs device.
#pragma once

#include <linux/fuse.h>
#define VIRTIO_RING_NO_LEGACY
#include <linux/virtio_ring.h>

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace front {

// Prints why and exits: whatever goes wrong here, a test has failed.
[[noreturn]] void fail(const std::string& why);

struct Buffer {
  uint64_t address;  // guest-physical
  uint32_t size;
  bool writable;
};

// The guest's side of a split virtqueue.
struct Ring {
  static constexpr uint32_t kSize = 128;
  vring_desc* descriptors;
  uint16_t* available;  // flags, index, entries, used_event
  uint16_t* used;       // flags, index, entries of 4 each, avail_event
  int kick = -1;
  int call = -1;
  uint16_t seen = 0;  // of the used ring
  uint16_t offered = 0;
};

// A device that is connected, with memory and two running rings: 0 for what must not wait, 1 for requests.
class Front {
 public:
  static constexpr uint64_t kGuestBase = 0x100000000;
  static constexpr uint64_t kMemory = 64 << 20;
  static constexpr uint64_t kProtocolFeature = 1ULL << 30;

  explicit Front(const std::string& socket);
  ~Front();
  Front(const Front&) = delete;
  Front& operator=(const Front&) = delete;

  // Everything between connecting and the first request.
  void set_up(bool event_index = true);

  // ——— messages. `reply` bytes come back; without, nothing is awaited.
  std::vector<uint8_t> message(uint32_t request, const void* payload, size_t size, const std::vector<int>& fds = {},
                               bool reply = false, uint32_t flags = 1);
  uint64_t ask(uint32_t request);
  // Whether the device has hung up.
  bool gone();
  int socket() const { return socket_; }

  // ——— memory
  template <class T = uint8_t>
  T* at(uint64_t guest) {
    return reinterpret_cast<T*>(memory_ + (guest - kGuestBase));
  }
  uint64_t guest_of(const void* pointer) const {
    return kGuestBase + static_cast<uint64_t>(static_cast<const uint8_t*>(pointer) - memory_);
  }
  int memory_file() const { return memory_file_; }
  uint64_t user_base() const { return reinterpret_cast<uint64_t>(memory_); }
  // Room for requests behind the rings.
  static constexpr uint64_t kRoom = kGuestBase + (1 << 20);

  Ring ring[2];
  void start_ring(unsigned index, bool enable = true);
  // Puts a chain into descriptors from `first` on and offers it.
  void offer(unsigned index, uint16_t first, const std::vector<Buffer>& buffers);
  void publish(unsigned index, uint16_t head);
  void kick(unsigned index);
  // Waits for a used chain: its head and the bytes written. False after `milliseconds`.
  bool used(unsigned index, uint16_t& head, uint32_t& written, int milliseconds = 5000);

 private:
  int socket_ = -1;
  int memory_file_ = -1;
  uint8_t* memory_ = nullptr;
  uint64_t features_ = 0;
};

// A guest's FUSE client over ring 1, one request at a time.
class Client {
 public:
  explicit Client(Front& front) : front_(front) {}

  // The errno, 0 when done. The reply's body comes back in `out`, at most `room` bytes.
  int call(uint32_t opcode, uint64_t node, const void* body, size_t size, std::vector<uint8_t>& out, uint32_t room);
  void initialise();
  // 0 when there is none.
  uint64_t lookup(uint64_t parent, const std::string& name, fuse_attr* attr = nullptr);
  void forget(uint64_t node, uint64_t lookups);
  uint64_t open(uint64_t node, bool directory);
  std::string read(uint64_t node, uint64_t handle, uint64_t offset, uint32_t size);
  std::string readlink(uint64_t node);
  // Calls `each` with name and attributes of every entry; the dots aside.
  void list(uint64_t node, const std::function<void(const std::string&, const fuse_entry_out&)>& each);

 private:
  Front& front_;
  uint64_t unique_ = 2;
};

// Attacks; each is followed by proof that the device still serves. The number of them.
int attack(const std::string& socket);
// Rings and requests at random for some seconds, from front-ends that come and go; how many they were.
int storm(const std::string& socket, double seconds, uint64_t seed);
// Fails unless the device serves.
void prove(const std::string& socket);

}  // namespace front
