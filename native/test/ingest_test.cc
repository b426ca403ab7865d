// Tests of native/ingest: batches against the definition with buffers so small that everything straddles them, and the
// reference scan against a search that cannot be wrong.
#include <doctest/doctest.h>

#include <algorithm>
#include <random>

#include "ingest/batch.h"
#include "ingest/scan.h"

using namespace tvix;
using namespace tvix::ingest;

namespace {

struct Collected {
  Digester digester;
  std::vector<uint8_t> nar;
  std::vector<Digest> chunks;
  std::vector<std::vector<uint8_t>> chunk_bytes;
  std::vector<FileRecord> files;
  std::vector<Digest> fresh;
  uint32_t batches = 0;
};

void collect(void* context, std::shared_ptr<Batch> batch) {
  auto& all = *static_cast<Collected*>(context);
  CHECK(batch->index == all.batches++);
  all.digester.complete(*batch);
  for (const ChunkRecord& chunk : batch->chunks) {
    all.chunks.push_back(chunk.digest);
    all.chunk_bytes.emplace_back(batch->data + chunk.offset, batch->data + chunk.offset + chunk.length);
    if (chunk.fresh) all.fresh.push_back(chunk.digest);
  }
  for (const FileRecord& file : batch->files) all.files.push_back(file);
  for (const Segment& segment : batch->nar) {
    const uint8_t* from = (segment.framing ? batch->framing.data() : batch->data) + segment.offset;
    all.nar.insert(all.nar.end(), from, from + segment.length);
  }
}

Digest digest_of(const std::vector<uint8_t>& bytes) {
  Digest digest;
  blake3::hash(bytes.data(), bytes.size(), digest.data());
  return digest;
}

}  // namespace

TEST_CASE("ingest: batches hold what the definition says") {
  std::mt19937 random(3);
  const chunk::Params params(1024);
  for (int round = 0; round < 60; round++) {
    auto pool = std::make_shared<Pool>(8 * 1024);
    Collected all;
    Batcher batcher(pool, params, true, collect, &all);
    std::vector<uint8_t> nar;
    nar::Writer writer(nar);
    writer.begin_directory();
    batcher.framing().begin_directory();
    std::vector<std::vector<uint8_t>> contents(1 + random() % 60);
    for (size_t i = 0; i < contents.size(); i++) {
      auto& bytes = contents[i];
      bytes.resize(random() % 3 == 0 ? random() % 20000 : random() % 700);
      for (auto& byte : bytes) byte = static_cast<uint8_t>(random());
      if (i > 2 && random() % 4 == 0) bytes = contents[i / 2];
      std::string name(1, static_cast<char>('0' + i));
      const bool unknown = random() % 5 == 0;
      writer.entry(name);
      writer.begin_file(false, bytes.size());
      nar.insert(nar.end(), bytes.begin(), bytes.end());
      writer.end_file();
      batcher.framing().entry(name);
      batcher.framing().begin_file(false, bytes.size());
      REQUIRE_FALSE(batcher.begin_file(static_cast<uint32_t>(i), unknown ? Batcher::kUnknown : bytes.size()));
      for (size_t at = 0; at < bytes.size();) {
        size_t step = std::min<size_t>(bytes.size() - at, 1 + random() % 5000);
        REQUIRE_FALSE(batcher.put(bytes.data() + at, step));
        at += step;
      }
      batcher.framing().end_file();
      REQUIRE_FALSE(batcher.end_file());
    }
    writer.end_directory();
    batcher.framing().end_directory();
    REQUIRE_FALSE(batcher.finish());

    CHECK(all.nar == nar);
    CHECK(batcher.nar_size() == nar.size());
    REQUIRE(all.files.size() == contents.size());
    size_t chunk = 0;
    std::vector<Digest> seen;
    for (size_t i = 0; i < contents.size(); i++) {
      CHECK(all.files[i].entry == i);
      CHECK(all.files[i].size == contents[i].size());
      CHECK(all.files[i].digest == digest_of(contents[i]));
      size_t at = 0;
      for (uint32_t j = 0; j < all.files[i].chunks; j++, chunk++) {
        size_t length = chunk::cut(params, contents[i].data() + at, contents[i].size() - at);
        std::vector<uint8_t> bytes(contents[i].begin() + at, contents[i].begin() + at + length);
        CHECK(all.chunk_bytes[chunk] == bytes);
        CHECK(all.chunks[chunk] == digest_of(bytes));
        if (std::find(seen.begin(), seen.end(), all.chunks[chunk]) == seen.end()) seen.push_back(all.chunks[chunk]);
        at += length;
      }
      CHECK(at == contents[i].size());
    }
    CHECK(chunk == all.chunks.size());
    CHECK(all.fresh == seen);
  }
}

TEST_CASE("ingest: a stopped pool ends the work") {
  auto pool = std::make_shared<Pool>(8 * 1024);
  Collected all;
  Batcher batcher(pool, chunk::Params(1024), false, collect, &all);
  pool->stop();
  CHECK(std::string(batcher.begin_file(0, 5).code) == "ERR_INGEST_CLOSED");
}

TEST_CASE("ingest: references are found as a plain search finds them") {
  std::mt19937 random(9);
  const std::string alphabet = "0123456789abcdfghijklmnpqrsvwxyz";
  for (int round = 0; round < 200; round++) {
    std::string needles;
    const size_t count = 1 + random() % 6;
    for (size_t i = 0; i < count * 32; i++) needles += alphabet[random() % (round % 2 ? 2 : 32)];
    std::string text;
    while (text.size() < 3000) {
      switch (random() % 5) {
        case 0:
          text += needles.substr(random() % count * 32, 32);
          break;
        case 1:
          text += needles.substr(random() % (count * 32), random() % 40);
          break;
        case 2:
          text += std::string(random() % 50, alphabet[random() % 2]);
          break;
        default:
          for (size_t i = random() % 60; i > 0; i--) text += static_cast<char>(random());
      }
    }
    Scanner scanner(needles);
    for (size_t at = 0; at < text.size();) {
      size_t step = std::min<size_t>(text.size() - at, random() % (random() % 2 ? 10 : 200));
      scanner.push(reinterpret_cast<const uint8_t*>(text.data()) + at, step);
      at += step;
    }
    for (size_t i = 0; i < count; i++) {
      const bool there = text.find(needles.substr(i * 32, 32)) != std::string::npos;
      CHECK(scanner.found()[i] == (there ? 1 : 0));
    }
  }
}
