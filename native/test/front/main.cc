// Drives a vhost-user-fs device: copies a tree out of it, attacks it, measures it.
//
//   front SOCKET copy PATH DIR          the tree at PATH below the root, written to the new directory DIR
//   front SOCKET attack                 everything a hostile guest can do; says how many attacks were survived
//   front SOCKET storm SECONDS SEED     rings and requests at random
//   front SOCKET hoard PATH             looks up every entry of directory PATH, forgetting none: how many were had
//   front SOCKET lookups PATH SECONDS   LOOKUPs of directory PATH's entries, four under way: their number a second
//   front SOCKET reads PATH SECONDS     READs of 128 KiB of file PATH, four under way: GB/s
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstring>

#include "front.h"

using namespace front;

namespace {

using Clock = std::chrono::steady_clock;

void copy(Client& client, uint64_t node, const fuse_attr& attr, const std::string& to) {
  if (S_ISLNK(attr.mode)) {
    if (symlink(client.readlink(node).c_str(), to.c_str()) != 0) fail("cannot write " + to);
    return;
  }
  if (S_ISREG(attr.mode)) {
    const int fd = open(to.c_str(), O_WRONLY | O_CREAT | O_EXCL, attr.mode & 0777);
    const uint64_t handle = client.open(node, false);
    for (uint64_t at = 0; at < attr.size;) {
      const std::string bytes = client.read(node, handle, at, 131072);
      if (bytes.empty() || write(fd, bytes.data(), bytes.size()) < 0) fail("cannot write " + to);
      at += bytes.size();
    }
    if (fd < 0 || close(fd) != 0) fail("cannot write " + to);
    return;
  }
  if (mkdir(to.c_str(), 0755) != 0) fail("cannot make " + to);
  std::vector<std::pair<std::string, fuse_entry_out>> entries;
  client.list(node, [&](const std::string& name, const fuse_entry_out& entry) { entries.emplace_back(name, entry); });
  for (const auto& [name, entry] : entries) {
    copy(client, entry.nodeid, entry.attr, to + "/" + name);
    client.forget(entry.nodeid, 1);
  }
}

// The node at a path below the root.
uint64_t walk(Client& client, const std::string& path, fuse_attr* attr = nullptr) {
  uint64_t node = FUSE_ROOT_ID;
  for (size_t at = 0; at <= path.size();) {
    const size_t end = std::min(path.find('/', at), path.size());
    node = client.lookup(node, path.substr(at, end - at), attr);
    if (node == 0) fail("there is no " + path);
    at = end + 1;
  }
  return node;
}

// What a kernel may do that keeps all it ever saw: names stay to be had, inodes do not, and once some were forgotten
// others are served.
void hoard(Client& client, const std::string& path) {
  const uint64_t parent = walk(client, path);
  std::vector<std::string> names;
  std::vector<uint64_t> held;
  std::vector<std::string> refused;
  client.list(parent, [&](const std::string& name, const fuse_entry_out& entry) {
    names.push_back(name);
    if (entry.nodeid != 0) held.push_back(entry.nodeid);
  });
  const auto look = [&](const std::string& name) {
    std::vector<uint8_t> out;
    const int error = client.call(FUSE_LOOKUP, parent, name.c_str(), name.size() + 1, out, sizeof(fuse_entry_out));
    if (error != 0 && error != ENFILE) fail("LOOKUP: " + std::string(std::strerror(error)));
    if (error == ENFILE) refused.push_back(name);
    return error == 0;
  };
  for (const std::string& name : names) look(name);
  if (held.size() + refused.size() != names.size()) fail("entries that are neither held nor refused");
  std::printf("held %zu, refused %zu, ", held.size(), refused.size());
  if (refused.empty()) fail("nothing was refused");
  for (const uint64_t node : held) client.forget(node, 2);
  const std::string again = refused.front();
  if (!look(again)) fail("nothing is served after all was forgotten");
  std::printf("served again\n");
}

// Keeps `kDepth` requests under way for some seconds; how many were answered a second.
template <class Fill>
double pump(Front& front, double seconds, size_t request_size, uint32_t room, Fill fill) {
  constexpr uint16_t kDepth = 4;
  constexpr uint64_t kStride = 1 << 20;
  constexpr uint16_t kDescriptors = 34;  // for a request, its reply's header, and 32 pages
  const auto submit = [&](uint16_t slot) {
    const uint64_t in = Front::kRoom + kStride * slot;
    fill(front.at(in));
    std::vector<Buffer> buffers = {{in, static_cast<uint32_t>(request_size), false},
                                   {in + 4096, sizeof(fuse_out_header), true}};
    // Contents go to pages that are no neighbours, as a guest's page cache would have them.
    for (uint32_t at = 0; at < room; at += 4096) {
      buffers.push_back({in + 8192 + at * uint64_t{2}, std::min<uint32_t>(4096, room - at), true});
    }
    if (room > 4096) {
      // Through an indirect table, as a kernel does.
      auto* table = front.at<vring_desc>(in + 65536 * 12);
      for (size_t i = 0; i < buffers.size(); i++) {
        const bool last = i + 1 == buffers.size();
        table[i] = {
            buffers[i].address, buffers[i].size,
            static_cast<uint16_t>((last ? 0 : VRING_DESC_F_NEXT) | (buffers[i].writable ? VRING_DESC_F_WRITE : 0)),
            static_cast<uint16_t>(i + 1)};
      }
      vring_desc& descriptor = front.ring[1].descriptors[slot];
      descriptor = {front.guest_of(table), static_cast<uint32_t>(buffers.size() * sizeof(vring_desc)),
                    VRING_DESC_F_INDIRECT, 0};
      front.publish(1, slot);
    } else {
      front.offer(1, static_cast<uint16_t>(slot * kDescriptors % Ring::kSize), buffers);
    }
  };
  const auto begin = Clock::now();
  const auto elapsed = [&] { return std::chrono::duration<double>(Clock::now() - begin).count(); };
  for (uint16_t slot = 0; slot < kDepth; slot++) submit(slot);
  front.kick(1);
  uint64_t answered = 0;
  while (elapsed() < seconds) {
    uint16_t head;
    uint32_t written;
    if (!front.used(1, head, written)) fail("no answer");
    const uint16_t slot = room > 4096 ? head : static_cast<uint16_t>(head / kDescriptors);
    fuse_out_header reply;
    std::memcpy(&reply, front.at(Front::kRoom + kStride * slot + 4096), sizeof reply);
    if (reply.error != 0) fail("an error while measuring: " + std::to_string(reply.error));
    if (room > 4096 && written != sizeof reply + room) fail("a short read");
    answered++;
    submit(slot);
    front.kick(1);
  }
  return static_cast<double>(answered) / elapsed();
}

double lookups(Front& front, Client& client, const std::string& path, double seconds) {
  const uint64_t parent = walk(client, path);
  std::vector<std::string> names;
  client.list(parent, [&](const std::string& entry, const fuse_entry_out&) { names.push_back(entry); });
  if (names.empty()) fail("nothing to look up");
  const size_t longest = std::max_element(names.begin(), names.end(), [](const auto& a, const auto& b) {
                           return a.size() < b.size();
                         })->size();
  size_t next = 0;
  uint64_t unique = 1 << 20;
  // Requests of one size: names are cut to the same length by choosing among those that have it.
  std::erase_if(names, [&](const std::string& entry) { return entry.size() != longest; });
  return pump(front, seconds, sizeof(fuse_in_header) + longest + 1, sizeof(fuse_entry_out), [&](uint8_t* at) {
    const fuse_in_header header{
        static_cast<uint32_t>(sizeof header + longest + 1), FUSE_LOOKUP, unique += 2, parent, 0, 0, 0, 0, 0};
    std::memcpy(at, &header, sizeof header);
    std::memcpy(at + sizeof header, names[next++ % names.size()].c_str(), longest + 1);
  });
}

double reads(Front& front, Client& client, const std::string& path, double seconds) {
  constexpr uint32_t kSize = 131072;
  fuse_attr attr{};
  const uint64_t node = walk(client, path, &attr);
  if (attr.size < kSize) fail("too small a file");
  const uint64_t handle = client.open(node, false);
  for (uint64_t at = 0; at < attr.size; at += kSize) client.read(node, handle, at, kSize);
  struct Request {
    fuse_in_header header;
    fuse_read_in read;
  } request{};
  request.header = {sizeof request, FUSE_READ, 1 << 20, node, 0, 0, 0, 0, 0};
  request.read.fh = handle;
  request.read.size = kSize;
  const double rate = pump(front, seconds, sizeof request, kSize, [&](uint8_t* at) {
    std::memcpy(at, &request, sizeof request);
    request.header.unique += 2;
    request.read.offset = (request.read.offset + kSize) % (attr.size / kSize * kSize);
  });
  return rate * kSize / 1e9;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string command = argc > 2 ? argv[2] : "";
  if (command == "attack") {
    std::printf("survived %d attacks\n", attack(argv[1]));
    return 0;
  }
  if (command == "storm" && argc == 5) {
    std::printf("survived %d storms\n", storm(argv[1], std::stod(argv[3]), std::stoull(argv[4])));
    return 0;
  }
  if (argc != (command == "hoard" ? 4 : 5)) {
    fail(
        "usage: front SOCKET copy PATH DIR | attack | storm SECONDS SEED | hoard PATH | lookups PATH SECONDS | reads "
        "PATH SECONDS");
  }
  Front front(argv[1]);
  front.set_up();
  Client client(front);
  client.initialise();
  if (command == "copy") {
    fuse_attr attr{};
    const uint64_t node = walk(client, argv[3], &attr);
    copy(client, node, attr, argv[4]);
  } else if (command == "hoard") {
    hoard(client, argv[3]);
  } else {
    const double seconds = std::stod(argv[4]);
    std::printf("%g\n",
                command == "reads" ? reads(front, client, argv[3], seconds) : lookups(front, client, argv[3], seconds));
  }
  return 0;
}
