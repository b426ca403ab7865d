// Tests of native/fuse: the inode table, the caches, verified reading, and questions with their waiters.
#include <doctest/doctest.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <thread>

#include "blake3/blake3.h"
#include "fuse/blob.h"
#include "fuse/cache.h"
#include "fuse/copy.h"
#include "fuse/inodes.h"
#include "fuse/misses.h"
#include "fuse/snapshots.h"

using namespace tvix;
using namespace tvix::fuse;

namespace {

Inode inode(Kind kind, uint8_t fill, bool executable = false) {
  Inode out;
  out.kind = kind;
  out.digest.fill(fill);
  out.executable = executable;
  return out;
}

struct Place {
  std::string path;
  Place() {
    char name[] = "/tmp/tvix-fuse-test-XXXXXX";
    path = mkdtemp(name);
  }
  ~Place() { std::filesystem::remove_all(path); }
};

struct Thing {
  size_t size;
  size_t cost() const { return size; }
};

Digest digest_with(uint8_t first) {
  Digest out{};
  out[0] = first;
  return out;
}

}  // namespace

TEST_CASE("fuse: files with the same contents share an inode, directories have one per place") {
  Inodes inodes(inode(Kind::kDirectory, 0));
  const uint64_t a = inodes.acquire(kRootNode, "a", inode(Kind::kFile, 1));
  CHECK(inodes.acquire(kRootNode, "b", inode(Kind::kFile, 1)) == a);
  CHECK(inodes.acquire(kRootNode, "b", inode(Kind::kFile, 1, true)) != a);
  const uint64_t d = inodes.acquire(kRootNode, "d", inode(Kind::kDirectory, 1));
  CHECK(inodes.acquire(kRootNode, "d", inode(Kind::kDirectory, 1)) == d);
  CHECK(inodes.acquire(kRootNode, "e", inode(Kind::kDirectory, 1)) != d);
  CHECK(inodes.acquire(d, "d", inode(Kind::kDirectory, 1)) != d);
  CHECK(inodes.count() == 6);
}

TEST_CASE("fuse: a name that comes to stand for another directory gets another inode") {
  Inodes inodes(inode(Kind::kDirectory, 0));
  const uint64_t before = inodes.acquire(kRootNode, "d", inode(Kind::kDirectory, 1));
  const uint64_t after = inodes.acquire(kRootNode, "d", inode(Kind::kDirectory, 2));
  CHECK(before != after);
  Inode out;
  REQUIRE(inodes.find(before, out));
  CHECK(out.digest[0] == 1);
  inodes.forget(before, 1);
  CHECK(inodes.acquire(kRootNode, "d", inode(Kind::kDirectory, 2)) == after);
}

TEST_CASE("fuse: an inode lives until all its lookups are forgotten; its node id is never valid again") {
  Inodes inodes(inode(Kind::kDirectory, 0));
  const uint64_t a = inodes.acquire(kRootNode, "a", inode(Kind::kFile, 1));
  inodes.acquire(kRootNode, "a", inode(Kind::kFile, 1));
  inodes.forget(a, 1);
  Inode out;
  CHECK(inodes.find(a, out));
  inodes.forget(a, 1);
  CHECK_FALSE(inodes.find(a, out));
  inodes.forget(a, 1);
  const uint64_t b = inodes.acquire(kRootNode, "b", inode(Kind::kFile, 2));
  CHECK(b != a);
  CHECK((b & UINT32_MAX) == (a & UINT32_MAX));
  CHECK_FALSE(inodes.find(a, out));
  CHECK(inodes.find(b, out));
}

TEST_CASE("fuse: no more inodes are given than may be held; known ones are, and forgotten ones make room") {
  Inodes inodes(inode(Kind::kDirectory, 0), 3);
  const uint64_t a = inodes.acquire(kRootNode, "a", inode(Kind::kFile, 1));
  const uint64_t d = inodes.acquire(kRootNode, "d", inode(Kind::kDirectory, 2));
  CHECK(inodes.acquire(kRootNode, "b", inode(Kind::kFile, 3)) == 0);
  CHECK(inodes.acquire(kRootNode, "d", inode(Kind::kDirectory, 4)) == 0);
  CHECK(inodes.acquire(kRootNode, "d", inode(Kind::kDirectory, 2)) == d);
  CHECK(inodes.acquire(kRootNode, "other", inode(Kind::kFile, 1)) == a);
  CHECK(inodes.count() == 3);
  inodes.forget(a, 2);
  CHECK(inodes.acquire(kRootNode, "b", inode(Kind::kFile, 3)) != 0);
  CHECK(inodes.count() == 3);
}

TEST_CASE("fuse: node ids that were never given are refused, the root stays") {
  Inodes inodes(inode(Kind::kDirectory, 0));
  Inode out;
  for (const uint64_t made_up : {uint64_t{0}, uint64_t{2}, uint64_t{1} << 32 | 1, UINT64_MAX}) {
    CHECK_FALSE(inodes.find(made_up, out));
    inodes.forget(made_up, 1);
  }
  inodes.forget(kRootNode, 1000);
  CHECK(inodes.find(kRootNode, out));
}

TEST_CASE("fuse: a cache keeps what was used last, within its limit, and at least one thing") {
  Cache<Thing> cache(100);
  cache.put(digest_with(1), std::make_shared<Thing>(Thing{40}));
  cache.put(digest_with(2), std::make_shared<Thing>(Thing{40}));
  CHECK(cache.get(digest_with(1)));
  cache.put(digest_with(3), std::make_shared<Thing>(Thing{40}));
  CHECK(cache.has(digest_with(1)));
  CHECK_FALSE(cache.has(digest_with(2)));
  CHECK(cache.used() == 80);
  cache.put(digest_with(4), std::make_shared<Thing>(Thing{1000}));
  CHECK(cache.has(digest_with(4)));
  CHECK(cache.used() == 1000);
  cache.remove_if([](const Thing& thing) { return thing.size == 1000; });
  CHECK(cache.used() == 0);
}

TEST_CASE("fuse: ranges of a blob are its bytes; a damaged chunk fails for itself alone, and says so once") {
  Place place;
  const std::string path = place.path + "/pack";
  std::vector<uint8_t> bytes(30000);
  for (size_t i = 0; i < bytes.size(); i++) bytes[i] = static_cast<uint8_t>(i * 7 + i / 256);
  std::vector<Chunk> chunks;
  for (uint64_t at = 0; at < bytes.size(); at += 10000) {
    Chunk chunk{{}, 0, 100 + at, 10000, 0};
    blake3::hash(bytes.data() + at, 10000, chunk.digest.data());
    chunks.push_back(chunk);
  }
  std::vector<uint8_t> file(100, 0);
  file.insert(file.end(), bytes.begin(), bytes.end());
  file[100 + 15000] ^= 1;
  std::ofstream(path, std::ios::binary).write(reinterpret_cast<const char*>(file.data()), file.size());
  Blob blob({Pack::open(path)}, chunks);
  REQUIRE(blob.size() == bytes.size());
  std::vector<uint8_t> out(bytes.size());
  std::string problem;
  CHECK(blob.read(9000, 1000, out.data(), problem));
  CHECK(std::equal(out.begin(), out.begin() + 1000, bytes.begin() + 9000));
  CHECK(blob.read(0, 10000, out.data(), problem));
  CHECK(std::equal(out.begin(), out.begin() + 10000, bytes.begin()));
  CHECK_FALSE(blob.read(9999, 2, out.data(), problem));
  CHECK(problem.find(digest_text(chunks[1].digest)) != problem.npos);
  problem.clear();
  CHECK_FALSE(blob.read(10000, 1, out.data(), problem));
  CHECK(problem.empty());
  CHECK(blob.read(20000, 10000, out.data(), problem));
  CHECK(std::equal(out.begin(), out.begin() + 10000, bytes.begin() + 20000));
  // What was verified can be had without reading it, also when its file has been cut short since.
  std::vector<iovec> parts;
  CHECK_FALSE(blob.view(15000, 10000, parts));
  REQUIRE(blob.view(25000, 5000, parts));
  REQUIRE(parts.size() == 1);
  const std::vector<iovec> to = {{out.data(), 1000}, {out.data() + 1000, 1}, {out.data() + 1001, out.size() - 1001}};
  CHECK(copy_mapped(to, parts.data(), 1));
  CHECK(std::equal(out.begin(), out.begin() + 5000, bytes.begin() + 25000));
  std::filesystem::resize_file(path, 4096);
  for (int i = 0; i < 3; i++) CHECK_FALSE(copy_mapped(to, parts.data(), 1));
  std::ofstream(path, std::ios::binary).write(reinterpret_cast<const char*>(file.data()), file.size());
  CHECK(copy_mapped(to, parts.data(), 1));
  CHECK_FALSE(blob.uses_unlinked());
  std::filesystem::remove(path);
  CHECK(blob.uses_unlinked());
  CHECK(blob.read(25000, 10, out.data(), problem));
}

TEST_CASE("fuse: a pack that is cut short is an error and no crash") {
  Place place;
  const std::string path = place.path + "/pack";
  std::ofstream(path) << "short";
  Blob blob({Pack::open(path)}, {{Digest{}, 0, 2, 100, 0}});
  uint8_t out[100];
  std::string problem;
  CHECK_FALSE(blob.read(0, 100, out, problem));
  CHECK(problem.find("cut short") != problem.npos);
  CHECK(Pack::open(place.path + "/none") == nullptr);
}

TEST_CASE("fuse: digests are written as elsewhere") {
  Digest digest{};
  blake3::hash(nullptr, 0, digest.data());
  CHECK(digest_text(digest) == "b3:rxNJufX5oaagQE3qNtzJSZvLJcmtwRK3zJqTyuQfMmI=");
}

TEST_CASE("fuse: a question is asked once, however many wait, and all get the answer") {
  std::atomic<int> woken = 0;
  std::atomic<int> answered = 0;
  Misses misses([&] { woken++; });
  const Miss question{Question::kName, "a"};
  for (int i = 0; i < 3; i++) misses.ask(question, [&](const Answer& answer) { answered += answer.error; });
  CHECK(woken == 1);
  CHECK(misses.take().size() == 1);
  CHECK(misses.take().empty());
  Answer answer;
  answer.error = 5;
  misses.answer(question.id(), answer);
  misses.answer(question.id(), answer);
  while (answered < 15) std::this_thread::yield();
  CHECK(misses.waiting() == 0);
  CHECK(answered == 15);
}

TEST_CASE("fuse: ranges are different questions") {
  const Miss a{Question::kRead, "d", 0, 10};
  const Miss b{Question::kRead, "d", 10, 10};
  CHECK(a.id() != b.id());
  CHECK(Miss{Question::kBlob, "d", 0, 10}.id() == Miss{Question::kBlob, "d", 0, 20}.id());
}

TEST_CASE("fuse: when misses close, all that wait and all that come later fail") {
  Misses misses([] {});
  int error = 0;
  misses.ask({Question::kName, "a"}, [&](const Answer& answer) { error = answer.error; });
  misses.close(ENODEV);
  CHECK(error == ENODEV);
  misses.ask({Question::kName, "b"}, [&](const Answer& answer) { error = answer.error + 1; });
  CHECK(error == ENODEV + 1);
}

TEST_CASE("fuse: open listings are bounded in number and in bytes, and equal ones are one") {
  const auto listing = [](char name, size_t length) {
    // One symlink whose target has `length` bytes, below 100.
    std::vector<uint8_t> bytes = {0x1a, static_cast<uint8_t>(length + 5), 0x0a, 1, static_cast<uint8_t>(name),
                                  0x12, static_cast<uint8_t>(length)};
    bytes.resize(bytes.size() + length, 'x');
    std::string problem;
    auto out = Listing::decode(std::move(bytes), problem);
    REQUIRE_MESSAGE(out, problem);
    return out;
  };
  const size_t cost = listing('a', 50)->cost();
  Snapshots snapshots(2 * cost);
  const uint64_t first = snapshots.open(listing('a', 50));
  CHECK(first != 0);
  for (size_t i = 1; i < Snapshots::kMaxOpen - 1; i++) REQUIRE(snapshots.open(listing('a', 50)) != 0);
  CHECK(snapshots.used() == cost);
  const uint64_t other = snapshots.open(listing('b', 50));
  CHECK(snapshots.used() == 2 * cost);
  CHECK(snapshots.open(listing('b', 50)) == 0);
  snapshots.close(first);
  snapshots.close(first);
  CHECK(snapshots.get(first) == nullptr);
  CHECK(snapshots.open(listing('c', 50)) == 0);
  CHECK(snapshots.open(listing('b', 50)) != 0);
  CHECK(snapshots.get(other)->entries().size() == 1);
  snapshots.clear();
  CHECK(snapshots.used() == 0);
  CHECK(snapshots.get(other) == nullptr);
  CHECK(Snapshots(1).open(listing('a', 50)) != 0);
}
