// A guest that writes its rings and requests at random, while the device reads them and while it waits for more.
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <random>

#include "front.h"

namespace front {

namespace {

using Random = std::mt19937_64;

constexpr uint32_t kOpcodes[] = {FUSE_LOOKUP,  FUSE_FORGET,     FUSE_GETATTR,      FUSE_READLINK,    FUSE_OPEN,
                                 FUSE_READ,    FUSE_STATFS,     FUSE_GETXATTR,     FUSE_LISTXATTR,   FUSE_OPENDIR,
                                 FUSE_READDIR, FUSE_RELEASEDIR, FUSE_BATCH_FORGET, FUSE_READDIRPLUS, FUSE_INIT,
                                 FUSE_DESTROY, FUSE_INTERRUPT,  FUSE_WRITE};

// Mostly small, so that it is often meant, and now and then anything.
uint64_t number(Random& random) {
  const uint64_t any = random();
  switch (any & 7) {
    case 0:
      return random();
    case 1:
      return any >> 40;
    default:
      return any >> 8 & 15;
  }
}

uint64_t address(Random& random) {
  return random() % 512 == 0 ? random() : Front::kRoom + random() % 64 * 4096 + random() % 8 * 8;
}

// A request whose header and body are half meant.
void write_request(Front& front, Random& random, uint64_t at) {
  const auto size = static_cast<uint32_t>(sizeof(fuse_in_header) + random() % 96);
  fuse_in_header header{};
  header.len = random() % 16 == 0 ? static_cast<uint32_t>(number(random)) : size;
  header.opcode = kOpcodes[random() % std::size(kOpcodes)];
  header.unique = number(random);
  header.nodeid = random() % 4 == 0 ? number(random) : FUSE_ROOT_ID;
  *front.at<fuse_in_header>(at) = header;
  for (uint32_t i = 0; i < 96; i += 8) *front.at<uint64_t>(at + sizeof header + i) = number(random);
}

// A chain of up to six buffers, some through a table, in an order that is mostly right.
void write_chain(Front& front, Random& random, unsigned ring, uint16_t first) {
  const size_t count = 1 + random() % 6;
  const size_t readable = random() % (count + 1);
  const bool indirect = random() % 3 == 0;
  const uint64_t table_at = Front::kRoom + 512 * 4096 + first * uint64_t{128};
  auto* table = indirect ? front.at<vring_desc>(table_at) : front.ring[ring].descriptors;
  for (size_t i = 0; i < count; i++) {
    const size_t at = indirect ? i : (first + i) % Ring::kSize;
    const bool last = i + 1 == count;
    const bool writable = (i >= readable) != (random() % 512 == 0);
    const uint64_t size = random() % 128 == 0 ? number(random) : 16 + random() % 4096;
    uint16_t flags = static_cast<uint16_t>((last ? 0 : VRING_DESC_F_NEXT) | (writable ? VRING_DESC_F_WRITE : 0));
    if (random() % 512 == 0) flags ^= static_cast<uint16_t>(random() % 8);
    const uint64_t next = random() % 512 == 0 ? random() : indirect ? i + 1 : (at + 1) % Ring::kSize;
    table[at] = {i == 0 ? Front::kRoom + first * uint64_t{4096} : address(random), static_cast<uint32_t>(size), flags,
                 static_cast<uint16_t>(next)};
  }
  if (!indirect) return;
  front.ring[ring].descriptors[first] = {table_at, static_cast<uint32_t>(count * sizeof(vring_desc)),
                                         VRING_DESC_F_INDIRECT, 0};
}

void rage(Front& front, Random& random) {
  for (int i = 0; i < 400; i++) {
    const auto ring = static_cast<unsigned>(random() % 8 == 0 ? 0 : 1);
    const auto first = static_cast<uint16_t>(random() % Ring::kSize);
    switch (random() % 16) {
      case 0:  // something else while it is read
        front.ring[ring].descriptors[first].flags = static_cast<uint16_t>(random());
        break;
      case 1:
        front.ring[ring].available[2 + random() % (Ring::kSize + 1)] = static_cast<uint16_t>(random() % 130);
        break;
      case 2:
        front.ring[ring].available[0] = static_cast<uint16_t>(random() % 2);
        break;
      case 3:
        if (random() % 256 == 0) front.ring[ring].available[1] = static_cast<uint16_t>(random());
        break;
      case 4:  // long enough for the device to fall asleep
        usleep(static_cast<useconds_t>(random() % 200));
        break;
      default:
        write_request(front, random, Front::kRoom + first * uint64_t{4096});
        write_chain(front, random, ring, first);
        front.publish(ring, first);
        front.kick(ring);
    }
  }
}

}  // namespace

int storm(const std::string& socket, double seconds, uint64_t seed) {
  using Clock = std::chrono::steady_clock;
  Random random(seed);
  const auto end = Clock::now() + std::chrono::duration<double>(seconds);
  int rounds = 0;
  for (; Clock::now() < end; rounds++) {
    Front front(socket);
    front.set_up(random() % 2 == 0);
    Client(front).initialise();
    rage(front, random);
  }
  prove(socket);
  return rounds;
}

}  // namespace front
