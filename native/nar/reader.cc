// The NAR reader's states: strings below, grammar above.
#include "nar/reader.h"

#include <algorithm>
#include <cstring>

namespace tvix::nar {

Failure Reader::fail(const char* code, const std::string& what) const {
  return {code, "bad NAR at byte " + std::to_string(start_) + ": " + what};
}

Failure Reader::push(const uint8_t* data, size_t size) {
  if (failure_) return failure_;
  while (size > 0) {
    size_t used = 0;
    failure_ = step(data, size, used);
    if (failure_) return failure_;
    position_ += used;
    data += used;
    size -= used;
  }
  return {};
}

Failure Reader::end() {
  if (failure_) return failure_;
  if (expect_ == Expect::kNothing) return {};
  start_ = position_;
  failure_ = fail("ERR_NAR_TRUNCATED", "it ends before the tree is complete");
  return failure_;
}

// Takes some bytes of the present phase.
Failure Reader::step(const uint8_t* data, size_t size, size_t& used) {
  switch (phase_) {
    case Phase::kLength: {
      if (filled_ == 0) start_ = position_;
      if (expect_ == Expect::kNothing) return fail("ERR_NAR_TRAILING_BYTES", "bytes follow the end of the tree");
      used = std::min<size_t>(size, 8 - filled_);
      std::memcpy(length_bytes_ + filled_, data, used);
      filled_ += used;
      return filled_ == 8 ? length_known() : Failure{};
    }
    case Phase::kBytes: {
      used = static_cast<size_t>(std::min<uint64_t>(size, length_ - filled_));
      filled_ += used;
      if (expect_ == Expect::kContents) {
        if (Failure failure = sink_.data(data, used)) return failure;
      } else {
        text_.append(reinterpret_cast<const char*>(data), used);
      }
      if (filled_ < length_) return {};
      filled_ = 0;
      phase_ = Phase::kPadding;
      return length_ % 8 == 0 ? string_done() : Failure{};
    }
    case Phase::kPadding: {
      const uint64_t padding = 8 - length_ % 8;
      used = std::min<size_t>(size, padding - filled_);
      if (std::any_of(data, data + used, [](uint8_t byte) { return byte != 0; })) {
        return fail("ERR_NAR_BAD_PADDING", "the padding behind a string is not zero");
      }
      filled_ += used;
      return filled_ == padding ? string_done() : Failure{};
    }
  }
  return {};
}

// The longest string that can be right here.
size_t Reader::limit() const {
  switch (expect_) {
    case Expect::kName:
      return kMaxName;
    case Expect::kTarget:
      return kMaxTarget;
    default:
      return 13;  // "nix-archive-1", the longest word
  }
}

Failure Reader::length_known() {
  length_ = 0;
  for (int i = 7; i >= 0; i--) length_ = length_ << 8 | length_bytes_[i];
  filled_ = 0;
  text_.clear();
  const std::string bytes = std::to_string(length_) + " bytes";
  if (expect_ == Expect::kContents) {
    if (length_ >> 63) return fail("ERR_NAR_SIZE_OVERFLOW", "a file of " + bytes + " (the limit is 2^63 - 1)");
    if (Failure failure = sink_.begin_file(executable_, length_)) return failure;
  } else if (length_ > limit()) {
    if (expect_ == Expect::kMagic) return fail("ERR_NAR_BAD_MAGIC", "it does not start with \"nix-archive-1\"");
    if (expect_ == Expect::kName) return fail("ERR_NAR_NAME_TOO_LONG", "a name of " + bytes + " (the limit is 255)");
    if (expect_ == Expect::kTarget) {
      return fail("ERR_NAR_TARGET_TOO_LONG", "a symlink target of " + bytes + " (the limit is 4095)");
    }
    if (expect_ == Expect::kExecutableMark) {
      return fail("ERR_NAR_UNEXPECTED_TOKEN", "the string behind \"executable\" is not empty");
    }
    return fail("ERR_NAR_UNEXPECTED_TOKEN", "a string of " + bytes + " where a word of the format is due");
  }
  phase_ = Phase::kBytes;
  if (length_ > 0) return {};
  return string_done();
}

Failure Reader::expect_word(const char* word, Expect next) {
  if (text_ != word) {
    return fail("ERR_NAR_UNEXPECTED_TOKEN", "expected \"" + std::string(word) + "\", found " + quoted(text_));
  }
  expect_ = next;
  return {};
}

void Reader::node_done() { expect_ = names_.empty() ? Expect::kNothing : Expect::kEntryClose; }

// A whole string is in: text_, or the contents that went by.
Failure Reader::string_done() {
  phase_ = Phase::kLength;
  filled_ = 0;
  switch (expect_) {
    case Expect::kMagic:
      if (text_ != "nix-archive-1") return fail("ERR_NAR_BAD_MAGIC", "it does not start with \"nix-archive-1\"");
      expect_ = Expect::kNodeOpen;
      return {};
    case Expect::kNodeOpen:
      return expect_word("(", Expect::kTypeKey);
    case Expect::kTypeKey:
      return expect_word("type", Expect::kType);
    case Expect::kType:
      return type_known();
    case Expect::kFileKey:
      return file_key();
    case Expect::kExecutableMark:
      if (!text_.empty()) return fail("ERR_NAR_UNEXPECTED_TOKEN", "the string behind \"executable\" is not empty");
      executable_ = true;
      expect_ = Expect::kContentsKey;
      return {};
    case Expect::kContentsKey:
      if (text_ == ")") return fail("ERR_NAR_MISSING_CONTENTS", "a regular file without contents");
      return expect_word("contents", Expect::kContents);
    case Expect::kContents:
      expect_ = Expect::kNodeClose;
      return sink_.end_file();
    case Expect::kNodeClose:
      if (text_ == "entry") {
        return fail("ERR_NAR_NOT_DIRECTORY", "an entry below something that is not a directory");
      }
      if (Failure failure = expect_word(")", Expect::kNothing)) return failure;
      node_done();
      return {};
    case Expect::kTargetKey:
      return expect_word("target", Expect::kTarget);
    case Expect::kTarget:
      return target_known();
    case Expect::kEntryOrClose:
      return entry_or_close();
    case Expect::kEntryOpen:
      return expect_word("(", Expect::kNameKey);
    case Expect::kNameKey:
      return expect_word("name", Expect::kName);
    case Expect::kName:
      return name_known();
    case Expect::kNodeKey:
      return expect_word("node", Expect::kNodeOpen);
    case Expect::kEntryClose:
      return expect_word(")", Expect::kEntryOrClose);
    case Expect::kNothing:
      break;
  }
  return {};
}

Failure Reader::type_known() {
  if (text_ == "regular") {
    executable_ = false;
    expect_ = Expect::kFileKey;
    return {};
  }
  if (text_ == "symlink") {
    expect_ = Expect::kTargetKey;
    return {};
  }
  if (text_ == "directory") return open_directory();
  return fail("ERR_NAR_UNKNOWN_TYPE", "a node of type " + quoted(text_));
}

Failure Reader::open_directory() {
  if (names_.size() >= kMaxDepth) {
    return fail("ERR_NAR_TOO_DEEP", "directories nest deeper than " + std::to_string(kMaxDepth));
  }
  names_.emplace_back();
  expect_ = Expect::kEntryOrClose;
  return sink_.begin_directory();
}

Failure Reader::file_key() {
  if (text_ == "executable") {
    expect_ = Expect::kExecutableMark;
    return {};
  }
  if (text_ == ")") return fail("ERR_NAR_MISSING_CONTENTS", "a regular file without contents");
  return expect_word("contents", Expect::kContents);
}

Failure Reader::entry_or_close() {
  if (text_ == "entry") {
    expect_ = Expect::kEntryOpen;
    return {};
  }
  if (text_ != ")") {
    return fail("ERR_NAR_UNEXPECTED_TOKEN", "expected \"entry\" or \")\", found " + quoted(text_));
  }
  names_.pop_back();
  node_done();
  return sink_.end_directory();
}

Failure Reader::name_known() {
  if (text_.empty()) return fail("ERR_NAR_NAME_EMPTY", "an entry with an empty name");
  if (text_ == "." || text_ == "..") return fail("ERR_NAR_NAME_DOT", "an entry named " + quoted(text_));
  if (text_.find('/') != std::string::npos) return fail("ERR_NAR_NAME_SLASH", "a '/' in the name " + quoted(text_));
  if (text_.find('\0') != std::string::npos) return fail("ERR_NAR_NAME_NUL", "a NUL byte in the name " + quoted(text_));
  std::string& last = names_.back();
  // std::string compares as unsigned bytes. The empty string, before the first name, is below every name.
  if (text_ == last) return fail("ERR_NAR_NAME_DUPLICATE", "two entries named " + quoted(text_));
  if (text_ < last) {
    return fail("ERR_NAR_NAME_ORDER", "the name " + quoted(text_) + " comes after " + quoted(last));
  }
  last = text_;
  expect_ = Expect::kNodeKey;
  return sink_.entry(text_);
}

Failure Reader::target_known() {
  if (text_.empty()) return fail("ERR_NAR_TARGET_EMPTY", "a symlink with an empty target");
  if (text_.find('\0') != std::string::npos) return fail("ERR_NAR_TARGET_NUL", "a NUL byte in a symlink target");
  expect_ = Expect::kNodeClose;
  return sink_.symlink(text_);
}

}  // namespace tvix::nar
