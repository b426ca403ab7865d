// A split virtqueue, from the device's side: takes chains of buffers that a guest offers, gives them back used.
//
// The three parts of a ring, and the tables of indirect descriptors, lie in memory that the guest may write at any
// moment: every field is read once, and what was read is checked before it is used. A guest that breaks the rules has a
// broken queue, nothing else.
#pragma once

#include <sys/uio.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "fuse/guest_memory.h"

struct vring_desc;

namespace tvix::fuse {

// One request's buffers. Kept and filled again, so that its vectors keep their room.
struct Chain {
  uint16_t head = 0;
  std::vector<iovec> readable;  // by us, in order
  std::vector<iovec> writable;
  size_t readable_size = 0;  // bytes
  size_t writable_size = 0;
  std::shared_ptr<const GuestMemory> memory;  // in which they lie
};

class Virtqueue {
 public:
  static constexpr uint32_t kMaxSize = 32768;

  // Addresses of the front-end's process.
  struct Addresses {
    uint64_t descriptors = 0;
    uint64_t available = 0;
    uint64_t used = 0;
  };

  enum class Popped { kNone, kChain, kBroken };

  // Finds the ring of `size` entries in `memory`; false with a sentence in `problem` when it is not there, or the size
  // is no power of two. May be called again while chains are out, with the size unchanged: the memory has moved.
  bool attach(std::shared_ptr<const GuestMemory> memory, uint32_t size, const Addresses& addresses,
              std::string& problem);
  // Begins at an index of the available ring, with no chain out.
  void begin(uint16_t next, bool event_index);

  // The next chain. kBroken, with a sentence in `problem`: the ring cannot be used any more.
  Popped pop(Chain& out, std::string& problem);
  // Gives a chain back with `written` bytes in it; whether the guest wants to be told.
  bool push(uint16_t head, uint32_t written);
  // Whether a chain, or a broken index, is there to be taken.
  bool waiting() const;
  // Asks to be told of more chains; true when some came meanwhile.
  bool arm();
  // The opposite, while chains are taken anyway.
  void disarm();

  // Index of the available ring up to which chains were taken.
  uint16_t next() const { return next_; }
  uint32_t size() const { return size_; }

 private:
  bool gather(uint16_t head, Chain& out, std::string& problem) const;
  bool follow(const vring_desc* table, uint32_t count, uint32_t at, bool indirect, uint32_t& left, Chain& out,
              std::string& problem) const;
  bool add(uint64_t address, uint64_t size, bool writable, Chain& out, std::string& problem) const;
  const vring_desc* indirect_table(uint64_t address, uint64_t bytes, std::string& problem) const;

  std::shared_ptr<const GuestMemory> memory_;
  uint32_t size_ = 0;
  bool event_index_ = false;
  const vring_desc* descriptors_ = nullptr;
  uint8_t* available_ = nullptr;
  uint8_t* used_ = nullptr;
  uint16_t next_ = 0;        // in the available ring
  uint16_t used_index_ = 0;  // ours; the ring's copy is the guest's to destroy
  std::vector<bool> out_;    // by head: taken and not given back
};

}  // namespace tvix::fuse
