// Directories as the mount holds them: the canonical bytes of the castore, decoded in place.
//
// This room serves a castore as a file system. Its model:
//
//   directory.*    a directory's entries, decoded from the canonical bytes whose BLAKE3 is the directory's name
//   inodes.*       what the kernel knows by number: small records, kept as long as the kernel refers to them
//   blob.*         where a file's bytes are in pack files; every chunk is verified before its first byte is served
//   cache.h        directories and blobs looked at lately, bounded by cost
//   snapshots.h    open listings of a root whose names come and go
//   passthrough.*  whole copies of large blobs, from which the kernel reads by itself
//   misses.*       questions only JavaScript can answer, asked in batches, each once however many requests wait for it
//   state.h        all of the above as one thing
//   operations.*   the file system: libfuse's low-level operations over the state
//   transport.h    what brings requests and takes replies; there are two of them:
//   device.*       /dev/fuse: mounting, and the threads that read requests
//   vhost_user.*   a socket on which virtual machines are offered a virtiofs device
//   guest_session.*, guest_memory.*, virtqueue.*, request.*
//                  a guest's requests, its memory, its rings, and what is refused before libfuse sees it
//   addon.cc       the face towards JavaScript (lib/native/fuse.ts)
//
// Invariants. What is in a cache is answered without JavaScript. An inode holds no descriptor and no contents, so their
// number is bounded by the kernel's memory alone. Nothing ever changes: the kernel may keep entries, attributes and
// pages for ever. Operations know nothing of the transport: a request is answered through its fuse_req_t, whichever
// session it came from, on whichever thread. What a guest says is hostile until it was checked.
// All but operations, the transports and addon work without libfuse and are tested by native/test/fuse_*_test.cc.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace tvix::fuse {

using Digest = std::array<uint8_t, 32>;

// By which a name is known in a cache.
Digest name_digest(std::string_view name);

enum class Kind : uint8_t { kDirectory = 1, kFile = 2, kSymlink = 3 };

// The entries of one directory; immutable.
class Listing {
 public:
  // Positions are offsets into the listing's bytes.
  struct Entry {
    uint64_t size;  // of a file's contents in bytes, of a directory's tree in elements
    uint32_t name_at;
    uint32_t value_at;  // digest or symlink target
    uint16_t name_size;
    uint16_t value_size;
    Kind kind;
    bool executable;
  };

  // Decodes a Directory message of the castore.v1 protocol in canonical form; null with a sentence in `problem` for
  // anything else: bytes come from disks and networks. A Node message with a name decodes as a directory of one entry.
  static std::shared_ptr<const Listing> decode(std::vector<uint8_t> bytes, std::string& problem);

  // Sorted by name as bytes.
  const std::vector<Entry>& entries() const { return entries_; }
  const Entry* find(std::string_view name) const;
  std::string_view name(const Entry& entry) const { return text(entry.name_at, entry.name_size); }
  std::string_view target(const Entry& entry) const { return text(entry.value_at, entry.value_size); }
  // Of a file or directory.
  Digest digest(const Entry& entry) const;
  bool same_as(const Listing& other) const { return bytes_ == other.bytes_; }
  // Bytes of memory it takes.
  size_t cost() const { return sizeof(Listing) + bytes_.size() + entries_.size() * sizeof(Entry); }

 private:
  std::string_view text(uint32_t at, uint16_t size) const {
    return {reinterpret_cast<const char*>(bytes_.data()) + at, size};
  }

  std::vector<uint8_t> bytes_;
  std::vector<Entry> entries_;
};

}  // namespace tvix::fuse
