// Batches: see batch.h.
#include "ingest/batch.h"

#include <sys/mman.h>

#include <algorithm>

namespace tvix::ingest {

namespace {

// How much is read before it is hashed: so much stays in a core's own cache between the one and the other.
constexpr size_t kStep = 256 * 1024;
constexpr size_t kMaxFraming = 1u << 20;
constexpr size_t kMaxFiles = 8192;

Failure closed() { return {"ERR_INGEST_CLOSED", "the ingestion was closed"}; }

}  // namespace

Batch::Batch(size_t capacity) : capacity(capacity) {
  void* memory = mmap(nullptr, capacity, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  data = memory == MAP_FAILED ? nullptr : static_cast<uint8_t*>(memory);
#if defined(MADV_HUGEPAGE)
  if (data) madvise(data, capacity, MADV_HUGEPAGE);
#endif
}

Batch::~Batch() {
  if (data) munmap(data, capacity);
}

void Batch::clear() {
  chunks.clear();
  files.clear();
  framing.clear();
  nar.clear();
  undigested.clear();
  small.clear();
}

std::shared_ptr<Batch> Pool::take() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return stopped_ || !free_.empty() || made_ < kBatches; });
  if (stopped_) return nullptr;
  std::unique_ptr<Batch> batch;
  if (!free_.empty()) {
    batch = std::move(free_.back());
    free_.pop_back();
  } else {
    batch = std::make_unique<Batch>(capacity_);
    if (!batch->data) return nullptr;
    made_++;
  }
  auto self = shared_from_this();
  return {batch.release(), [self](Batch* used) { self->give_back(used); }};
}

void Pool::give_back(Batch* batch) {
  batch->clear();
  std::lock_guard lock(mutex_);
  free_.emplace_back(batch);
  changed_.notify_all();
}

void Pool::stop() {
  std::lock_guard lock(mutex_);
  stopped_ = true;
  changed_.notify_all();
}

Batcher::Batcher(std::shared_ptr<Pool> pool, const chunk::Params& params, bool nar, Emit emit, void* context)
    : pool_(std::move(pool)), params_(params), nar_(nar), emit_(emit), context_(context) {}

Failure Batcher::need_batch() {
  if (batch_) return {};
  batch_ = pool_->take();
  if (!batch_) return closed();
  batch_->index = batches_++;
  filled_ = 0;
  chunk_start_ = 0;
  return {};
}

// Moves framing written since the last time into the batch.
void Batcher::note_framing() {
  if (framing_.empty()) return;
  if (nar_) {
    auto offset = static_cast<uint32_t>(batch_->framing.size());
    batch_->framing.insert(batch_->framing.end(), framing_.begin(), framing_.end());
    batch_->nar.push_back({offset, static_cast<uint32_t>(framing_.size()), true});
    nar_size_ += framing_.size();
  }
  framing_.clear();
}

Failure Batcher::settle() {
  if (Failure failure = need_batch()) return failure;
  note_framing();
  if (batch_->framing.size() < kMaxFraming && batch_->files.size() < kMaxFiles) return {};
  return next_batch();
}

void Digester::complete(Batch& batch) {
  std::vector<blake3::Blob> blobs;
  blobs.reserve(batch.undigested.size());
  for (uint32_t i : batch.undigested) blobs.push_back({batch.data + batch.chunks[i].offset, batch.chunks[i].length});
  std::vector<Digest> digests(blobs.size());
  blake3::hash_blobs(blobs.data(), blobs.size(), digests.data());
  for (size_t i = 0; i < blobs.size(); i++) batch.chunks[batch.undigested[i]].digest = digests[i];
  for (const Batch::Small& small : batch.small) batch.files[small.file].digest = batch.chunks[small.chunk].digest;
  for (ChunkRecord& chunk : batch.chunks) chunk.fresh = seen_.insert(chunk.digest).second;
}

// Gives the batch away.
void Batcher::emit() {
  emit_(context_, std::move(batch_));
  batch_.reset();
}

// Goes on in a new batch; the open chunk comes along.
Failure Batcher::next_batch() {
  std::shared_ptr<Batch> old = batch_;
  const size_t from = chunk_start_;
  const size_t left = filled_ - chunk_start_;
  emit();
  if (Failure failure = need_batch()) return failure;
  std::memcpy(batch_->data, old->data + from, left);
  filled_ = left;
  return {};
}

Failure Batcher::begin_file(uint32_t entry, uint64_t size) {
  if (Failure failure = settle()) return failure;
  // A small file is hashed where it lies, so it must fit into what is left of the buffer.
  large_ = size > params_.min;
  if (!large_ && batch_->capacity - filled_ < size) {
    if (Failure failure = next_batch()) return failure;
  }
  if (large_) hasher_.reset();
  file_ = {entry, 0, 0, {}};
  expected_ = size;
  chunk_start_ = filled_;
  step_ = 0;
  return {};
}

Failure Batcher::room(uint8_t*& to, size_t& size) {
  if (filled_ == batch_->capacity) {
    if (Failure failure = next_batch()) return failure;
  }
  to = batch_->data + filled_;
  size = std::min({size, batch_->capacity - filled_, kStep - step_});
  return {};
}

void Batcher::advance(size_t size) {
  if (nar_) {
    batch_->nar.push_back({static_cast<uint32_t>(filled_), static_cast<uint32_t>(size), false});
    nar_size_ += size;
  }
  if (large_) hasher_.update(batch_->data + filled_, size);
  filled_ += size;
  file_.size += size;
  step_ += size;
  if (step_ < kStep && filled_ < batch_->capacity) return;
  step_ = 0;
  if (large_) cut_chunks(false);
}

Failure Batcher::put(const uint8_t* data, size_t size) {
  while (size > 0) {
    uint8_t* to;
    size_t step = size;
    if (Failure failure = room(to, step)) return failure;
    std::memcpy(to, data, step);
    advance(step);
    data += step;
    size -= step;
  }
  return {};
}

ChunkRecord& Batcher::add_chunk(size_t length) {
  batch_->chunks.push_back({static_cast<uint32_t>(chunk_start_), static_cast<uint32_t>(length), {}, false});
  file_.chunks++;
  chunk_start_ += length;
  return batch_->chunks.back();
}

// Cuts what can be cut of the open file: a chunk is certain once the largest possible one is here, or the file's end.
void Batcher::cut_chunks(bool over) {
  for (;;) {
    const size_t here = filled_ - chunk_start_;
    if (here == 0 || (!over && here < params_.max)) return;
    const size_t length = chunk::cut(params_, batch_->data + chunk_start_, here);
    if (over && length == here && file_.chunks == 0) {
      hasher_.finish(add_chunk(length).digest.data());  // the file is one chunk: its digest is known already
      return;
    }
    add_chunk(length);
    batch_->undigested.push_back(static_cast<uint32_t>(batch_->chunks.size() - 1));
  }
}

Failure Batcher::end_file() {
  if (large_) {
    cut_chunks(true);
    hasher_.finish(file_.digest.data());
  } else if (file_.size == 0) {
    blake3::hash(nullptr, 0, file_.digest.data());
  } else {
    add_chunk(file_.size);
    auto chunk = static_cast<uint32_t>(batch_->chunks.size() - 1);
    batch_->undigested.push_back(chunk);
    batch_->small.push_back({static_cast<uint32_t>(batch_->files.size()), chunk});
  }
  batch_->files.push_back(file_);
  chunk_start_ = filled_;
  return {};
}

Failure Batcher::finish() {
  if (Failure failure = need_batch()) return failure;
  note_framing();
  emit();
  return {};
}

}  // namespace tvix::ingest
