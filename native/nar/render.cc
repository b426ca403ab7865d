// Rendering: framing from the listing, contents from the packs.
#include "nar/render.h"

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <thread>

#include "nar/stream.h"

namespace tvix::nar {

namespace {

// Buffers between the thread that reads and verifies and the one that writes.
constexpr size_t kBufferSize = 1u << 20;
constexpr size_t kBuffers = 3;

bool is_file(uint8_t kind) { return kind == kRegular || kind == kExecutable; }

}  // namespace

const char* Render::wrong(const Plan& plan) {
  if (!plan.listing.valid()) return "the listing is not a tree in NAR order";
  if (plan.packs.size() != plan.extents.size()) return "packs and extents differ in number";
  for (uint32_t pack : plan.packs) {
    if (pack >= plan.readers.size()) return "a chunk is in a pack without a reader";
  }
  size_t file = 0;
  size_t chunk = 0;
  for (size_t i = 0; i < plan.listing.count(); i++) {
    if (!is_file(plan.listing.kinds[i])) continue;
    if (file >= plan.counts.size()) return "there are fewer chunk counts than files";
    uint32_t count = plan.counts[file++];
    if (count > plan.extents.size() - chunk) return "there are fewer chunks than the counts say";
    uint64_t size = 0;
    for (uint32_t j = 0; j < count; j++) size += plan.extents[chunk++].length;
    if (static_cast<double>(size) != plan.listing.sizes[i]) return "a file's chunks do not add up to its size";
  }
  if (file != plan.counts.size() || chunk != plan.extents.size()) return "there are chunks that belong to no file";
  return nullptr;
}

Render::Render(Plan plan) : plan_(std::move(plan)) {
  for (size_t i = 0; i < plan_.listing.count(); i++) {
    if (is_file(plan_.listing.kinds[i])) total_ += static_cast<uint64_t>(plan_.listing.sizes[i]);
  }
  // The framing's size, from a rehearsal without contents.
  while (advance()) {
    total_ += framing_.size();
    framing_.clear();
    chunks_left_ = 0;
  }
  entry_ = 0;
  file_ = 0;
  writer_ = Writer(framing_);
}

// Puts the next piece of framing into framing_; false at the end.
bool Render::advance() {
  const Listing& listing = plan_.listing;
  if (in_file_) {
    writer_.end_file();
    in_file_ = false;
    return true;
  }
  const bool over = entry_ >= listing.count();
  if (!open_.empty() && (over || open_.back() != listing.parents[entry_])) {
    writer_.end_directory();
    open_.pop_back();
    return true;
  }
  if (over) return false;
  const uint32_t i = entry_++;
  if (i > 0) writer_.entry(listing.name(i));
  switch (listing.kinds[i]) {
    case kDirectory:
      writer_.begin_directory();
      open_.push_back(i);
      break;
    case kSymlink:
      writer_.symlink(listing.target(i));
      break;
    default:
      writer_.begin_file(listing.kinds[i] == kExecutable, static_cast<uint64_t>(listing.sizes[i]));
      chunks_left_ = plan_.counts[file_++];
      in_file_ = true;
  }
  return true;
}

// Reads the whole chunks that fit into `out`, or one that does not into scratch_.
Failure Render::chunks(uint8_t* out, size_t size, size_t& filled) {
  const pack::Extent* first = &plan_.extents[chunk_];
  const uint32_t pack = plan_.packs[chunk_];
  pack::Reader& reader = *plan_.readers[pack];
  uint32_t run = 0;
  size_t bytes = 0;
  while (run < chunks_left_ && plan_.packs[chunk_ + run] == pack && bytes + first[run].length <= size) {
    bytes += first[run++].length;
  }
  if (run == 0) {
    run = 1;
    scratch_.resize(first->length);
    scratch_at_ = 0;
    if (Failure failure = reader.read(first, 1, scratch_.data())) return failure;
  } else {
    if (Failure failure = reader.read(first, run, out)) return failure;
    filled += bytes;
  }
  chunk_ += run;
  chunks_left_ -= run;
  return {};
}

Failure Render::fill(uint8_t* out, size_t size, size_t& filled) {
  filled = 0;
  while (filled < size) {
    const size_t space = size - filled;
    if (framing_at_ < framing_.size()) {
      size_t step = std::min(space, framing_.size() - framing_at_);
      std::memcpy(out + filled, framing_.data() + framing_at_, step);
      framing_at_ += step;
      filled += step;
    } else if (scratch_at_ < scratch_.size()) {
      size_t step = std::min(space, scratch_.size() - scratch_at_);
      std::memcpy(out + filled, scratch_.data() + scratch_at_, step);
      scratch_at_ += step;
      filled += step;
    } else if (chunks_left_ > 0) {
      if (Failure failure = chunks(out + filled, space, filled)) return failure;
    } else {
      framing_.clear();
      framing_at_ = 0;
      if (!advance()) break;
    }
  }
  return {};
}

Failure Render::write(int fd) {
  struct Slot {
    std::vector<uint8_t> bytes = std::vector<uint8_t>(kBufferSize);
    size_t filled = 0;
  };
  Slot slots[kBuffers];
  std::mutex mutex;
  std::condition_variable changed;
  size_t produced = 0;
  size_t consumed = 0;
  bool over = false;
  Failure write_failure;
  std::thread output([&] {
    std::unique_lock lock(mutex);
    for (;;) {
      changed.wait(lock, [&] { return consumed < produced || over; });
      if (consumed == produced) return;
      Slot& slot = slots[consumed % kBuffers];
      lock.unlock();
      Failure failure = write_all(fd, slot.bytes.data(), slot.filled);
      lock.lock();
      consumed++;
      if (failure) {
        write_failure = std::move(failure);
        over = true;
      }
      changed.notify_all();
      if (write_failure) return;
    }
  });
  Failure read_failure;
  for (;;) {
    std::unique_lock lock(mutex);
    changed.wait(lock, [&] { return produced - consumed < kBuffers || over; });
    if (over) break;
    Slot& slot = slots[produced % kBuffers];
    lock.unlock();
    read_failure = fill(slot.bytes.data(), kBufferSize, slot.filled);
    lock.lock();
    const bool last = read_failure || slot.filled < kBufferSize;
    if (!read_failure) produced++;
    if (last) over = true;
    changed.notify_all();
    if (last) break;
  }
  output.join();
  return write_failure ? write_failure : read_failure;
}

}  // namespace tvix::nar
