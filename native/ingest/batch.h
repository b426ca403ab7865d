// Batches: a few MiB of contents in one buffer, cut, hashed and listed, with the NAR framing around them.
//
// A Batcher turns contents into batches. Bytes are read straight into the batch's buffer and stay there for all that is
// done with them: BLAKE3 of the file, chunk boundaries, BLAKE3 of the chunks, the NAR's SHA-256 and the copy into a
// pack. A chunk lies in one buffer whole: what is left of an unfinished chunk when a buffer is full moves to the next
// one. Files of at most the minimum chunk size are one chunk with the file's digest; their hashing is put off until
// some have come together, because small inputs hash several times faster side by side.
#pragma once

#include <array>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <unordered_set>
#include <vector>

#include "blake3/blake3.h"
#include "chunk/fastcdc.h"
#include "common/failure.h"
#include "nar/writer.h"

namespace tvix::ingest {

using Digest = blake3::Digest;

struct ChunkRecord {
  uint32_t offset;  // in the buffer
  uint32_t length;
  Digest digest;
  bool fresh;
};

struct FileRecord {
  uint32_t entry;
  uint32_t chunks;
  uint64_t size;
  Digest digest;
};

// A stretch of the NAR: of the batch's framing, or of its buffer.
struct Segment {
  uint32_t offset;
  uint32_t length;
  bool framing;
};

struct Batch {
  uint32_t index = 0;
  uint8_t* data = nullptr;
  size_t capacity = 0;
  std::vector<ChunkRecord> chunks;
  std::vector<FileRecord> files;
  std::vector<uint8_t> framing;
  std::vector<Segment> nar;
  // What the Digester has to do: chunks without digest, and small files with the (only) chunk whose digest is theirs.
  struct Small {
    uint32_t file;
    uint32_t chunk;
  };
  std::vector<uint32_t> undigested;
  std::vector<Small> small;

  explicit Batch(size_t capacity);
  ~Batch();
  Batch(const Batch&) = delete;
  Batch& operator=(const Batch&) = delete;
  void clear();
};

// A fixed number of batches that are used again and again; taking one waits until one is free.
class Pool : public std::enable_shared_from_this<Pool> {
 public:
  static constexpr size_t kBatches = 6;
  explicit Pool(size_t capacity) : capacity_(capacity) {}
  // Null when the pool was stopped.
  std::shared_ptr<Batch> take();
  void stop();

 private:
  void give_back(Batch* batch);
  const size_t capacity_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::unique_ptr<Batch>> free_;
  size_t made_ = 0;
  bool stopped_ = false;
};

class Batcher {
 public:
  using Emit = void (*)(void* context, std::shared_ptr<Batch> batch);
  // `capacity` of the pool's batches must exceed twice the largest chunk.
  Batcher(std::shared_ptr<Pool> pool, const chunk::Params& params, bool nar, Emit emit, void* context);

  // Framing goes through this; call settle() after a few events at most.
  nar::Writer& framing() { return writer_; }
  Failure settle();

  // A file's contents: begin, room/advance or put, end. `size` is kUnknown when only the end will tell.
  static constexpr uint64_t kUnknown = ~uint64_t{0};
  Failure begin_file(uint32_t entry, uint64_t size);
  // Where to put the next bytes, at least one and at most `size`; fewer than asked for is usual.
  Failure room(uint8_t*& to, size_t& size);
  void advance(size_t size);
  Failure put(const uint8_t* data, size_t size);
  Failure end_file();
  // The last batch.
  Failure finish();
  uint64_t nar_size() const { return nar_size_; }

 private:
  Failure need_batch();
  void emit();
  Failure next_batch();
  void note_framing();
  void cut_chunks(bool over);
  ChunkRecord& add_chunk(size_t length);

  std::shared_ptr<Pool> pool_;
  const chunk::Params params_;
  const bool nar_;
  const Emit emit_;
  void* const context_;

  std::shared_ptr<Batch> batch_;
  uint32_t batches_ = 0;
  size_t filled_ = 0;       // of the batch's buffer
  size_t chunk_start_ = 0;  // of the open chunk, in the buffer
  size_t step_ = 0;         // bytes since chunks were last looked for
  std::vector<uint8_t> framing_;
  nar::Writer writer_{framing_};
  uint64_t nar_size_ = 0;

  FileRecord file_{};
  uint64_t expected_ = 0;  // the open file's size, or kUnknown
  blake3::Hasher hasher_;  // of the open file, when it is not a small one
  bool large_ = false;
};

// Completes batches, in their order: digests, and which chunks are met for the first time.
class Digester {
 public:
  void complete(Batch& batch);

 private:
  struct Hash {
    size_t operator()(const Digest& digest) const {
      size_t out;
      std::memcpy(&out, digest.data(), sizeof out);
      return out;
    }
  };
  std::unordered_set<Digest, Hash> seen_;
};

}  // namespace tvix::ingest
