// Unpacking a NAR onto a host: whole or not at all, and never outside its target.
//
// The tree is made inside a fresh directory beside the target, through descriptors and with O_EXCL and O_NOFOLLOW, and
// its root is renamed to the target at the end. Nothing of it is visible under the target's name before.
#pragma once

#include <string>
#include <vector>

#include "nar/node.h"

namespace tvix::nar {

class Unpacker : public ByteSink {
 public:
  ~Unpacker() override { abandon(); }
  // Prepares to unpack to `target`, which must not exist; its parent must.
  Failure open(const std::string& target);
  // Moves the finished tree to its place.
  Failure commit();
  // Removes what was made so far. Nothing happens after commit.
  void abandon();

  Failure begin_directory() override;
  Failure entry(std::string_view name) override;
  Failure end_directory() override;
  Failure symlink(std::string_view target) override;
  Failure begin_file(bool executable, uint64_t size) override;
  Failure data(const uint8_t* bytes, size_t size) override;
  Failure end_file() override;

 private:
  Failure failed(int error, const char* doing) const;
  Failure exists() const;

  std::string target_;
  std::string base_;       // last component of the target
  std::string temporary_;  // name of the directory beside it; empty when there is none
  int parent_ = -1;
  int file_ = -1;
  std::vector<int> open_;  // the temporary directory, then the open directories of the tree
  std::string name_;       // of the node that comes next
};

// Unpacks the NAR read from `fd` to its end; gives its hash and size.
struct Digest;
Failure unpack(int fd, const std::string& target, Digest& out);

}  // namespace tvix::nar
