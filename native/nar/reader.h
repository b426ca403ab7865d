// Reading a NAR that arrives in pieces: a strict state machine with bounded memory.
//
// It accepts exactly the bytes a writer makes: zero padding, names of 1…255 bytes without '/' and NUL, not '.' or '..',
// strictly ascending bytewise; targets of 1…4095 bytes without NUL; contents always present; nesting bounded; nothing
// behind the root. Therefore the hash of what it accepts is the hash of the tree. State: one partial string (at most
// 4 KiB) and the last name of each open directory. Contents are handed on in the pieces in which they came.
#pragma once

#include <string>
#include <vector>

#include "nar/node.h"

namespace tvix::nar {

class Reader {
 public:
  explicit Reader(ByteSink& sink) : sink_(sink) {}
  // Takes the next bytes. After a failure every call gives that failure again.
  Failure push(const uint8_t* data, size_t size);
  // The NAR is over: fails unless it was complete.
  Failure end();
  // Bytes taken in.
  uint64_t position() const { return position_; }

 private:
  // What the string that comes next must be.
  enum class Expect {
    kMagic,
    kNodeOpen,
    kTypeKey,
    kType,
    kFileKey,
    kExecutableMark,
    kContentsKey,
    kContents,
    kNodeClose,
    kTargetKey,
    kTarget,
    kEntryOrClose,
    kEntryOpen,
    kNameKey,
    kName,
    kNodeKey,
    kEntryClose,
    kNothing,
  };
  enum class Phase { kLength, kBytes, kPadding };

  Failure step(const uint8_t* data, size_t size, size_t& used);
  Failure length_known();
  Failure string_done();
  Failure expect_word(const char* word, Expect next);
  Failure file_key();
  Failure entry_or_close();
  Failure type_known();
  Failure name_known();
  Failure target_known();
  Failure open_directory();
  Failure fail(const char* code, const std::string& what) const;
  void node_done();
  size_t limit() const;

  ByteSink& sink_;
  Failure failure_;
  Expect expect_ = Expect::kMagic;
  Phase phase_ = Phase::kLength;
  uint8_t length_bytes_[8] = {};
  uint64_t filled_ = 0;  // of the length, the string or the padding
  uint64_t length_ = 0;
  std::string text_;
  uint64_t position_ = 0;
  uint64_t start_ = 0;  // where the present string starts
  bool executable_ = false;
  std::vector<std::string> names_;  // the last name in each open directory
};

}  // namespace tvix::nar
