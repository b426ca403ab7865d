// What a hostile guest, or a front-end out of its mind, may try. Devices are to go on serving whoever comes next.
#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "front.h"

namespace front {

namespace {

using Attack = std::function<void(Front&)>;

constexpr uint64_t kEnd = Front::kGuestBase + Front::kMemory;

// The header of a request with `body` bytes behind it.
fuse_in_header header_of(uint32_t opcode, size_t body) {
  return {static_cast<uint32_t>(sizeof(fuse_in_header) + body), opcode, 77, FUSE_ROOT_ID, 0, 0, 0, 0, 0};
}

// A request of `size` bytes that says it has as many, and room for an answer: the answer's error, 0 for none.
int try_request(Front& front, uint32_t opcode, const std::string& body, uint64_t node = FUSE_ROOT_ID) {
  std::vector<uint8_t> out;
  Client client(front);
  return client.call(opcode, node, body.data(), body.size(), out, 4096);
}

void expect(bool condition, const std::string& what) {
  if (!condition) fail(what);
}

// The device gives no answer: the queue is broken, or the request was dropped.
void expect_silence(Front& front) {
  uint16_t head;
  uint32_t written;
  expect(!front.used(1, head, written, 100) || written == 0, "an answer to a chain that is none");
}

// A chain of raw descriptors, offered on ring 1.
void offer_raw(Front& front, const std::vector<vring_desc>& descriptors, uint16_t head = 0) {
  for (size_t i = 0; i < descriptors.size(); i++) front.ring[1].descriptors[i] = descriptors[i];
  front.publish(1, head);
  front.kick(1);
  expect_silence(front);
}

vring_desc descriptor(uint64_t address, uint32_t size, uint16_t flags, uint16_t next = 0) {
  return {address, size, flags, next};
}

constexpr uint16_t kNext = VRING_DESC_F_NEXT;
constexpr uint16_t kWrite = VRING_DESC_F_WRITE;
constexpr uint16_t kIndirect = VRING_DESC_F_INDIRECT;

// Chains that break the rules of rings.
std::vector<Attack> chains() {
  const auto raw = [](std::vector<vring_desc> descriptors, uint16_t head = 0) -> Attack {
    return [=](Front& front) { offer_raw(front, descriptors, head); };
  };
  std::vector<Attack> out = {
      raw({descriptor(Front::kRoom, 16, kNext, 0)}),                                          // a loop of one
      raw({descriptor(Front::kRoom, 16, kNext, 1), descriptor(Front::kRoom, 16, kNext, 0)}),  // of two
      raw({descriptor(Front::kRoom, 16, kNext, 500)}),                                        // out of the table
      raw({}, 1000),                                                                          // a head that is none
      raw({descriptor(0, 4096, 0)}),                                                          // before memory
      raw({descriptor(kEnd, 1, 0)}),                                                          // behind it
      raw({descriptor(kEnd - 8, 4096, 0)}),                                                   // over its end
      raw({descriptor(UINT64_MAX - 8, 64, 0)}),                                               // around the end
      raw({descriptor(Front::kRoom, UINT32_MAX, 0)}),                                         // 4 GiB
      raw({descriptor(Front::kRoom, 0, 0)}),                                                  // nothing
      raw({descriptor(Front::kRoom, 0, kNext, 1), descriptor(Front::kRoom, 0, kWrite)}),      // twice nothing
      raw({descriptor(Front::kRoom, 64, kNext | kWrite, 1), descriptor(Front::kRoom + 64, 64, 0)}),  // wrong order
      raw({descriptor(Front::kRoom, 8, 0)}),                                                         // half a header
      raw({descriptor(Front::kRoom, 4096, kWrite)}),                                                 // only writable
      raw({descriptor(Front::kRoom, 16, kIndirect | kNext, 1), descriptor(Front::kRoom, 16, 0)}),    // table and next
      raw({descriptor(Front::kRoom, 0, kIndirect)}),                                                 // an empty table
      raw({descriptor(Front::kRoom, 17, kIndirect)}),      // a table and a bit
      raw({descriptor(Front::kRoom + 1, 16, kIndirect)}),  // askew
      raw({descriptor(kEnd - 16, 64, kIndirect)}),         // over the end
      raw({descriptor(16, 64, kIndirect)}),                // nowhere
  };
  // A table in a table, a table that loops, and one that is longer than any chain may be.
  out.push_back([](Front& front) {
    *front.at<vring_desc>(Front::kRoom) = descriptor(Front::kRoom, 16, kIndirect);
    offer_raw(front, {descriptor(Front::kRoom, 16, kIndirect)});
  });
  out.push_back([](Front& front) {
    *front.at<vring_desc>(Front::kRoom) = descriptor(Front::kRoom, 16, kNext, 0);
    offer_raw(front, {descriptor(Front::kRoom, 16, kIndirect)});
  });
  out.push_back([](Front& front) {
    auto* table = front.at<vring_desc>(Front::kRoom);
    for (uint16_t i = 0; i < 4000; i++) table[i] = descriptor(Front::kRoom, 1, kNext, static_cast<uint16_t>(i + 1));
    offer_raw(front, {descriptor(Front::kRoom, 4000 * 16, kIndirect)});
  });
  // An index that jumps, and one chain twice.
  out.push_back([](Front& front) {
    front.ring[1].available[1] = 40000;
    front.kick(1);
    const uint64_t one = 1;
    expect(write(front.ring[1].kick, &one, sizeof one) > 0, "a kick");
    expect_silence(front);
  });
  out.push_back([](Front& front) {
    front.ring[1].descriptors[5] = descriptor(Front::kRoom, 64, 0);
    for (int i = 0; i < 64; i++) front.publish(1, 5);
    front.kick(1);
    expect_silence(front);
  });
  return out;
}

// Requests that are none, in chains that are in order.
std::vector<Attack> requests() {
  const auto refused = [](uint32_t opcode, std::string body, int error, uint64_t node = FUSE_ROOT_ID) -> Attack {
    return [=](Front& front) {
      Client(front).initialise();
      const int got = try_request(front, opcode, body, node);
      expect(got == error, "opcode " + std::to_string(opcode) + ": errno " + std::to_string(got) + " and not " +
                               std::to_string(error));
    };
  };
  fuse_init_in old{};
  old.major = 7;
  old.minor = 5;
  const std::string old_init(reinterpret_cast<const char*>(&old), sizeof old);
  std::vector<Attack> out = {
      refused(FUSE_LOOKUP, "", EINVAL),                        // no name
      refused(FUSE_LOOKUP, "abc", EINVAL),                     // without its end
      refused(FUSE_LOOKUP, std::string("a\0b\0", 4), EINVAL),  // with two
      refused(FUSE_LOOKUP, std::string(300, 'x') + '\0', ENAMETOOLONG),
      refused(FUSE_GETATTR, "", EINVAL),
      refused(FUSE_GETATTR, std::string(16, '\0'), ESTALE, 0),  // inodes nobody was given
      refused(FUSE_GETATTR, std::string(16, '\0'), ESTALE, 1234567),
      refused(FUSE_GETATTR, std::string(16, '\0'), ESTALE, UINT64_MAX),
      refused(FUSE_READ, std::string(8, '\0'), EINVAL),
      refused(FUSE_READ, std::string(40, '\xff'), EISDIR),  // of a directory, at -1
      refused(FUSE_READDIR, std::string(40, '\xff'), EINVAL),
      refused(FUSE_READDIRPLUS, std::string(3, 'a'), EINVAL),
      refused(FUSE_GETXATTR, std::string(8, '\0'), EINVAL),
      refused(FUSE_WRITE, std::string(4096, 'x'), EROFS),
      refused(FUSE_UNLINK, std::string("a\0", 2), EROFS),
      refused(FUSE_SETUPMAPPING, std::string(64, '\0'), ENOSYS),
      refused(FUSE_IOCTL, std::string(64, '\0'), ENOSYS),
      refused(9999, "", ENOSYS),
      refused(CUSE_INIT, std::string(64, '\0'), ENOSYS),
      refused(FUSE_INIT, "", EINVAL),
      refused(FUSE_INIT, old_init, EPROTO),
  };
  // Anything before INIT.
  out.push_back([](Front& front) { expect(try_request(front, FUSE_STATFS, "") == EIO, "served before INIT"); });
  // FORGET of what was never given, BATCH_FORGET of more than there is; and DESTROY, twice, and then anew.
  out.push_back([](Front& front) {
    Client client(front);
    client.initialise();
    client.forget(1, UINT64_MAX);
    client.forget(99, 5);
    fuse_batch_forget_in batch{UINT32_MAX, 0};
    const auto header = header_of(FUSE_BATCH_FORGET, sizeof batch);
    std::memcpy(front.at(Front::kRoom), &header, sizeof header);
    std::memcpy(front.at(Front::kRoom + sizeof header), &batch, sizeof batch);
    front.offer(0, 0, {{Front::kRoom, header.len, false}});
    front.kick(0);
    uint16_t head;
    uint32_t written;
    expect(front.used(0, head, written) && written == 0, "BATCH_FORGET was answered");
    for (int i = 0; i < 2; i++) expect(try_request(front, FUSE_DESTROY, "") == 0, "DESTROY");
    client.initialise();
    client.initialise();
    expect(try_request(front, FUSE_GETATTR, std::string(16, '\0')) == 0, "a session after DESTROY");
  });
  // Listings opened without end: some time there are no more, and closing one makes room.
  out.push_back([](Front& front) {
    Client client(front);
    client.initialise();
    const std::string body(sizeof(fuse_open_in), '\0');
    std::vector<uint8_t> out;
    fuse_open_out given{};
    int error = 0;
    for (int opened = 0; error == 0; opened++) {
      error = client.call(FUSE_OPENDIR, FUSE_ROOT_ID, body.data(), body.size(), out, sizeof given);
      if (error == 0) std::memcpy(&given, out.data(), sizeof given);
      expect(opened < 100000, "listings are given out without end");
    }
    if (error == ENOSYS) return;  // opened by the guest itself
    expect(error == ENFILE, "OPENDIR: errno " + std::to_string(error));
    fuse_release_in release{};
    release.fh = given.fh;
    const std::string closing(reinterpret_cast<const char*>(&release), sizeof release);
    expect(try_request(front, FUSE_RELEASEDIR, closing) == 0, "RELEASEDIR");
    expect(try_request(front, FUSE_OPENDIR, body) == 0, "a closed listing made no room");
  });
  // A header that lies about its length, no room for an answer, too little of it.
  out.push_back([](Front& front) {
    Client(front).initialise();
    uint16_t head;
    uint32_t written;
    for (const uint32_t length : {0u, 39u, 41u, UINT32_MAX}) {
      auto header = header_of(FUSE_STATFS, 0);
      header.len = length;
      std::memcpy(front.at(Front::kRoom), &header, sizeof header);
      front.offer(1, 0, {{Front::kRoom, sizeof header, false}, {Front::kRoom + 4096, 256, true}});
      front.kick(1);
      expect(front.used(1, head, written) && written == sizeof(fuse_out_header), "a lying header was served");
    }
    const auto header = header_of(FUSE_STATFS, 0);
    std::memcpy(front.at(Front::kRoom), &header, sizeof header);
    for (const uint32_t room : {0u, 1u, 15u, 16u, 20u}) {
      front.offer(1, 0, {{Front::kRoom, sizeof header, false}, {Front::kRoom + 4096, room, true}});
      front.kick(1);
      expect(front.used(1, head, written) && written == (room < 16 ? 0 : 16), "an answer without room");
    }
  });
  // Requests left behind: the guest is gone before their answers are.
  out.push_back([](Front& front) {
    Client(front).initialise();
    const std::string name = "00000000000000000000000000000000-none";
    for (uint16_t i = 0; i < 40; i++) {
      const uint64_t in = Front::kRoom + 8192ULL * i;
      const auto header = header_of(FUSE_LOOKUP, name.size() + 1);
      std::memcpy(front.at(in), &header, sizeof header);
      std::memcpy(front.at(in + sizeof header), name.c_str(), name.size() + 1);
      front.offer(1, static_cast<uint16_t>(i * 2), {{in, header.len, false}, {in + 4096, 256, true}});
    }
    front.kick(1);
  });
  // Memory that changes while requests are judged and served.
  out.push_back([](Front& front) {
    Client(front).initialise();
    const auto header = header_of(FUSE_STATFS, 0);
    for (int round = 0; round < 2000; round++) {
      std::memcpy(front.at(Front::kRoom), &header, sizeof header);
      front.offer(1, 0, {{Front::kRoom, sizeof header, false}, {Front::kRoom + 4096, 256, true}});
      front.kick(1);
      for (int i = 0; i < 50; i++) {
        front.ring[1].descriptors[0].addr += 0x1000;
        front.ring[1].descriptors[1].len = static_cast<uint32_t>(i) << 28;
        front.at<fuse_in_header>(Front::kRoom)->len ^= 0xffffu;
      }
      uint16_t head;
      uint32_t written;
      if (!front.used(1, head, written, 20)) return;  // the queue broke, as it should
    }
  });
  return out;
}

// Front-ends that say what makes no sense. Each is to be disconnected, or refused.
std::vector<Attack> messages() {
  const auto says = [](uint32_t request, std::vector<uint64_t> words, std::vector<int> fds = {}) -> Attack {
    return [=](Front& front) {
      front.message(request, words.data(), words.size() * 8, fds);
      expect(front.gone(), "message " + std::to_string(request) + " was accepted");
    };
  };
  const auto ring = [](uint32_t index, uint32_t value) { return static_cast<uint64_t>(value) << 32 | index; };
  std::vector<Attack> out = {
      says(99, {}),
      says(0, {}),
      says(2, {UINT64_MAX}),
      says(2, {}),
      says(16, {UINT64_MAX}),
      says(5, {}),
      says(5, {1}),
      says(5, {200}),
      says(5, {1, 0, 4096, 0, 0}),
      says(8, {ring(250, 128)}),
      says(8, {ring(1, 1 << 20)}),
      says(8, {1, 2, 3}),
      says(9, {1, 2}),
      says(11, {ring(250, 0)}),
      says(12, {250}),
      says(12, {1}),
      says(12, {1 | 1 << 8}),
      says(13, {1}),
  };
  // Regions longer than their file, that overlap, that wrap around.
  for (const std::vector<uint64_t>& table :
       std::vector<std::vector<uint64_t>>{{1, 0, Front::kMemory * 2, 0x1000000, 0},
                                          {1, 0, Front::kMemory, 0x1000000, 4096},
                                          {1, UINT64_MAX - 4096, 8192, 0x1000000, 0},
                                          {1, 0, 4096, 0x1000000, UINT64_MAX - 100},
                                          {1, 0, 0, 0x1000000, 0},
                                          {2, 0, 8192, 0x1000000, 0, 4096, 8192, 0x8000000, 0}}) {
    out.push_back([=](Front& front) {
      front.message(5, table.data(), table.size() * 8, std::vector<int>(table[0], front.memory_file()));
      expect(front.gone(), "a table of memory that cannot be was accepted");
    });
  }
  // Rings outside of memory, askew, of odd sizes, and changed while in use.
  for (const std::vector<uint64_t>& where : std::vector<std::vector<uint64_t>>{
           {0, 0, 0}, {1, 0x8000, 0x4000}, {Front::kMemory - 16, 0x8000, 0x4000}, {0, 0x8001, 0x4000}}) {
    out.push_back([=](Front& front) {
      const uint64_t table[] = {1, Front::kGuestBase, Front::kMemory, front.user_base(), 0};
      front.message(5, table, sizeof table, {front.memory_file()});
      const uint64_t lost = where[1] == 0 ? 0x1000 : front.user_base();
      const uint64_t addresses[] = {1, lost + where[0], lost + where[1], lost + where[2], 0};
      const uint32_t size[] = {1, 128};
      front.message(8, size, sizeof size);
      front.message(9, addresses, sizeof addresses);
      const uint64_t which = 1;
      front.message(12, &which, sizeof which, {front.ring[1].kick});
      expect(front.gone(), "a ring that cannot be was started");
    });
  }
  out.push_back([](Front& front) {
    front.set_up();
    const uint32_t size[] = {1, 64};
    front.message(8, size, sizeof size);
    expect(front.gone(), "a ring was changed while in use");
  });
  // A message that stops in the middle, of another version, of a size that is none; and nothing at all.
  out.push_back([](Front& front) {
    const uint32_t words[] = {5, 1, 40};
    expect(write(front.socket(), words, sizeof words) > 0, "a message");
  });
  out.push_back([](Front& front) {
    front.message(1, nullptr, 0, {}, false, 2);
    expect(front.gone(), "another version was accepted");
  });
  out.push_back([](Front& front) {
    const uint32_t words[] = {5, 1, UINT32_MAX};
    expect(write(front.socket(), words, sizeof words) > 0, "a message");
    expect(front.gone(), "a message of 4 GiB was accepted");
  });
  out.push_back([](Front&) {});
  // A kick that is a plain file, and that has ended.
  out.push_back([](Front& front) {
    front.set_up();
    const int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    const uint64_t which = 1;
    front.message(12, &which, sizeof which, {null});
    close(null);
  });
  return out;
}

}  // namespace

void prove(const std::string& socket) {
  Front front(socket);
  front.set_up();
  Client client(front);
  client.initialise();
  if (try_request(front, FUSE_GETATTR, std::string(16, '\0')) != 0) fail("the device serves no more");
}

int attack(const std::string& socket) {
  int count = 0;
  const auto run = [&](const std::vector<Attack>& attacks, bool set_up) {
    for (const Attack& one : attacks) {
      {
        Front front(socket);
        if (set_up) front.set_up(count % 2 == 0);
        one(front);
      }
      prove(socket);
      count++;
    }
  };
  run(chains(), true);
  run(requests(), true);
  run(messages(), false);
  return count;
}

}  // namespace front
