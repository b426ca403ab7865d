// Tests of the threads of native/ingest: sessions that run to their end, that fail, and that are closed at any moment.
#include "ingest/session.h"

#include <doctest/doctest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <future>
#include <random>

#include "nar/stream.h"
#include "pack/pack.h"

using namespace tvix;
using namespace tvix::ingest;

namespace {

struct Place {
  std::filesystem::path path;
  Place() {
    char name[] = "/tmp/tvix-session-test-XXXXXX";
    path = mkdtemp(name);
  }
  ~Place() { std::filesystem::remove_all(path); }
};

void plant(const std::filesystem::path& root, int files, size_t size) {
  std::filesystem::create_directories(root);
  for (int i = 0; i < files; i++) {
    std::ofstream out(root / ("f" + std::to_string(i)), std::ios::binary);
    std::mt19937 random(i);
    std::string bytes(size + random() % 1000, '\0');
    for (auto& byte : bytes) byte = static_cast<char>(random());
    out << bytes;
  }
}

// A session with someone who waits for it, as the event loop does.
struct Driver {
  Session session;
  std::mutex mutex;
  std::condition_variable changed;
  uint64_t notes = 0;

  explicit Driver(Options options) : session(std::move(options)) {
    session.notify = [this] {
      std::lock_guard lock(mutex);
      notes++;
      changed.notify_all();
    };
  }
  ~Driver() { session.close(); }

  template <class Ready>
  void wait(const Ready& ready) {
    uint64_t seen = 0;
    for (;;) {
      {
        std::lock_guard lock(mutex);
        seen = notes;
      }
      if (ready()) return;
      std::unique_lock lock(mutex);
      changed.wait(lock, [&] { return notes != seen; });
    }
  }

  Session::Next next(std::shared_ptr<Batch>& batch, Failure& failure) {
    Session::Next state;
    wait([&] { return (state = session.next(batch, failure)) != Session::Next::kWait; });
    return state;
  }
};

}  // namespace

TEST_CASE("session: a tree into a pack, its NAR hash as computed elsewhere") {
  Place place;
  plant(place.path / "tree", 40, 300'000);
  std::unique_ptr<pack::Writer> writer;
  REQUIRE_FALSE(pack::Writer::open(place.path / "0.pack", writer));
  Options options;
  options.needles = std::string(32, 'a') + std::string(32, 'b');
  Driver driver(options);
  driver.session.start_tree(place.path / "tree", nullptr);
  size_t files = 0;
  std::vector<pack::Extent> extents;
  for (;;) {
    std::shared_ptr<Batch> batch;
    Failure failure;
    if (driver.next(batch, failure) != Session::Next::kBatch) break;
    files += batch->files.size();
    std::vector<pack::Piece> pieces;
    for (const auto& chunk : batch->chunks) pieces.push_back({batch->data + chunk.offset, chunk.length, chunk.digest});
    std::vector<uint64_t> offsets(pieces.size());
    for (size_t i = 0; i < pieces.size(); i++) extents.push_back({0, pieces[i].length, pieces[i].digest});
    REQUIRE_FALSE(writer->append(std::move(pieces), batch, offsets.data()));
    for (size_t i = 0; i < offsets.size(); i++) extents[extents.size() - offsets.size() + i].offset = offsets[i];
  }
  driver.wait([&] { return driver.session.finished(); });
  Outcome outcome = driver.session.take_outcome();
  CHECK(files == 40);
  CHECK(outcome.listing.count() == 41);
  nar::Digest expected;
  REQUIRE_FALSE(nar::hash_tree(place.path / "tree", expected));
  CHECK(outcome.nar_size == expected.size);
  CHECK(std::memcmp(outcome.nar_hash, expected.digest, 32) == 0);
  CHECK(outcome.found == std::vector<uint8_t>{0, 0});
  writer->close();
  std::shared_ptr<pack::Reader> reader;
  REQUIRE_FALSE(pack::Reader::open(place.path / "0.pack", reader));
  std::vector<uint8_t> bytes(64 << 20);
  CHECK_FALSE(reader->read(extents.data(), extents.size(), bytes.data()));
}

TEST_CASE("session: closed at any moment") {
  Place place;
  plant(place.path, 20, 2'000'000);
  for (int round = 0; round < 12; round++) {
    Driver driver({});
    driver.session.start_tree(place.path, nullptr);
    std::shared_ptr<Batch> batch;
    Failure failure;
    for (int i = 0; i < round; i++) (void)driver.next(batch, failure);
    driver.session.close();
    CHECK(driver.session.next(batch, failure) == Session::Next::kFailed);
    CHECK(std::string(failure.code) == "ERR_INGEST_CLOSED");
  }
}

TEST_CASE("session: pushed bytes, while batches are taken, and after the end") {
  for (bool close_early : {false, true}) {
    Options options;
    options.nar = false;
    Driver driver(options);
    driver.session.start_pushed(false);
    std::thread feeder([&] {
      for (int i = 0; i < 60; i++) {
        std::promise<void> taken;
        driver.session.push(std::vector<uint8_t>(1'000'000, static_cast<uint8_t>(i)), [&] { taken.set_value(); });
        taken.get_future().wait();
      }
      driver.session.end();
    });
    uint64_t size = 0;
    std::shared_ptr<Batch> batch;
    Failure failure;
    for (int i = 0; driver.next(batch, failure) == Session::Next::kBatch; i++) {
      for (const auto& file : batch->files) size += file.size;
      batch.reset();
      if (close_early && i == 3) driver.session.close();
    }
    feeder.join();
    CHECK(size == (close_early ? 0 : 60'000'000));
  }
}
