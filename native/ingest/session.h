// One ingestion: threads that produce batches, digest their chunks and hash the NAR, and a queue towards JavaScript.
//
//   producer (walk, read, BLAKE3 of files, ──▶ digester (BLAKE3 of chunks) ──▶ ready ──▶ JavaScript ──▶ pack writer
//             chunk boundaries)            └─▶ NAR thread (SHA-256, reference scan)
//
// A batch goes back to the pool when all have let go of it, and the producer waits for the pool: that is the only
// bound, and it bounds everything.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "ingest/batch.h"
#include "ingest/scan.h"
#include "nar/tree.h"
#include "sha256/sha256.h"

namespace tvix::ingest {

struct Options {
  uint32_t average = chunk::kDefaultAverage;
  bool nar = true;
  std::string needles;  // 32 bytes each
};

struct Outcome {
  nar::Listing listing;
  uint8_t nar_hash[32] = {};
  uint64_t nar_size = 0;
  std::vector<uint8_t> found;
};

class Session {
 public:
  explicit Session(Options options);
  ~Session();

  // Exactly one of these, once.
  void start_tree(std::string path, std::unique_ptr<nar::Listing> only);
  void start_files(std::vector<std::string> paths);
  void start_pushed(bool as_nar);

  // Bytes for a pushed ingestion; `taken` is called (on the session's thread, or at once) when there is room for more.
  void push(std::vector<uint8_t> bytes, std::function<void()> taken);
  void end();

  enum class Next { kBatch, kWait, kOver, kFailed };
  // The next batch if there is one. kWait: `notify` will be called when it is worth asking again.
  Next next(std::shared_ptr<Batch>& batch, Failure& failure);
  // Called from the session's threads on every change; set before starting.
  std::function<void()> notify;
  // Whether it has failed or was closed, and how.
  bool failed(Failure& failure);
  const Options& options() const { return options_; }
  // Whether the outcome is complete; take it once.
  bool finished();
  Outcome take_outcome();
  // Stops the threads; blocks briefly.
  void close();

 private:
  void run(const std::function<Failure(Batcher&)>& produce);
  void deliver(std::shared_ptr<Batch> batch);
  void digest_chunks();
  void hash_nar();
  Failure produce_tree(Batcher& batcher, const std::string& path, const nar::Listing* only);
  Failure produce_files(Batcher& batcher, const std::vector<std::string>& paths);
  Failure produce_pushed(Batcher& batcher, bool as_nar);
  void start(std::function<Failure(Batcher&)> produce);

  static constexpr size_t kBatchSize = 4u << 20;

  const Options options_;
  std::shared_ptr<Pool> pool_;
  std::atomic<bool> stop_ = false;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::shared_ptr<Batch>> ready_;
  std::deque<std::shared_ptr<Batch>> to_digest_;
  std::deque<std::shared_ptr<Batch>> to_hash_;
  bool produced_all_ = false;
  bool digested_all_ = false;
  bool hashed_all_ = false;
  Failure failure_;
  Outcome outcome_;
  struct Pushed {
    std::vector<uint8_t> bytes;
    std::function<void()> taken;
  };
  std::deque<Pushed> pushed_;
  bool push_over_ = false;
  Scanner scanner_;
  sha256::Hasher sha_;
  std::thread producer_;
  std::thread digester_;
  std::thread hasher_;
};

}  // namespace tvix::ingest
