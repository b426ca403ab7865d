// Decoding canonical directories: exactly one form per value, everything else is refused.
#include "fuse/directory.h"

#include <algorithm>
#include <cstring>

#include "blake3/blake3.h"

namespace tvix::fuse {

namespace {

constexpr uint64_t kMaxNumber = (uint64_t{1} << 53) - 1;
constexpr size_t kMaxName = 255;
constexpr size_t kMaxTarget = 4095;

// Reads fields in order; after the first deviation `problem` is set and everything reads as nothing.
class Reader {
 public:
  Reader(const uint8_t* bytes, size_t at, size_t end) : bytes_(bytes), at_(at), end_(end) {}

  const char* problem = nullptr;
  bool done() const { return at_ == end_ || problem; }
  size_t at() const { return at_; }
  bool next_is(uint8_t tag) const { return !done() && bytes_[at_] == tag; }
  void skip() { at_++; }

  uint64_t number() {
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 56; shift += 7) {
      if (at_ == end_) return fail("a number ends too early");
      const uint8_t byte = bytes_[at_++];
      if (byte == 0 && shift > 0) return fail("a number is not in its shortest form");
      value |= static_cast<uint64_t>(byte & 127) << shift;
      if (byte < 128) return value <= kMaxNumber ? value : fail("a number is greater than 2^53-1");
    }
    return fail("a number is greater than 2^53-1");
  }

  // The length of what follows.
  size_t length() {
    const uint64_t size = number();
    return size <= end_ - at_ ? size : fail("a field is longer than what holds it");
  }

  // A field of bytes: its position and length, 0 when the next field is another.
  size_t bytes(uint8_t field, uint32_t& at) {
    if (!next_is(static_cast<uint8_t>(field << 3 | 2))) return 0;
    skip();
    const size_t size = length();
    if (size == 0) return fail("a field is present but empty");
    at = static_cast<uint32_t>(at_);
    at_ += size;
    return size;
  }

  uint64_t number_field(uint8_t field) {
    if (!next_is(static_cast<uint8_t>(field << 3))) return 0;
    skip();
    const uint64_t value = number();
    return value > 0 ? value : fail("a field is present but zero");
  }

  size_t fail(const char* what) {
    if (!problem) problem = what;
    at_ = end_;
    return 0;
  }

 private:
  const uint8_t* bytes_;
  size_t at_;
  size_t end_;
};

const char* read_entry(const uint8_t* bytes, size_t at, size_t end, Listing::Entry& entry) {
  Reader reader(bytes, at, end);
  const size_t name = reader.bytes(1, entry.name_at);
  const size_t value = reader.bytes(2, entry.value_at);
  if (!reader.problem && entry.kind != Kind::kSymlink) {
    entry.size = reader.number_field(3);
    if (entry.kind == Kind::kFile) {
      const uint64_t executable = reader.number_field(4);
      if (executable > 1) return "a boolean is neither 0 nor 1";
      entry.executable = executable == 1;
    }
  }
  if (reader.problem) return reader.problem;
  if (!reader.done()) return "an unknown, repeated or misplaced field";
  if (name == 0 || name > kMaxName) return "a name is empty or too long";
  if (entry.kind == Kind::kSymlink ? value == 0 || value > kMaxTarget : value != sizeof(Digest)) {
    return entry.kind == Kind::kSymlink ? "a symlink's target is empty or too long" : "a digest has not 32 bytes";
  }
  entry.name_size = static_cast<uint16_t>(name);
  entry.value_size = static_cast<uint16_t>(value);
  return nullptr;
}

bool valid_name(std::string_view name) {
  return name != "." && name != ".." && name.find('/') == name.npos && name.find('\0') == name.npos;
}

}  // namespace

Digest name_digest(std::string_view name) {
  Digest out{};
  blake3::hash(reinterpret_cast<const uint8_t*>(name.data()), name.size(), out.data());
  return out;
}

std::shared_ptr<const Listing> Listing::decode(std::vector<uint8_t> bytes, std::string& problem) {
  auto refuse = [&](const char* why) {
    problem = why;
    return nullptr;
  };
  if (bytes.size() > UINT32_MAX) return refuse("it is longer than 4 GiB");
  auto listing = std::make_shared<Listing>();
  listing->bytes_ = std::move(bytes);
  auto& entries = listing->entries_;
  const uint8_t* data = listing->bytes_.data();
  Reader reader(data, 0, listing->bytes_.size());
  size_t runs[4] = {0, 0, 0, 0};  // where the entries of each kind start
  uint64_t last = 1;
  while (!reader.done()) {
    const uint64_t tag = reader.number();
    const uint64_t kind = tag >> 3;
    if (reader.problem || (tag & 7) != 2 || kind < last || kind > 3) return refuse("an unknown or misplaced field");
    for (; last < kind; last++) runs[last] = entries.size();
    const size_t size = reader.length();
    if (reader.problem) break;
    Entry entry{};
    entry.kind = static_cast<Kind>(kind);
    const size_t start = reader.at();
    if (const char* why = read_entry(data, start, start + size, entry)) return refuse(why);
    if (!valid_name(listing->name(entry))) return refuse("a name cannot be one");
    if (entry.kind == Kind::kSymlink && listing->target(entry).find('\0') != std::string_view::npos) {
      return refuse("a symlink's target contains a NUL byte");
    }
    entries.push_back(entry);
    reader = Reader(data, start + size, listing->bytes_.size());
  }
  if (reader.problem) return refuse(reader.problem);
  for (; last < 4; last++) runs[last] = entries.size();
  auto before = [&](const Entry& a, const Entry& b) { return listing->name(a) < listing->name(b); };
  const auto at = [&](size_t i) { return entries.begin() + static_cast<std::ptrdiff_t>(i); };
  for (size_t kind = 0; kind < 3; kind++) {
    if (!std::is_sorted(at(runs[kind]), at(runs[kind + 1]), before)) return refuse("entries are not sorted");
  }
  std::inplace_merge(at(0), at(runs[1]), at(runs[2]), before);
  std::inplace_merge(at(0), at(runs[2]), at(runs[3]), before);
  for (size_t i = 1; i < entries.size(); i++) {
    if (listing->name(entries[i - 1]) == listing->name(entries[i])) return refuse("two entries have one name");
  }
  entries.shrink_to_fit();
  return listing;
}

const Listing::Entry* Listing::find(std::string_view wanted) const {
  auto found = std::lower_bound(entries_.begin(), entries_.end(), wanted,
                                [&](const Entry& entry, std::string_view text) { return name(entry) < text; });
  return found != entries_.end() && name(*found) == wanted ? &*found : nullptr;
}

Digest Listing::digest(const Entry& entry) const {
  Digest out{};
  if (entry.kind != Kind::kSymlink) std::memcpy(out.data(), bytes_.data() + entry.value_at, out.size());
  return out;
}

}  // namespace tvix::fuse
