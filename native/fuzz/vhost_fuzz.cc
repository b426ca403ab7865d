// A guest's rings and requests: the input is the beginning of the guest's memory, with a ring in it. Whatever it says,
// buffers lie in memory, chains come back once, and libfuse and the operations get only what they can take.
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "fuse/request.h"
#include "fuse/virtqueue.h"
#ifdef TVIX_HAS_LIBFUSE
#include <linux/fuse.h>

#include "blake3/blake3.h"
#include "fuse/guest_session.h"
#endif

using namespace tvix::fuse;

namespace {

void require(bool condition, const char* what) {
  if (condition) return;
  std::fprintf(stderr, "wrong: %s\n", what);
  std::abort();
}

constexpr uint64_t kSize = 1 << 16;
constexpr uint64_t kUser = 1 << 30;
constexpr uint32_t kEntries = 16;
// Descriptors, available ring, used ring; requests may be anywhere.
constexpr Virtqueue::Addresses kRing = {kUser, kUser + 0x100, kUser + 0x130};

// At guest-physical address 0, so that small numbers are addresses.
const std::shared_ptr<const GuestMemory>& memory() {
  static const std::shared_ptr<const GuestMemory> shared = [] {
    const int file = memfd_create("guest", MFD_CLOEXEC);
    std::string problem;
    require(file >= 0 && ftruncate(file, kSize) == 0, "no memory");
    auto out = GuestMemory::map({{0, kSize, kUser, 0}}, {file}, problem);
    close(file);
    return out;
  }();
  return shared;
}

void require_inside(const std::vector<iovec>& buffers, size_t size) {
  const uint8_t* begin = memory()->at_user(kUser, kSize);
  size_t total = 0;
  for (const iovec& buffer : buffers) {
    const auto* at = static_cast<const uint8_t*>(buffer.iov_base);
    require(at >= begin && buffer.iov_len > 0 && buffer.iov_len <= static_cast<size_t>(begin + kSize - at),
            "a buffer outside of memory");
    total += buffer.iov_len;
  }
  require(total == size, "sizes do not add up");
}

#ifdef TVIX_HAS_LIBFUSE

// A directory with a file of two bytes that are nowhere, a symlink and a directory that is not known.
const Digest& plant(State& state) {
  static Digest root{};
  std::vector<uint8_t> bytes;
  const auto field = [](uint8_t tag, const std::string& value) {
    return std::string{static_cast<char>(tag), static_cast<char>(value.size())} + value;
  };
  const std::string digest(32, 'd');
  for (const std::string& entry : {field(0x0a, field(0x0a, "d") + field(0x12, digest) + std::string("\x18\x01")),
                                   field(0x12, field(0x0a, "f") + field(0x12, digest) + std::string("\x18\x02")),
                                   field(0x1a, field(0x0a, "l") + field(0x12, "f"))}) {
    bytes.insert(bytes.end(), entry.begin(), entry.end());
  }
  tvix::blake3::hash(bytes.data(), bytes.size(), root.data());
  std::string problem;
  auto listing = Listing::decode(bytes, problem);
  require(listing != nullptr, problem.c_str());
  state.directories.put(root, listing);
  return root;
}

struct Service {
  Virtqueue* queue = nullptr;
  State state;
  GuestSession session;

  static Options options() {
    Options out;
    State scratch(out, [] {}, [](const std::string&) {});
    out.root = plant(scratch);
    return out;
  }

  Service()
      : state(
            options(), [] {}, [](const std::string&) {}),
        session(state, [this](unsigned, uint16_t head, uint32_t written) {
          require(written <= (2u << 20), "more was written than was asked for");
          if (queue) queue->push(head, written);
        }) {
    plant(state);
  }

  // What waits for answers that nobody gives ends here.
  void begin() {
    queue = nullptr;
    struct {
      fuse_in_header header{sizeof(fuse_in_header) + sizeof(fuse_init_in), FUSE_INIT, 1, 0, 0, 0, 0, 0, 0};
      fuse_init_in init{FUSE_KERNEL_VERSION, 36, 1 << 17, 0, 0, {}};
    } request;
    uint8_t reply[256];
    Chain chain;
    chain.readable = {{&request, sizeof request}};
    chain.readable_size = sizeof request;
    chain.writable = {{reply, sizeof reply}};
    chain.writable_size = sizeof reply;
    session.serve(0, chain);
  }
};

#endif

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 1 || size > kSize) return 0;
  Virtqueue queue;
  std::string problem;
  uint8_t* guest = memory()->at_user(kUser, kSize);
  std::memset(guest, 0, kSize);
  const bool event_index = (data[0] & 1) != 0;
  std::memcpy(guest, data + 1, size - 1);
  require(queue.attach(memory(), kEntries, kRing, problem), "the ring is in memory");
  queue.begin(0, event_index);
#ifdef TVIX_HAS_LIBFUSE
  static Service& service = *new Service;
  service.begin();
  service.queue = &queue;
#endif
  Chain chain;
  std::vector<uint8_t> request(kMaxRequest);
  // A guest that writes the ring while it is read could go on for ever, and this one's replies may do just that.
  for (int turn = 0; turn < 100; turn++) {
    const Virtqueue::Popped popped = queue.pop(chain, problem);
    if (popped == Virtqueue::Popped::kBroken) require(!problem.empty(), "a broken queue without a reason");
    if (popped != Virtqueue::Popped::kChain) break;
    require(chain.head < kEntries, "a head that is none");
    require(chain.readable.size() + chain.writable.size() <= kEntries, "a chain longer than its queue");
    require_inside(chain.readable, chain.readable_size);
    require_inside(chain.writable, chain.writable_size);
#ifdef TVIX_HAS_LIBFUSE
    service.session.serve(0, chain);
#else
    size_t length = 0;
    for (const iovec& part : chain.readable) {
      const size_t take = std::min(part.iov_len, kMaxRequest - length);
      std::memcpy(request.data() + length, part.iov_base, take);
      length += take;
    }
    (void)judge(request.data(), chain.readable_size);
    queue.push(chain.head, 0);
#endif
  }
#ifdef TVIX_HAS_LIBFUSE
  service.session.end();
  service.queue = nullptr;
#endif
  return 0;
}
