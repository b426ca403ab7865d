// Tests of native/nar: writing and reading are inverse, listings are checked, rehearsed sizes are right.
#include <doctest/doctest.h>

#include <random>

#include "nar/reader.h"
#include "nar/tree.h"
#include "nar/writer.h"

using namespace tvix;

namespace {

// Events as text, to compare what went in with what came out.
class Log : public nar::ByteSink {
 public:
  std::string text;
  Failure begin_directory() override { return add("{"); }
  Failure entry(std::string_view name) override { return add(std::string(name).append(":")); }
  Failure end_directory() override { return add("}"); }
  Failure symlink(std::string_view target) override { return add(std::string("->").append(target).append(";")); }
  Failure begin_file(bool executable, uint64_t size) override {
    return add(std::string(1, executable ? 'x' : 'f').append(std::to_string(size)).append("="));
  }
  Failure data(const uint8_t* bytes, size_t size) override {
    return add(std::string(reinterpret_cast<const char*>(bytes), size));
  }
  Failure end_file() override { return add(";"); }

 private:
  Failure add(const std::string& more) {
    text += more;
    return {};
  }
};

void write_random(std::mt19937& random, nar::Writer& writer, std::vector<uint8_t>& out, std::string& log, int depth) {
  switch (random() % (depth < 4 ? 4 : 3)) {
    case 0: {
      std::string contents(random() % 40, 'c');
      writer.begin_file(false, contents.size());
      out.insert(out.end(), contents.begin(), contents.end());
      writer.end_file();
      log.append("f").append(std::to_string(contents.size())).append("=").append(contents).append(";");
      return;
    }
    case 1:
      writer.begin_file(true, 0);
      writer.end_file();
      log += "x0=;";
      return;
    case 2: {
      std::string target(1 + random() % 30, 't');
      writer.symlink(target);
      log.append("->").append(target).append(";");
      return;
    }
    default:
      writer.begin_directory();
      log += "{";
      for (char name = 'a'; name < 'a' + static_cast<char>(random() % 5); name++) {
        writer.entry({&name, 1});
        log.append(1, name).append(":");
        write_random(random, writer, out, log, depth + 1);
      }
      writer.end_directory();
      log += "}";
  }
}

}  // namespace

TEST_CASE("nar: what is written is read back, in pieces of any size") {
  std::mt19937 random(7);
  for (int round = 0; round < 500; round++) {
    std::vector<uint8_t> bytes;
    nar::Writer writer(bytes);
    std::string expected;
    write_random(random, writer, bytes, expected, 0);
    CHECK(bytes.size() % 8 == 0);
    Log log;
    nar::Reader reader(log);
    for (size_t at = 0; at < bytes.size();) {
      size_t step = std::min<size_t>(bytes.size() - at, 1 + random() % 50);
      REQUIRE_FALSE(reader.push(bytes.data() + at, step));
      at += step;
    }
    CHECK_FALSE(reader.end());
    CHECK(reader.position() == bytes.size());
    CHECK(log.text == expected);
  }
}

TEST_CASE("nar: a failure stays") {
  Log log;
  nar::Reader reader(log);
  const uint8_t bad[8] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
  Failure first = reader.push(bad, 8);
  CHECK(std::string(first.code) == "ERR_NAR_BAD_MAGIC");
  CHECK(reader.push(bad, 1).message == first.message);
  CHECK(reader.end().message == first.message);
}

TEST_CASE("nar: listings are checked") {
  nar::ListingBuilder builder;
  builder.begin_directory();
  builder.entry("a");
  builder.begin_directory();
  builder.entry("x");
  builder.symlink("t");
  builder.end_directory();
  builder.entry("b");
  builder.file(true, 5);
  builder.end_directory();
  const nar::Listing good = builder.take();
  CHECK(good.valid());
  CHECK(good.name(1) == "a");
  CHECK(good.target(2) == "t");
  CHECK(good.sizes == std::vector<double>{2, 1, 1, 5});
  auto spoiled = [&](auto change) {
    nar::Listing listing = good;
    change(listing);
    return listing.valid();
  };
  CHECK_FALSE(spoiled([](auto& l) { l.kinds.clear(); }));
  CHECK_FALSE(spoiled([](auto& l) { l.parents[0] = 0; }));
  CHECK_FALSE(spoiled([](auto& l) { l.parents[3] = 3; }));
  CHECK_FALSE(spoiled([](auto& l) { l.parents[3] = 2; }));
  CHECK_FALSE(spoiled([](auto& l) { l.kinds[3] = 7; }));
  CHECK_FALSE(spoiled([](auto& l) { l.ends.back() = 1000; }));
  CHECK_FALSE(spoiled([](auto& l) { l.ends[2] = 0; }));
  CHECK_FALSE(spoiled([](auto& l) { l.text[0] = '/'; }));
  CHECK_FALSE(spoiled([](auto& l) { l.text[0] = '.'; }));
  CHECK_FALSE(spoiled([](auto& l) { l.text[0] = 'c'; }));
  CHECK_FALSE(spoiled([](auto& l) { l.text[2] = 0; }));
}

TEST_CASE("nar: bytes in messages are made safe") {
  CHECK(quoted("plain \xc3\xa9") == "'plain \xc3\xa9'");
  CHECK(quoted("\xff\n\xc3") == "'\\xff\\x0a\\xc3'");
  CHECK(quoted("\xed\xa0\x80") == "'\\xed\\xa0\\x80'");
  CHECK(quoted("\xf0\x9f\x98\x80") == "'\xf0\x9f\x98\x80'");
}
