// The threads of an ingestion, and the three ways of feeding one.
#include "ingest/session.h"

#include <unistd.h>

#include <algorithm>

#include "nar/reader.h"

namespace tvix::ingest {

namespace {

Failure closed() { return {"ERR_INGEST_CLOSED", "the ingestion was closed"}; }

// Events into a listing, framing and contents: what a host walk and a NAR reader have in common.
template <class Base>
class IngestSink : public Base {
 public:
  explicit IngestSink(Batcher& batcher) : batcher_(batcher) {}
  Failure begin_directory() override {
    listing.begin_directory();
    batcher_.framing().begin_directory();
    return {};
  }
  Failure entry(std::string_view name) override {
    listing.entry(name);
    batcher_.framing().entry(name);
    return {};
  }
  Failure end_directory() override {
    listing.end_directory();
    batcher_.framing().end_directory();
    return batcher_.settle();
  }
  Failure symlink(std::string_view target) override {
    listing.symlink(target);
    batcher_.framing().symlink(target);
    return batcher_.settle();
  }
  Failure begin_file(bool executable, uint64_t size) override {
    uint32_t entry = listing.file(executable, size);
    batcher_.framing().begin_file(executable, size);
    return batcher_.begin_file(entry, size);
  }
  Failure end_file() override {
    batcher_.framing().end_file();
    return batcher_.end_file();
  }

  nar::ListingBuilder listing;

 protected:
  Batcher& batcher_;
};

class TreeSink : public IngestSink<nar::FileSink> {
 public:
  TreeSink(Batcher& batcher, const std::atomic<bool>& stop) : IngestSink(batcher), stop_(stop) {}
  Failure contents(int fd, uint64_t size, int& read_error) override {
    while (size > 0) {
      if (stop_) return closed();
      uint8_t* to;
      size_t space = static_cast<size_t>(std::min<uint64_t>(size, SIZE_MAX));
      if (Failure failure = batcher_.room(to, space)) return failure;
      ssize_t n = ::read(fd, to, space);
      if (n < 0 && errno == EINTR) continue;
      if (n <= 0) {
        read_error = n == 0 ? kShort : errno;
        return {};
      }
      batcher_.advance(static_cast<size_t>(n));
      size -= static_cast<uint64_t>(n);
    }
    return {};
  }

 private:
  const std::atomic<bool>& stop_;
};

class NarSink : public IngestSink<nar::ByteSink> {
 public:
  using IngestSink::IngestSink;
  Failure data(const uint8_t* bytes, size_t size) override { return batcher_.put(bytes, size); }
};

// Lets a list of files share one listing: directories and symlinks are refused.
class FilesSink : public TreeSink {
 public:
  using TreeSink::TreeSink;
  std::string path;
  Failure begin_directory() override { return refused("a directory"); }
  Failure symlink(std::string_view) override { return refused("a symlink"); }

 private:
  Failure refused(const char* what) const {
    return {"ERR_TREE_KIND", quoted(path) + " is " + what + ", not a regular file"};
  }
};

}  // namespace

Session::Session(Options options)
    : options_(std::move(options)),
      pool_(std::make_shared<Pool>(std::max<size_t>(kBatchSize, size_t{8} * options_.average))),
      scanner_(options_.needles) {}

Session::~Session() { close(); }

void Session::start(std::function<Failure(Batcher&)> produce) {
  producer_ = std::thread([this, produce = std::move(produce)] { run(produce); });
  digester_ = std::thread([this] { digest_chunks(); });
  if (options_.nar) {
    hasher_ = std::thread([this] { hash_nar(); });
  } else {
    hashed_all_ = true;
  }
}

void Session::run(const std::function<Failure(Batcher&)>& produce) {
  auto emit = [](void* context, std::shared_ptr<Batch> batch) {
    static_cast<Session*>(context)->deliver(std::move(batch));
  };
  Batcher batcher(pool_, chunk::Params(options_.average), options_.nar, emit, this);
  Failure failure = produce(batcher);
  if (!failure) failure = batcher.finish();
  std::deque<Pushed> dropped;
  {
    std::lock_guard lock(mutex_);
    outcome_.nar_size = batcher.nar_size();
    failure_ = std::move(failure);
    produced_all_ = true;
    dropped.swap(pushed_);
    changed_.notify_all();
  }
  for (auto& each : dropped) each.taken();  // whoever pushes learns of the failure from next()
  notify();
}

void Session::deliver(std::shared_ptr<Batch> batch) {
  std::lock_guard lock(mutex_);
  if (options_.nar) to_hash_.push_back(batch);
  to_digest_.push_back(std::move(batch));
  changed_.notify_all();
}

void Session::digest_chunks() {
  Digester digester;
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [this] { return !to_digest_.empty() || produced_all_ || stop_; });
    if (stop_ || to_digest_.empty()) break;
    std::shared_ptr<Batch> batch = std::move(to_digest_.front());
    to_digest_.pop_front();
    lock.unlock();
    digester.complete(*batch);
    lock.lock();
    ready_.push_back(std::move(batch));
    lock.unlock();
    notify();
    lock.lock();
  }
  digested_all_ = true;
  lock.unlock();
  notify();
}

void Session::hash_nar() {
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [this] { return !to_hash_.empty() || produced_all_ || stop_; });
    if (stop_ || to_hash_.empty()) break;
    std::shared_ptr<Batch> batch = std::move(to_hash_.front());
    to_hash_.pop_front();
    lock.unlock();
    for (const Segment& segment : batch->nar) {
      const uint8_t* bytes = (segment.framing ? batch->framing.data() : batch->data) + segment.offset;
      sha_.update(bytes, segment.length);
      if (!scanner_.idle()) scanner_.push(bytes, segment.length);
    }
    batch.reset();
    lock.lock();
  }
  sha_.finish(outcome_.nar_hash);
  hashed_all_ = true;
  lock.unlock();
  notify();
}

void Session::start_tree(std::string path, std::unique_ptr<nar::Listing> only) {
  std::shared_ptr<nar::Listing> listing = std::move(only);
  start(
      [this, path = std::move(path), listing](Batcher& batcher) { return produce_tree(batcher, path, listing.get()); });
}

void Session::start_files(std::vector<std::string> paths) {
  start([this, paths = std::move(paths)](Batcher& batcher) { return produce_files(batcher, paths); });
}

void Session::start_pushed(bool as_nar) {
  start([this, as_nar](Batcher& batcher) { return produce_pushed(batcher, as_nar); });
}

Failure Session::produce_tree(Batcher& batcher, const std::string& path, const nar::Listing* only) {
  TreeSink sink(batcher, stop_);
  nar::WalkOptions options;
  options.only = only;
  options.stop = &stop_;
  if (Failure failure = nar::walk(path, options, sink)) return failure;
  outcome_.listing = sink.listing.take();
  return {};
}

Failure Session::produce_files(Batcher& batcher, const std::vector<std::string>& paths) {
  FilesSink sink(batcher, stop_);
  nar::WalkOptions options;
  options.stop = &stop_;
  for (const std::string& path : paths) {
    sink.path = path;
    if (Failure failure = nar::walk(path, options, sink)) return failure;
  }
  outcome_.listing = sink.listing.take();
  return {};
}

Failure Session::produce_pushed(Batcher& batcher, bool as_nar) {
  NarSink sink(batcher);
  nar::Reader reader(sink);
  uint64_t size = 0;
  if (!as_nar) {
    if (Failure failure = batcher.begin_file(0, Batcher::kUnknown)) return failure;
  }
  for (;;) {
    Pushed piece;
    {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [this] { return !pushed_.empty() || push_over_ || stop_; });
      if (stop_) return closed();
      if (pushed_.empty()) break;
      piece = std::move(pushed_.front());
      pushed_.pop_front();
    }
    Failure failure = as_nar ? reader.push(piece.bytes.data(), piece.bytes.size())
                             : batcher.put(piece.bytes.data(), piece.bytes.size());
    size += piece.bytes.size();
    piece.taken();
    if (failure) return failure;
  }
  if (as_nar) {
    if (Failure failure = reader.end()) return failure;
  } else {
    sink.listing.file(false, size);
    if (Failure failure = batcher.end_file()) return failure;
  }
  outcome_.listing = sink.listing.take();
  return {};
}

void Session::push(std::vector<uint8_t> bytes, std::function<void()> taken) {
  {
    std::lock_guard lock(mutex_);
    if (!produced_all_ && !stop_ && !push_over_) {
      pushed_.push_back({std::move(bytes), std::move(taken)});
      changed_.notify_all();
      return;
    }
  }
  taken();
}

void Session::end() {
  std::lock_guard lock(mutex_);
  push_over_ = true;
  changed_.notify_all();
}

Session::Next Session::next(std::shared_ptr<Batch>& batch, Failure& failure) {
  std::lock_guard lock(mutex_);
  if (stop_ || failure_) {
    failure = stop_ ? closed() : failure_;
    return Next::kFailed;
  }
  if (!ready_.empty()) {
    batch = std::move(ready_.front());
    ready_.pop_front();
    return Next::kBatch;
  }
  return digested_all_ ? Next::kOver : Next::kWait;
}

bool Session::failed(Failure& failure) {
  std::lock_guard lock(mutex_);
  failure = stop_ ? closed() : failure_;
  return static_cast<bool>(failure);
}

bool Session::finished() {
  std::lock_guard lock(mutex_);
  return digested_all_ && hashed_all_;
}

Outcome Session::take_outcome() {
  std::lock_guard lock(mutex_);
  outcome_.found = scanner_.found();
  return std::move(outcome_);
}

void Session::close() {
  {
    std::lock_guard lock(mutex_);
    stop_ = true;
    changed_.notify_all();
  }
  pool_->stop();
  if (producer_.joinable()) producer_.join();
  if (digester_.joinable()) digester_.join();
  if (hasher_.joinable()) hasher_.join();
  ready_.clear();
  to_digest_.clear();
  to_hash_.clear();
}

}  // namespace tvix::ingest
