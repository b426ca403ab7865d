// Tests of native/pack: layout of the file, order of offsets, several threads appending at once.
#include "pack/pack.h"

#include <doctest/doctest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <future>

#include "blake3/blake3.h"

using namespace tvix;
using namespace tvix::pack;

namespace {

// A directory that goes with the test.
struct Place {
  std::string path;
  Place() {
    char name[] = "/tmp/tvix-pack-test-XXXXXX";
    path = mkdtemp(name);
  }
  ~Place() { std::filesystem::remove_all(path); }
};

Failure sync(Writer& writer) {
  std::promise<Failure> done;
  writer.sync([&](Failure failure) { done.set_value(std::move(failure)); });
  return done.get_future().get();
}

Piece piece_of(const std::vector<uint8_t>& bytes) {
  Piece piece{bytes.data(), static_cast<uint32_t>(bytes.size()), {}};
  blake3::hash(bytes.data(), bytes.size(), piece.digest.data());
  return piece;
}

}  // namespace

TEST_CASE("pack: the layout is the documented one") {
  Place place;
  const std::string path = place.path + "/0.pack";
  std::unique_ptr<Writer> writer;
  REQUIRE_FALSE(Writer::open(path, writer));
  CHECK(writer->size() == kBlock);
  const std::vector<uint8_t> a(10, 'a');
  const std::vector<uint8_t> b(5000, 'b');
  uint64_t offsets[2];
  REQUIRE_FALSE(writer->append({piece_of(a), piece_of(b)}, nullptr, offsets));
  CHECK(offsets[0] == 4096 + 40);
  CHECK(offsets[1] == 4096 + 40 + 10 + 40);
  REQUIRE_FALSE(sync(*writer));
  CHECK(writer->size() == 4096 + 8192);
  REQUIRE_FALSE(writer->append({piece_of(a)}, nullptr, offsets));
  CHECK(offsets[0] == 4096 + 8192 + 40);
  writer->close();
  CHECK(std::filesystem::file_size(path) == 4096 + 8192 + 4096);
  CHECK(std::string(writer->append({piece_of(a)}, nullptr, offsets).code) == "ERR_PACK_CLOSED");
}

TEST_CASE("pack: threads append at once, every chunk is where its offset says") {
  Place place;
  const std::string path = place.path + "/0.pack";
  std::unique_ptr<Writer> writer;
  REQUIRE_FALSE(Writer::open(path, writer));
  constexpr int kThreads = 4;
  constexpr int kChunks = 200;
  std::vector<Extent> extents(kThreads * kChunks);
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; t++) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < kChunks; i++) {
        auto bytes = std::make_shared<std::vector<uint8_t>>(1 + (t * 7919 + i * 104729) % 60000, t * 50 + i);
        Piece piece = piece_of(*bytes);
        Extent& extent = extents[t * kChunks + i];
        extent.length = piece.length;
        extent.digest = piece.digest;
        if (writer->append({piece}, bytes, &extent.offset)) return;
        if (i % 50 == 0) (void)sync(*writer);
        writer->wait_for_room();
      }
    });
  }
  for (auto& thread : threads) thread.join();
  REQUIRE_FALSE(sync(*writer));
  writer->close();
  std::shared_ptr<Reader> reader;
  REQUIRE_FALSE(Reader::open(path, reader));
  std::vector<uint8_t> out(60001 * extents.size());
  CHECK_FALSE(reader->read(extents.data(), extents.size(), out.data()));
  Scan scan(reader);
  std::vector<Scan::Record> all;
  for (size_t before = 1; before != all.size();) {
    before = all.size();
    std::vector<Scan::Record> some;
    REQUIRE_FALSE(scan.next(some, 1 << 20));
    all.insert(all.end(), some.begin(), some.end());
  }
  CHECK(all.size() == extents.size());
  for (const auto& record : all) CHECK(record.intact);
}
