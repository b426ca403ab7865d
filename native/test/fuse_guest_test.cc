// A guest's memory, rings and requests, good and bad.
#define VIRTIO_RING_NO_LEGACY
#include <linux/fuse.h>
#include <linux/virtio_ring.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <string>
#include <vector>

#include "doctest/doctest.h"
#include "fuse/guest_memory.h"
#include "fuse/request.h"
#include "fuse/teller.h"
#include "fuse/virtqueue.h"

using namespace tvix::fuse;

namespace {

constexpr uint64_t kGuest = 0x40000000;
constexpr uint64_t kUser = 0x7f0000000000;
constexpr uint64_t kSize = 1 << 20;
constexpr uint16_t kEntries = 16;
constexpr Virtqueue::Addresses kRing = {kUser, kUser + 0x1000, kUser + 0x2000};

// Memory in two regions that follow each other in the guest and nowhere else, with a ring at its beginning.
struct Guest {
  int file = memfd_create("guest", MFD_CLOEXEC);
  std::shared_ptr<const GuestMemory> memory;
  std::string problem;

  Guest() {
    REQUIRE(ftruncate(file, 2 * kSize) == 0);
    memory = GuestMemory::map({{kGuest, kSize, kUser, kSize}, {kGuest + kSize, kSize, kUser + 16 * kSize, 0}},
                              {file, file}, problem);
    REQUIRE(memory);
  }
  ~Guest() { close(file); }

  uint8_t* at(uint64_t offset) {
    uint64_t size = 1;
    return memory->at_guest(kGuest + offset, size);
  }
  vring_desc& descriptor(uint16_t index) { return reinterpret_cast<vring_desc*>(at(0))[index]; }
  void offer(uint16_t head) {
    auto* available = reinterpret_cast<uint16_t*>(at(0x1000));
    available[2 + available[1] % kEntries] = head;
    available[1]++;
  }
  Virtqueue queue(bool event_index = false) {
    Virtqueue out;
    REQUIRE(out.attach(memory, kEntries, kRing, problem));
    out.begin(0, event_index);
    return out;
  }
};

std::string request(uint32_t opcode, const std::string& body) {
  fuse_in_header header{};
  header.len = static_cast<uint32_t>(sizeof header + body.size());
  header.opcode = opcode;
  return std::string(reinterpret_cast<const char*>(&header), sizeof header) + body;
}

Verdict judge(const std::string& bytes) {
  return tvix::fuse::judge(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size());
}

}  // namespace

TEST_CASE("guest memory is found by both kinds of address, and ends where it ends") {
  Guest guest;
  uint64_t size = 100;
  uint8_t* first = guest.memory->at_guest(kGuest, size);
  CHECK(first == guest.memory->at_user(kUser, kSize));
  CHECK(size == 100);
  size = 100;
  CHECK(guest.memory->at_guest(kGuest + kSize - 10, size) == first + kSize - 10);
  CHECK(size == 10);
  for (const uint64_t address : {uint64_t{0}, kGuest - 1, kGuest + 2 * kSize, UINT64_MAX}) {
    size = 1;
    CHECK(guest.memory->at_guest(address, size) == nullptr);
  }
  CHECK(guest.memory->at_user(kUser + 1, kSize) == nullptr);
  CHECK(guest.memory->at_user(kUser, UINT64_MAX) == nullptr);
  CHECK(guest.memory->at_user(kUser - 1, 1) == nullptr);
}

TEST_CASE("tables of memory that make no sense are refused") {
  Guest guest;
  const std::vector<std::vector<GuestMemory::Region>> bad = {
      {{0, 0, kUser, 0}},
      {{0, 2 * kSize + 1, kUser, 0}},
      {{0, kSize, kUser, kSize + 1}},
      {{UINT64_MAX - 10, 100, kUser, 0}},
      {{0, 100, UINT64_MAX - 10, 0}},
      {{0, 100, kUser, UINT64_MAX - 10}},
      {{0, kSize, kUser, 0}, {kSize - 1, kSize, kUser + 4 * kSize, 0}},
      {{0, kSize, kUser, 0}, {4 * kSize, kSize, kUser + 1, 0}},
  };
  for (const auto& regions : bad) {
    guest.problem.clear();
    CHECK(GuestMemory::map(regions, std::vector<int>(regions.size(), guest.file), guest.problem) == nullptr);
    CHECK_FALSE(guest.problem.empty());
  }
  CHECK(GuestMemory::map({{0, kSize, kUser, 0}}, {-1}, guest.problem) == nullptr);
  CHECK(GuestMemory::map({{0, kSize, kUser, 0}}, {}, guest.problem) == nullptr);
}

TEST_CASE("a chain's buffers come in order, split where regions end, without those of no bytes") {
  Guest guest;
  Virtqueue queue = guest.queue();
  guest.descriptor(3) = {kGuest + 0x5000, 40, VRING_DESC_F_NEXT, 7};
  guest.descriptor(7) = {0, 0, VRING_DESC_F_NEXT, 1};
  guest.descriptor(1) = {kGuest + kSize - 6, 16, VRING_DESC_F_WRITE, 0};
  guest.offer(3);
  Chain chain;
  REQUIRE(queue.pop(chain, guest.problem) == Virtqueue::Popped::kChain);
  CHECK(chain.head == 3);
  REQUIRE(chain.readable.size() == 1);
  CHECK(chain.readable[0].iov_base == guest.at(0x5000));
  CHECK(chain.readable_size == 40);
  REQUIRE(chain.writable.size() == 2);
  CHECK(chain.writable[0].iov_len == 6);
  CHECK(chain.writable[1].iov_base == guest.at(kSize));
  CHECK(chain.writable_size == 16);
  CHECK(queue.pop(chain, guest.problem) == Virtqueue::Popped::kNone);
  CHECK(queue.push(3, 16));
  const auto* used = reinterpret_cast<const uint32_t*>(guest.at(0x2000));
  CHECK(used[1] == 3);
  CHECK(used[2] == 16);
}

TEST_CASE("a chain may lie in an indirect table") {
  Guest guest;
  Virtqueue queue = guest.queue();
  auto* table = reinterpret_cast<vring_desc*>(guest.at(0x8000));
  table[0] = {kGuest + 0x5000, 40, VRING_DESC_F_NEXT, 1};
  table[1] = {kGuest + 0x6000, 80, VRING_DESC_F_WRITE, 0};
  guest.descriptor(0) = {kGuest + 0x8000, 32, VRING_DESC_F_INDIRECT, 0};
  guest.offer(0);
  Chain chain;
  REQUIRE(queue.pop(chain, guest.problem) == Virtqueue::Popped::kChain);
  CHECK(chain.readable_size == 40);
  CHECK(chain.writable_size == 80);
}

TEST_CASE("a head that is out, an index that jumps and a chain that loops break the queue") {
  Chain chain;
  SUBCASE("twice") {
    Guest guest;
    Virtqueue queue = guest.queue();
    guest.descriptor(0) = {kGuest + 0x5000, 40, 0, 0};
    guest.offer(0);
    guest.offer(0);
    CHECK(queue.pop(chain, guest.problem) == Virtqueue::Popped::kChain);
    CHECK(queue.pop(chain, guest.problem) == Virtqueue::Popped::kBroken);
    queue.push(0, 0);
    CHECK(queue.pop(chain, guest.problem) == Virtqueue::Popped::kChain);
  }
  SUBCASE("ahead") {
    Guest guest;
    Virtqueue queue = guest.queue();
    reinterpret_cast<uint16_t*>(guest.at(0x1000))[1] = kEntries + 1;
    CHECK(queue.pop(chain, guest.problem) == Virtqueue::Popped::kBroken);
  }
  SUBCASE("as long as the queue is the longest") {
    Guest guest;
    Virtqueue queue = guest.queue();
    for (uint16_t i = 0; i < kEntries; i++) {
      guest.descriptor(i) = {kGuest + 0x5000, 1, VRING_DESC_F_NEXT, static_cast<uint16_t>(i + 1)};
    }
    guest.descriptor(kEntries - 1).flags = 0;
    guest.offer(0);
    CHECK(queue.pop(chain, guest.problem) == Virtqueue::Popped::kChain);
    CHECK(chain.readable_size == kEntries);
    guest.descriptor(kEntries - 1) = {kGuest + 0x5000, 1, VRING_DESC_F_NEXT, 0};
    guest.offer(1);
    CHECK(queue.pop(chain, guest.problem) == Virtqueue::Popped::kBroken);
  }
}

TEST_CASE("rings outside of memory, askew or of odd sizes are refused") {
  Guest guest;
  Virtqueue queue;
  const auto attach = [&](uint32_t size, Virtqueue::Addresses at) {
    return queue.attach(guest.memory, size, at, guest.problem);
  };
  CHECK(attach(kEntries, kRing));
  for (const uint32_t size : {0u, 3u, 65536u, UINT32_MAX}) CHECK_FALSE(attach(size, kRing));
  CHECK_FALSE(attach(kEntries, {kUser + 8, kUser + 0x1000, kUser + 0x2000}));
  CHECK_FALSE(attach(kEntries, {kUser, kUser + 0x1001, kUser + 0x2000}));
  CHECK_FALSE(attach(kEntries, {kUser, kUser + 0x1000, kUser + 0x2002}));
  CHECK_FALSE(attach(kEntries, {kUser, kUser + 0x1000, kUser + kSize - 128}));
  CHECK_FALSE(attach(kEntries, {0, kUser + 0x1000, kUser + 0x2000}));
}

TEST_CASE("a guest is told when it wants to be") {
  Guest guest;
  auto* available = reinterpret_cast<uint16_t*>(guest.at(0x1000));
  auto* used = reinterpret_cast<uint16_t*>(guest.at(0x2000));
  guest.descriptor(0) = {kGuest + 0x5000, 40, 0, 0};
  Chain chain;
  SUBCASE("by flags") {
    Virtqueue queue = guest.queue();
    queue.disarm();
    CHECK(used[0] == VRING_USED_F_NO_NOTIFY);
    CHECK_FALSE(queue.arm());
    CHECK(used[0] == 0);
    guest.offer(0);
    CHECK(queue.arm());
    REQUIRE(queue.pop(chain, guest.problem) == Virtqueue::Popped::kChain);
    available[0] = VRING_AVAIL_F_NO_INTERRUPT;
    CHECK_FALSE(queue.push(0, 0));
  }
  SUBCASE("by event indices") {
    Virtqueue queue = guest.queue(true);
    available[2 + kEntries] = 1;  // not at the first, at the second
    for (const bool told : {false, true, false}) {
      guest.offer(0);
      REQUIRE(queue.pop(chain, guest.problem) == Virtqueue::Popped::kChain);
      CHECK(queue.push(0, 0) == told);
    }
    CHECK_FALSE(queue.arm());
    CHECK(used[2 + kEntries * 4] == 3);
  }
}

TEST_CASE("requests are served, refused or dropped by their shape") {
  const std::string name("name\0", 5);
  CHECK(judge(request(FUSE_LOOKUP, name)).action == Verdict::kServe);
  CHECK(judge(request(FUSE_LOOKUP, "name")).error == EINVAL);
  CHECK(judge(request(FUSE_LOOKUP, name + name)).error == EINVAL);
  CHECK(judge(request(FUSE_LOOKUP, std::string(256, 'a') + '\0')).error == ENAMETOOLONG);
  CHECK(judge(request(FUSE_GETXATTR, std::string(8, '\0') + name)).action == Verdict::kServe);
  CHECK(judge(request(FUSE_GETXATTR, std::string(8, '\0'))).error == EINVAL);
  CHECK(judge(request(FUSE_READ, std::string(sizeof(fuse_read_in), 'x'))).action == Verdict::kServe);
  CHECK(judge(request(FUSE_READ, std::string(sizeof(fuse_read_in) - 1, 'x'))).error == EINVAL);
  CHECK(judge(request(FUSE_UNLINK, name)).error == EROFS);
  CHECK(judge(request(FUSE_POLL, std::string(24, '\0'))).error == ENOSYS);
  CHECK(judge(request(FUSE_INTERRUPT, std::string(8, '\0'))).action == Verdict::kDrop);
  CHECK(judge(request(FUSE_FORGET, std::string(8, '\0'))).answered == false);
  CHECK(judge(std::string(39, '\0')).action == Verdict::kDrop);
  CHECK(judge(request(FUSE_STATFS, "") + "x").error == EINVAL);
  const auto batch = [](uint32_t count) {
    return request(FUSE_BATCH_FORGET, std::string(reinterpret_cast<char*>(&count), 4) + std::string(36, '\0'));
  };
  CHECK(judge(batch(2)).action == Verdict::kServe);
  CHECK(judge(batch(3)).action == Verdict::kDrop);
  CHECK(judge(batch(UINT32_MAX)).action == Verdict::kDrop);
}

TEST_CASE("replies that were handed to a teller are told of once, by it or by who takes them back") {
  std::atomic<int> told = 0;
  Teller teller([&](unsigned queue) {
    if (queue == 3) told++;
  });
  teller.wake();
  CHECK_FALSE(teller.awake());
  teller.hand_over(3);
  CHECK_FALSE(teller.take_back(2));
  CHECK(teller.take_back(3));
  CHECK_FALSE(teller.take_back(3));
  teller.start();
  while (told == 0) {
    teller.wake();
    teller.hand_over(3);
  }
  while (teller.awake()) {
  }
  teller.take_back(3);
  told = 0;
  int taken = 0;
  constexpr int kTimes = 2000;
  for (int i = 0; i < kTimes; i++) {
    teller.wake();
    teller.hand_over(3);
    if (i % 8 == 0) usleep(10);
    if (teller.take_back(3)) taken++;
  }
  teller.stop();
  CHECK(told + taken == kTimes);
  CHECK(taken < kTimes);
}
