// Rings: index arithmetic as in section 2.7 of the virtio 1.2 specification.
#include "fuse/virtqueue.h"

#include <endian.h>
#define VIRTIO_RING_NO_LEGACY
#include <linux/virtio_ring.h>

#include <atomic>
#include <cstddef>
#include <utility>

namespace tvix::fuse {

namespace {

// Fields of shared memory are read and written as wholes, each once. All is little-endian.

uint16_t load16(const void* at) { return le16toh(__atomic_load_n(static_cast<const uint16_t*>(at), __ATOMIC_ACQUIRE)); }

void store16(void* at, uint16_t value) {
  __atomic_store_n(static_cast<uint16_t*>(at), htole16(value), __ATOMIC_RELEASE);
}

void store32(void* at, uint32_t value) {
  __atomic_store_n(static_cast<uint32_t*>(at), htole32(value), __ATOMIC_RELAXED);
}

struct Descriptor {
  uint64_t address;
  uint32_t length;
  uint16_t flags;
  uint16_t next;
};

Descriptor load(const vring_desc& from) {
  return {le64toh(__atomic_load_n(&from.addr, __ATOMIC_RELAXED)), le32toh(__atomic_load_n(&from.len, __ATOMIC_RELAXED)),
          le16toh(__atomic_load_n(&from.flags, __ATOMIC_RELAXED)),
          le16toh(__atomic_load_n(&from.next, __ATOMIC_RELAXED))};
}

// Available ring: flags, index, `size` entries, used_event. Used ring: the same with entries of 8 bytes, avail_event.
constexpr size_t kFlags = 0;
constexpr size_t kIndex = 2;
constexpr size_t kEntries = 4;

bool aligned(uint64_t address, uint64_t to) { return address % to == 0; }

}  // namespace

bool Virtqueue::attach(std::shared_ptr<const GuestMemory> memory, uint32_t size, const Addresses& addresses,
                       std::string& problem) {
  if (size == 0 || size > kMaxSize || (size & (size - 1)) != 0) {
    problem = "a queue of " + std::to_string(size) + " entries";
    return false;
  }
  if (!aligned(addresses.descriptors, 16) || !aligned(addresses.available, 2) || !aligned(addresses.used, 4)) {
    problem = "a ring that is not aligned";
    return false;
  }
  auto* descriptors = memory->at_user(addresses.descriptors, uint64_t{size} * sizeof(vring_desc));
  auto* available = memory->at_user(addresses.available, kEntries + uint64_t{size} * 2 + 2);
  auto* used = memory->at_user(addresses.used, kEntries + uint64_t{size} * 8 + 2);
  if (!descriptors || !available || !used) {
    problem = "a ring outside of the guest's memory";
    return false;
  }
  // An aligned address may still be mapped askew, by the region's offset.
  const auto at = [](const uint8_t* pointer) { return reinterpret_cast<uintptr_t>(pointer); };
  if (!aligned(at(descriptors), 16) || !aligned(at(available), 2) || !aligned(at(used), 4)) {
    problem = "a ring in a region that is not aligned";
    return false;
  }
  memory_ = std::move(memory);
  size_ = size;
  descriptors_ = reinterpret_cast<const vring_desc*>(descriptors);
  available_ = available;
  used_ = used;
  return true;
}

void Virtqueue::begin(uint16_t next, bool event_index) {
  event_index_ = event_index;
  next_ = next;
  used_index_ = load16(used_ + kIndex);
  out_.assign(size_, false);
}

Virtqueue::Popped Virtqueue::pop(Chain& out, std::string& problem) {
  const uint16_t behind = static_cast<uint16_t>(load16(available_ + kIndex) - next_);
  if (behind == 0) return Popped::kNone;
  if (behind > size_) {
    problem = "its index is " + std::to_string(behind) + " ahead of a queue of " + std::to_string(size_);
    return Popped::kBroken;
  }
  const uint16_t head = load16(available_ + kEntries + size_t{2} * (next_ & (size_ - 1)));
  if (head >= size_) {
    problem = "descriptor " + std::to_string(head) + " of " + std::to_string(size_);
    return Popped::kBroken;
  }
  if (out_[head]) {
    problem = "descriptor " + std::to_string(head) + " is in use";
    return Popped::kBroken;
  }
  if (!gather(head, out, problem)) return Popped::kBroken;
  out_[head] = true;
  next_++;
  return Popped::kChain;
}

bool Virtqueue::gather(uint16_t head, Chain& out, std::string& problem) const {
  out.head = head;
  out.readable.clear();
  out.writable.clear();
  out.readable_size = out.writable_size = 0;
  out.memory = memory_;
  // A chain is no longer than its queue, indirect tables included: that bounds loops too.
  uint32_t left = size_;
  return follow(descriptors_, size_, head, false, left, out, problem);
}

bool Virtqueue::follow(const vring_desc* table, uint32_t count, uint32_t at, bool indirect, uint32_t& left, Chain& out,
                       std::string& problem) const {
  for (;;) {
    if (at >= count) {
      problem = "a chain leads to descriptor " + std::to_string(at) + " of " + std::to_string(count);
      return false;
    }
    if (left-- == 0) {
      problem = "a chain is longer than its queue, or a loop";
      return false;
    }
    const Descriptor descriptor = load(table[at]);
    if ((descriptor.flags & VRING_DESC_F_INDIRECT) != 0) {
      if (indirect || (descriptor.flags & VRING_DESC_F_NEXT) != 0) {
        problem = indirect ? "an indirect table in an indirect table" : "an indirect table with a next descriptor";
        return false;
      }
      const vring_desc* inner = indirect_table(descriptor.address, descriptor.length, problem);
      left++;  // the descriptor of a table holds no buffer
      return inner && follow(inner, descriptor.length / sizeof(vring_desc), 0, true, left, out, problem);
    }
    if (!add(descriptor.address, descriptor.length, (descriptor.flags & VRING_DESC_F_WRITE) != 0, out, problem)) {
      return false;
    }
    if ((descriptor.flags & VRING_DESC_F_NEXT) == 0) return true;
    at = descriptor.next;
  }
}

const vring_desc* Virtqueue::indirect_table(uint64_t address, uint64_t bytes, std::string& problem) const {
  if (bytes == 0 || bytes % sizeof(vring_desc) != 0) {
    problem = "an indirect table of " + std::to_string(bytes) + " bytes";
    return nullptr;
  }
  uint64_t contiguous = bytes;
  const uint8_t* table = memory_->at_guest(address, contiguous);
  if (!table || contiguous < bytes) {
    problem = "an indirect table outside of the guest's memory";
    return nullptr;
  }
  if (!aligned(reinterpret_cast<uintptr_t>(table), alignof(vring_desc))) {
    problem = "an indirect table that is not aligned";
    return nullptr;
  }
  return reinterpret_cast<const vring_desc*>(table);
}

bool Virtqueue::add(uint64_t address, uint64_t size, bool writable, Chain& out, std::string& problem) const {
  if (!writable && !out.writable.empty()) {
    problem = "a readable buffer behind a writable one";
    return false;
  }
  (writable ? out.writable_size : out.readable_size) += size;
  auto& buffers = writable ? out.writable : out.readable;
  // A buffer may go from one region on into the next. One of no bytes is none.
  while (size > 0) {
    uint64_t part = size;
    uint8_t* bytes = memory_->at_guest(address, part);
    if (!bytes) {
      problem = "a buffer outside of the guest's memory";
      return false;
    }
    buffers.push_back({bytes, part});
    address += part;
    size -= part;
  }
  return true;
}

bool Virtqueue::push(uint16_t head, uint32_t written) {
  out_[head] = false;
  uint8_t* entry = used_ + kEntries + size_t{8} * (used_index_ & (size_ - 1));
  store32(entry, head);
  store32(entry + 4, written);
  const uint16_t before = used_index_++;
  store16(used_ + kIndex, used_index_);
  // The guest sees the new index, or we see its new wish: not neither.
  std::atomic_thread_fence(std::memory_order_seq_cst);
  if (!event_index_) return (load16(available_ + kFlags) & VRING_AVAIL_F_NO_INTERRUPT) == 0;
  return vring_need_event(load16(available_ + kEntries + size_t{2} * size_), used_index_, before) != 0;
}

bool Virtqueue::waiting() const { return load16(available_ + kIndex) != next_; }

bool Virtqueue::arm() {
  if (event_index_) {
    store16(used_ + kEntries + size_t{8} * size_, next_);
  } else {
    store16(used_ + kFlags, 0);
  }
  std::atomic_thread_fence(std::memory_order_seq_cst);
  return waiting();
}

void Virtqueue::disarm() {
  if (!event_index_) store16(used_ + kFlags, VRING_USED_F_NO_NOTIFY);
}

}  // namespace tvix::fuse
