// The check of an index file: any bytes are an index or get problems in words, within bounds, in time, without a crash.
//
// The first byte chooses whether the rest is the file itself, or edits (offset u16 of a page, page u8, value u8) of a
// small whole index made here, which reaches the trees behind the meta pages.
#include <sys/mman.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "index/check.h"

using namespace tvix;

namespace {

constexpr size_t kPage = 4096;

void put(std::vector<uint8_t>& file, size_t at, uint64_t value, size_t size) {
  std::memcpy(file.data() + at, &value, size);
}

// Two meta pages, the table of tables with one table "t", that table's branch with two leaves of one entry each.
std::vector<uint8_t> whole() {
  std::vector<uint8_t> file(6 * kPage);
  for (size_t page = 0; page < 6; page++) put(file, page * kPage, page, 8);
  for (size_t page = 0; page < 2; page++) {
    const size_t at = page * kPage;
    put(file, at + 18, 8, 2);
    put(file, at + 24, 0xbeefc0de, 4);
    put(file, at + 28, 2, 4);
    put(file, at + 48, kPage, 4);
    put(file, at + 52, 8, 2);
    put(file, at + 88, ~uint64_t{0}, 8);  // no free pages
    if (page == 0) put(file, at + 136, ~uint64_t{0}, 8);
    if (page == 1) {
      put(file, at + 102, 1, 2);
      put(file, at + 112, 1, 8);
      put(file, at + 128, 1, 8);
      put(file, at + 136, 2, 8);
    }
    put(file, at + 144, page == 0 ? 1 : 5, 8);
    put(file, at + 152, page, 8);
  }
  auto leaf = [&](size_t page, const char* key, const uint8_t* data, size_t size, uint16_t flags) {
    const size_t base = page * kPage;
    const size_t node = kPage - 8 - 1 - size;
    put(file, base + 18, 2, 2);
    put(file, base + 20, 2, 2);
    put(file, base + 22, node - 24, 2);
    put(file, base + 24, node - 24, 2);
    put(file, base + node, size, 4);
    put(file, base + node + 4, flags, 2);
    put(file, base + node + 6, 1, 2);
    file[base + node + 8] = static_cast<uint8_t>(key[0]);
    std::memcpy(file.data() + base + node + 9, data, size);
  };
  uint8_t record[48] = {};
  const uint64_t fields[] = {1, 2, 0, 2, 3};
  record[6] = 2;
  std::memcpy(record + 8, fields, sizeof fields);
  leaf(2, "t", record, sizeof record, 2);
  const size_t branch = 3 * kPage;
  put(file, branch + 18, 1, 2);
  put(file, branch + 20, 4, 2);
  put(file, branch + 22, 4000, 2);
  put(file, branch + 24, 4000, 2);
  put(file, branch + 26, 4020, 2);
  put(file, branch + 24 + 4000, 4, 4);
  put(file, branch + 24 + 4020, 5, 4);
  put(file, branch + 24 + 4026, 1, 2);
  file[branch + 24 + 4028] = 'm';
  const uint8_t value[] = {1, 2, 3};
  leaf(4, "a", value, sizeof value, 0);
  leaf(5, "m", value, sizeof value, 0);
  return file;
}

std::vector<std::string> problems_of(const std::vector<uint8_t>& file) {
  const int fd = memfd_create("index", MFD_CLOEXEC);
  if (fd < 0 || write(fd, file.data(), file.size()) != static_cast<ssize_t>(file.size())) std::abort();
  std::vector<std::string> problems;
  const index::Tables tables = {{"t", 1}};
  if (index::check("/proc/self/fd/" + std::to_string(fd), tables, true, problems)) std::abort();
  close(fd);
  return problems;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const std::vector<uint8_t> good = [] {
    auto file = whole();
    for (const auto& problem : problems_of(file)) {
      std::fprintf(stderr, "the whole index has a problem: %s\n", problem.c_str());
      std::abort();
    }
    return file;
  }();
  if (size == 0) return 0;
  if (data[0] & 1) {
    (void)problems_of({data + 1, data + size});
    return 0;
  }
  auto file = good;
  for (size_t at = 1; at + 4 <= size; at += 4) {
    const size_t place = (data[at + 2] % 6) * kPage + (data[at] | (data[at + 1] << 8)) % kPage;
    file[place] = data[at + 3];
  }
  (void)problems_of(file);
  return 0;
}
