// File trees as a stream of events: what NAR readers, host walks, writers, unpacking and ingestion say to each other.
//
//   NODE := symlink(target)
//         | begin_file(executable, size) … end_file()              contents in between, `size` bytes
//         | begin_directory() { entry(name) NODE } end_directory() names strictly ascending bytewise
//
// A tree is one NODE. Whoever produces the events has checked them: sinks get valid names in order.
#pragma once

#include <cstdint>
#include <string_view>

#include "common/failure.h"

namespace tvix::nar {

// How many directories may lie within each other, as in lib/formats/nar. Walks and unpacking hold a descriptor for
// each.
inline constexpr size_t kMaxDepth = 1024;
inline constexpr size_t kMaxName = 255;
inline constexpr size_t kMaxTarget = 4095;

// Takes the events of a tree. A failure stops the producer, which hands it on.
class NodeSink {
 public:
  virtual ~NodeSink() = default;
  virtual Failure begin_directory() = 0;
  virtual Failure entry(std::string_view name) = 0;
  virtual Failure end_directory() = 0;
  virtual Failure symlink(std::string_view target) = 0;
  virtual Failure begin_file(bool executable, uint64_t size) = 0;
  virtual Failure end_file() = 0;
};

// A sink that takes contents as bytes, in pieces of any size.
class ByteSink : public NodeSink {
 public:
  virtual Failure data(const uint8_t* bytes, size_t size) = 0;
};

// A sink that takes contents from a descriptor, in its own way. It reads exactly `size` bytes from the file's start;
// kShort says the file had fewer.
class FileSink : public NodeSink {
 public:
  static constexpr int kShort = -1;
  // Sets `read_error` to an errno of reading (or kShort); a failure is one of the sink's own side.
  virtual Failure contents(int fd, uint64_t size, int& read_error) = 0;
};

}  // namespace tvix::nar
