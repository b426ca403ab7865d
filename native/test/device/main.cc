// A device without JavaScript, `device SOCKET SCRATCH`: everything is in its caches. For sanitizers (script/storm).
//
// Its root has a file `big` of 8 MiB, whose pack is the file SCRATCH, and a directory `some` of a thousand empty files.
#include <signal.h>

#include <cstdio>
#include <fstream>
#include <string>
#include <vector>

#include "blake3/blake3.h"
#include "fuse/vhost_user.h"

using namespace tvix::fuse;

namespace {

std::string digest_of(const std::string& bytes) {
  Digest out{};
  tvix::blake3::hash(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size(), out.data());
  return {out.begin(), out.end()};
}

Digest digest(const std::string& bytes) {
  Digest out{};
  std::copy(bytes.begin(), bytes.end(), out.begin());
  return out;
}

// Protocol buffers, as far as directories take them.
std::string varint(uint64_t value) {
  std::string out;
  for (; value > 127; value >>= 7) out += static_cast<char>(value | 128);
  return out + static_cast<char>(value);
}
std::string field(char tag, const std::string& value) { return tag + varint(value.size()) + value; }
std::string node(char tag, const std::string& name, const std::string& digest, uint64_t size) {
  return field(tag, field('\x0a', name) + field('\x12', digest) + (size > 0 ? '\x18' + varint(size) : ""));
}

Digest plant(State& state, const std::string& encoded) {
  std::string problem;
  auto listing = Listing::decode({encoded.begin(), encoded.end()}, problem);
  if (!listing) std::fprintf(stderr, "%s\n", problem.c_str());
  state.directories.put(digest(digest_of(encoded)), listing);
  return digest(digest_of(encoded));
}

std::shared_ptr<Blob> make_blob(const std::string& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
  std::vector<Chunk> chunks;
  // Lengths that no request's boundaries fall on.
  for (size_t at = 0, length = 40'000; at < bytes.size(); at += length, length += 1111) {
    length = std::min(length, bytes.size() - at);
    chunks.push_back({digest(digest_of(bytes.substr(at, length))), 0, at, static_cast<uint32_t>(length), 0});
  }
  return std::make_shared<Blob>(std::vector{Pack::open(path)}, std::move(chunks));
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  sigset_t ends;
  sigemptyset(&ends);
  sigaddset(&ends, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &ends, nullptr);
  std::string bytes(8 << 20, '\0');
  uint32_t random = 1;
  for (char& byte : bytes) byte = static_cast<char>((random = random * 1664525 + 1013904223) >> 24);
  std::string files;
  for (int i = 1000; i < 2000; i++) files += node('\x12', "file-" + std::to_string(i), digest_of(""), 0);
  const std::string root =
      node('\x0a', "some", digest_of(files), 1000) + node('\x12', "big", digest_of(bytes), bytes.size());
  Options options;
  options.root = digest(digest_of(root));
  options.max_inodes = 10'000;
  auto state = std::make_shared<State>(options, [] {}, [](const std::string&) {});
  plant(*state, files);
  plant(*state, root);
  state->blobs.put(digest(digest_of(bytes)), make_blob(argv[2], bytes));
  VhostUser device(state, [] {});
  if (const auto failure = device.listen(argv[1])) {
    std::fprintf(stderr, "%s\n", failure.message.c_str());
    return 1;
  }
  int signal;
  sigwait(&ends, &signal);
  device.stop();
  return 0;
}
