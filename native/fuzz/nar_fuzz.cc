// The NAR reader and unpacking: whatever is accepted is exactly what the writer would write, however it comes in
// pieces, and unpacking leaves its target or nothing, never anything beside it.
//
// The first byte chooses how the rest becomes a NAR: as it is, or byte by byte as words of the format, which reaches
// deep into the grammar at once.
#include <dirent.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "nar/reader.h"
#include "nar/stream.h"
#include "nar/unpack.h"
#include "nar/writer.h"

using namespace tvix;

namespace {

void require(bool condition, const char* what) {
  if (condition) return;
  std::fprintf(stderr, "wrong: %s\n", what);
  std::abort();
}

// Writes again what the reader reports.
class Echo : public nar::ByteSink {
 public:
  Failure begin_directory() override {
    writer_.begin_directory();
    return {};
  }
  Failure entry(std::string_view name) override {
    writer_.entry(name);
    return {};
  }
  Failure end_directory() override {
    writer_.end_directory();
    return {};
  }
  Failure symlink(std::string_view target) override {
    writer_.symlink(target);
    return {};
  }
  Failure begin_file(bool executable, uint64_t size) override {
    writer_.begin_file(executable, size);
    return {};
  }
  Failure data(const uint8_t* bytes, size_t size) override {
    out.insert(out.end(), bytes, bytes + size);
    return {};
  }
  Failure end_file() override {
    writer_.end_file();
    return {};
  }
  std::vector<uint8_t> out;

 private:
  nar::Writer writer_{out};
};

Failure read(const std::vector<uint8_t>& input, size_t piece, nar::ByteSink& sink) {
  nar::Reader reader(sink);
  for (size_t at = 0; at < input.size(); at += piece) {
    size_t size = std::min(piece, input.size() - at);
    if (Failure failure = reader.push(input.data() + at, size)) return failure;
  }
  return reader.end();
}

std::vector<uint8_t> assemble(const uint8_t* data, size_t size) {
  static const char* const kWords[] = {
      "nix-archive-1", "(",     ")",      "type",     "regular", "symlink", "directory", "executable", "",  "name",
      "node",          "entry", "target", "contents", "a",       "b",       "..",        "a/b",        ".", "\xff"};
  constexpr size_t kCount = sizeof kWords / sizeof kWords[0];
  std::vector<uint8_t> out;
  for (size_t i = 0; i < size; i++) {
    std::string word = data[i] < kCount ? kWords[data[i]] : std::string(data[i] % 40, static_cast<char>(data[i]));
    out.push_back(static_cast<uint8_t>(word.size()));
    out.resize(out.size() + 7);
    out.insert(out.end(), word.begin(), word.end());
    out.resize((out.size() + 7) & ~size_t{7});
  }
  return out;
}

std::vector<std::string> names_in(const std::string& path) {
  std::vector<std::string> names;
  DIR* directory = opendir(path.c_str());
  require(directory != nullptr, "the sandbox is there");
  while (const struct dirent* entry = readdir(directory)) {
    std::string name = entry->d_name;
    if (name != "." && name != "..") names.push_back(name);
  }
  closedir(directory);
  return names;
}

const std::string& sandbox() {
  static const std::string path = [] {
    char name[] = "/tmp/tvix-nar-fuzz-XXXXXX";
    require(mkdtemp(name) != nullptr, "a sandbox can be made");
    std::atexit([] { (void)rmdir(sandbox().c_str()); });
    return std::string(name);
  }();
  return path;
}

void unpack(const std::vector<uint8_t>& input, bool good) {
  const std::string target = sandbox() + "/out";
  {
    nar::Unpacker unpacker;
    require(!unpacker.open(target), "unpacking starts");
    Failure failure = read(input, 100, unpacker);
    require(good == !failure, "unpacking accepts what reading accepts");
    if (good) require(!unpacker.commit(), "a good tree is committed");
  }
  require(names_in(sandbox()) == (good ? std::vector<std::string>{"out"} : std::vector<std::string>{}), "no rest");
  if (!good) return;
  nar::Digest digest;
  uint8_t expected[32];
  sha256::hash(input.data(), input.size(), expected);
  require(!nar::hash_tree(target, digest), "the tree can be read back");
  require(std::memcmp(digest.digest, expected, 32) == 0 && digest.size == input.size(), "it is the same tree");
  require(std::system(("rm -r " + target).c_str()) == 0, "the tree can be removed");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const uint8_t how = data[0];
  std::vector<uint8_t> input = how & 1 ? assemble(data + 1, size - 1) : std::vector<uint8_t>(data + 1, data + size);
  Echo whole;
  Failure failure = read(input, input.size() + 1, whole);
  if (!failure) require(whole.out == input, "what is accepted is canonical");
  Echo pieces;
  Failure same = read(input, 1 + how / 4, pieces);
  require((failure.code == nullptr) == (same.code == nullptr) && failure.message == same.message,
          "pieces do not matter");
  require(!failure || failure.code[0] == 'E', "a failure has a code");
  if (how & 2 && input.size() < 100000) unpack(input, !failure);
  return 0;
}
