// The walk over an index file: see check.h.
#include "index/check.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <functional>
#include <optional>
#include <string_view>
#include <tuple>

namespace tvix::index {

namespace {

constexpr uint32_t kMagic = 0xbeefc0de;
constexpr uint32_t kDataVersion = 2;
constexpr size_t kHeader = 24;
constexpr size_t kNode = 8;
constexpr size_t kRecord = 48;
constexpr uint64_t kNoPage = ~uint64_t{0};
constexpr uint64_t kMostPages = uint64_t{1} << 31;
constexpr int kAttempts = 20;
enum PageFlags : uint16_t { kBranch = 1, kLeaf = 2, kOverflow = 4, kMeta = 8 };
enum NodeFlags : uint16_t { kBigData = 1, kSubData = 2 };
constexpr uint16_t kIntegerKeys = 8;

template <class T>
T load(const uint8_t* at) {
  T value;
  std::memcpy(&value, at, sizeof value);
  return value;
}

struct Tree {
  uint16_t flags, depth;
  uint64_t branches, leaves, overflows, entries, root;
};

Tree tree_of(const uint8_t* at) {
  return {load<uint16_t>(at + 4),  load<uint16_t>(at + 6),  load<uint64_t>(at + 8), load<uint64_t>(at + 16),
          load<uint64_t>(at + 24), load<uint64_t>(at + 32), load<uint64_t>(at + 40)};
}

struct Meta {
  uint32_t page_size;
  Tree free, main;
  uint64_t last_page, transaction;
};

struct Node {
  std::string_view key, data;
  uint16_t flags;
  uint64_t child;
};

// A damage, on its way to whoever goes on after it.
using Problem = std::optional<std::string>;
using MetaBytes = std::array<uint8_t, 512>;

std::string page_name(uint64_t number) { return "page " + std::to_string(number); }

class Walk {
 public:
  Walk(int fd, const Tables& tables, bool strict, std::vector<std::string>& problems)
      : fd_(fd), tables_(tables), strict_(strict), problems_(problems) {}

  // The two meta pages as they are now; for telling whether a transaction came between.
  std::array<MetaBytes, 2> meta_bytes() const {
    std::array<MetaBytes, 2> out{};
    (void)read(out[0].data(), out[0].size(), 0);
    const uint32_t page_size = load<uint32_t>(out[0].data() + 48);
    if (sane_size(page_size)) (void)read(out[1].data(), out[1].size(), page_size);
    return out;
  }

  void run() {
    const auto bytes = meta_bytes();
    Meta metas[2];
    for (int i = 0; i < 2; i++) {
      if (Problem problem = parse_meta(bytes[i].data(), i, metas[i])) return report("the meta pages", problem);
    }
    const bool second_newer = metas[0].transaction <= metas[1].transaction;
    const Meta& newer = metas[second_newer];
    if (Problem problem = compare(newer, metas[!second_newer], second_newer)) return report("the meta pages", problem);
    page_size_ = newer.page_size;
    last_page_ = newer.last_page;
    met_.assign(last_page_ + 1, false);
    met_[0] = met_[1] = true;
    walk(newer);
  }

 private:
  static bool sane_size(uint32_t size) { return size >= 512 && size <= 65536 && (size & (size - 1)) == 0; }

  void report(const std::string& what, const Problem& problem) {
    if (problem) problems_.push_back(what + ": " + *problem);
  }

  bool read(uint8_t* out, size_t size, uint64_t offset) const {
    while (size > 0) {
      const ssize_t n = pread(fd_, out, size, static_cast<off_t>(offset));
      if (n < 0 && errno == EINTR) continue;
      if (n <= 0) return false;
      out += n;
      offset += static_cast<uint64_t>(n);
      size -= static_cast<size_t>(n);
    }
    return true;
  }

  static Problem parse_meta(const uint8_t* bytes, uint64_t number, Meta& out) {
    const std::string name = page_name(number);
    if (load<uint64_t>(bytes) != number || load<uint16_t>(bytes + 18) != kMeta) return name + " is no meta page";
    if (load<uint32_t>(bytes + 24) != kMagic || load<uint32_t>(bytes + 28) != kDataVersion)
      return name + " is of another program or version";
    const uint64_t map_size = load<uint64_t>(bytes + 40);
    out = {load<uint32_t>(bytes + 48), tree_of(bytes + 48), tree_of(bytes + 96), load<uint64_t>(bytes + 144),
           load<uint64_t>(bytes + 152)};
    if (!sane_size(out.page_size)) return name + " gives a page size of " + std::to_string(out.page_size);
    if (map_size % out.page_size != 0 || map_size > (uint64_t{1} << 47))
      return name + " gives " + std::to_string(map_size) + " bytes of address space";
    if (out.last_page < 1 || out.last_page > kMostPages)
      return name + " gives " + std::to_string(out.last_page) + " as the last page";
    if (out.free.flags != kIntegerKeys || out.main.flags != 0) return name + " has odd flags";
    return {};
  }

  static Problem compare(const Meta& newer, const Meta& older, bool second_newer) {
    if (newer.page_size != older.page_size) return "they give different page sizes";
    if (newer.transaction - older.transaction > 1) return "they are not of transactions in sequence";
    if (newer.transaction > 1 && second_newer != ((newer.transaction & 1) == 1)) return "they are swapped";
    if (older.last_page > newer.last_page) return "the older has more pages than the newer";
    return {};
  }

  using Visit = std::function<Problem(const Node&, std::string_view data)>;

  void walk(const Meta& meta) {
    const std::string free_name = "the table of free pages";
    std::vector<int64_t> free;
    report(free_name, descend_all(meta.free, [&](const Node&, std::string_view data) -> Problem {
             for (size_t at = 8; at + 8 <= data.size(); at += 8)
               free.push_back(load<int64_t>(reinterpret_cast<const uint8_t*>(data.data()) + at));
             return {};
           }));
    report("the table of tables",
           descend_all(meta.main, [&](const Node& node, std::string_view data) { return table(node, data); }));
    for (const int64_t page : free) {
      // Lengths of runs are negative, and places already used are 0.
      if (page <= 0) continue;
      if (static_cast<uint64_t>(page) > last_page_) return report(free_name, page_name(page) + " is beyond the last");
      if (met_[page]) return report(free_name, page_name(page) + " is in use");
    }
  }

  Problem table(const Node& node, std::string_view data) {
    std::string_view name = node.key;
    if (!name.empty() && name.back() == '\0') name.remove_suffix(1);
    const auto known = tables_.find(name);
    if (known == tables_.end() && strict_) return "an unknown table " + quoted(name);
    const std::string title = "table " + quoted(name);
    if (node.flags != kSubData || data.size() != kRecord) return "the record of " + title + " is malformed";
    const Tree tree = tree_of(reinterpret_cast<const uint8_t*>(data.data()));
    if (tree.flags != 0) return title + " has flags " + std::to_string(tree.flags);
    const uint32_t key_length = known == tables_.end() ? 0 : known->second;
    report(title, descend_all(tree, [key_length](const Node& entry, std::string_view) -> Problem {
             if (key_length == 0 || entry.key.size() == key_length) return {};
             return "it has a key of " + std::to_string(entry.key.size()) + " bytes";
           }));
    return {};
  }

  struct Counts {
    uint64_t branches = 0, leaves = 0, overflows = 0, entries = 0;
  };
  struct Bounds {
    const std::string_view* low;
    const std::string_view* high;
  };

  // Walks one tree and compares its counts.
  Problem descend_all(const Tree& tree, const Visit& visit) {
    if (tree.root == kNoPage) {
      if (tree.entries != 0 || tree.depth != 0) return "it is not empty and has no root";
      return {};
    }
    if (tree.depth < 1 || tree.depth > 32) return "it has depth " + std::to_string(tree.depth);
    Counts counts;
    if (Problem problem = descend(tree, tree.root, 1, {nullptr, nullptr}, counts, visit)) return problem;
    const std::array<std::tuple<const char*, uint64_t, uint64_t>, 4> both = {{
        {"branches", counts.branches, tree.branches},
        {"leaves", counts.leaves, tree.leaves},
        {"overflows", counts.overflows, tree.overflows},
        {"entries", counts.entries, tree.entries},
    }};
    for (const auto& [name, found, said] : both) {
      if (found != said)
        return std::to_string(found) + " " + name + " were found, its record says " + std::to_string(said);
    }
    return {};
  }

  Problem descend(const Tree& tree, uint64_t number, uint32_t depth, Bounds bounds, Counts& counts,
                  const Visit& visit) {
    std::vector<uint8_t> page;
    std::vector<Node> nodes;
    const bool leaf = depth == tree.depth;
    if (Problem problem = read_page(number, leaf ? kLeaf : kBranch, page)) return problem;
    if (Problem problem = parse_nodes(page, number, leaf, nodes)) return problem;
    // Keys of the free table are numbers in the machine's order.
    if (!leaf || tree.flags != kIntegerKeys) {
      if (Problem problem = check_order(nodes, leaf ? 0 : 1, bounds, number)) return problem;
    }
    if (leaf) return visit_leaf(nodes, counts, visit);
    counts.branches++;
    if (nodes.size() < 2) return "branch " + page_name(number) + " has fewer than two children";
    for (size_t i = 0; i < nodes.size(); i++) {
      const Bounds inner = {i == 0 ? bounds.low : &nodes[i].key,
                            i + 1 < nodes.size() ? &nodes[i + 1].key : bounds.high};
      const bool numbers = tree.flags == kIntegerKeys;
      const Bounds none = {nullptr, nullptr};
      if (Problem problem = descend(tree, nodes[i].child, depth + 1, numbers ? none : inner, counts, visit))
        return problem;
    }
    return {};
  }

  Problem visit_leaf(const std::vector<Node>& nodes, Counts& counts, const Visit& visit) {
    counts.leaves++;
    counts.entries += nodes.size();
    std::vector<uint8_t> big;
    for (const Node& node : nodes) {
      std::string_view data = node.data;
      if (node.flags & kBigData) {
        if (Problem problem = read_overflow(node.data, counts, big)) return problem;
        data = {reinterpret_cast<const char*>(big.data()), big.size()};
      }
      if (Problem problem = visit(node, data)) return problem;
    }
    return {};
  }

  // No page serves twice; that also ends every walk.
  Problem meet(uint64_t number) {
    if (met_[number]) return page_name(number) + " is used twice";
    met_[number] = true;
    return {};
  }

  Problem read_page(uint64_t number, uint16_t flags, std::vector<uint8_t>& page) {
    if (number < 2 || number > last_page_) return page_name(number) + " does not exist";
    if (Problem problem = meet(number)) return problem;
    page.resize(page_size_);
    if (!read(page.data(), page.size(), number * page_size_))
      return page_name(number) + " is beyond the end of the file";
    if (load<uint64_t>(page.data()) != number) return page_name(number) + " bears another number";
    if (load<uint16_t>(page.data() + 18) != flags) return page_name(number) + " is of another kind";
    return {};
  }

  Problem parse_nodes(const std::vector<uint8_t>& page, uint64_t number, bool leaf, std::vector<Node>& out) const {
    const size_t lower = load<uint16_t>(page.data() + 20);
    const size_t upper = load<uint16_t>(page.data() + 22);
    if (lower % 2 != 0 || lower > upper || upper > page_size_ - kHeader)
      return page_name(number) + " has impossible bounds";
    out.reserve(lower / 2);
    for (size_t i = 0; i < lower / 2; i++) {
      const size_t at = kHeader + load<uint16_t>(page.data() + kHeader + 2 * i);
      if (at < kHeader + upper || at + kNode > page.size()) return page_name(number) + " points outside itself";
      const uint8_t* node = page.data() + at;
      const uint16_t flags = load<uint16_t>(node + 4);
      const uint32_t low = load<uint32_t>(node);
      const size_t key_size = load<uint16_t>(node + 6);
      const size_t stored = !leaf ? 0 : flags & kBigData ? 24 : low;
      if (at + kNode + key_size + stored > page.size())
        return "a node of " + page_name(number) + " is longer than the page";
      if (leaf && (flags & ~(kBigData | kSubData)) != 0) return "a node of " + page_name(number) + " has odd flags";
      const char* key = reinterpret_cast<const char*>(node + kNode);
      out.push_back({{key, key_size}, {key + key_size, stored}, flags, low + (uint64_t{flags} << 32)});
    }
    return {};
  }

  static Problem check_order(const std::vector<Node>& nodes, size_t first, Bounds bounds, uint64_t number) {
    const std::string_view* last = bounds.low;
    for (size_t i = first; i < nodes.size(); i++) {
      const int order = last ? last->compare(nodes[i].key) : -1;
      if (order > 0 || (order == 0 && i > first)) return "the keys of " + page_name(number) + " do not ascend";
      last = &nodes[i].key;
    }
    if (last && bounds.high && last->compare(*bounds.high) >= 0)
      return "the keys of " + page_name(number) + " are beyond its range";
    return {};
  }

  // The value in the overflow pages that a node refers to.
  Problem read_overflow(std::string_view reference, Counts& counts, std::vector<uint8_t>& value) {
    const uint8_t* bytes = reinterpret_cast<const uint8_t*>(reference.data());
    const uint64_t number = load<uint64_t>(bytes);
    std::vector<uint8_t> first;
    if (Problem problem = read_page(number, kOverflow, first)) return problem;
    const uint64_t count = load<uint32_t>(first.data() + 20);
    if (count != load<uint64_t>(bytes + 16)) return "overflow " + page_name(number) + " has another length";
    if (count < 1 || number + count - 1 > last_page_)
      return "overflow " + page_name(number) + " is longer than the file";
    for (uint64_t i = 1; i < count; i++) {
      if (Problem problem = meet(number + i)) return problem;
    }
    counts.overflows += count;
    value.assign(count * page_size_ - kHeader, 0);
    if (!read(value.data(), value.size(), number * page_size_ + kHeader))
      return "overflow " + page_name(number) + " is beyond the end of the file";
    return {};
  }

  const int fd_;
  const Tables& tables_;
  const bool strict_;
  std::vector<std::string>& problems_;
  uint64_t page_size_ = 0;
  uint64_t last_page_ = 0;
  std::vector<bool> met_;
};

}  // namespace

Failure check(const std::string& path, const Tables& tables, bool strict, std::vector<std::string>& problems) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) {
    if (errno == ENOENT) return {};
    return {"ERR_STORE_IO", "cannot read " + quoted(path) + ": " + errno_text(errno)};
  }
  uint8_t byte;
  // An empty file: nothing was ever committed.
  for (int attempt = 0; pread(fd, &byte, 1, 0) == 1 && attempt < kAttempts; attempt++) {
    std::vector<std::string> found;
    Walk walk(fd, tables, strict, found);
    const auto before = walk.meta_bytes();
    walk.run();
    if (found.empty()) break;
    // Pages that a transaction let go of are written again by those after it: what was seen may be of several.
    if (walk.meta_bytes() != before) continue;
    problems.insert(problems.end(), found.begin(), found.end());
    break;
  }
  close(fd);
  return {};
}

}  // namespace tvix::index
