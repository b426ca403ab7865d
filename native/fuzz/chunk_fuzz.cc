// FastCDC: cutting at once, in pieces, and by the definition agree; chunks keep their bounds.
//
// The fuzzer's bytes are the contents, repeated to a length it chooses, and the lengths of the pieces.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "chunk/fastcdc.h"
#include "chunk/gear.h"

using namespace tvix::chunk;

namespace {

void require(bool condition, const char* what) {
  if (condition) return;
  std::fprintf(stderr, "wrong: %s\n", what);
  std::abort();
}

size_t by_definition(const Params& params, const uint8_t* data, size_t size) {
  if (size <= params.min) return size;
  size = std::min<size_t>(size, params.max);
  uint64_t hash = 0;
  for (size_t i = params.min; i < size / 2 * 2; i++) {
    hash = 2 * hash + kGear[data[i]];
    const uint64_t mask = i < std::min<size_t>(size / 2 * 2, params.average) ? params.strict_mask : params.loose_mask;
    if ((hash & mask) == 0) return i;
  }
  return size;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 6) return 0;
  const Params params(1024 + 4 * data[0]);
  const size_t length = data[1] | data[2] << 8;
  const size_t piece = 1 + (data[3] | (data[4] & 15) << 8);
  // Exactly as large as the contents, so that a read beyond their end is seen.
  std::vector<uint8_t> blob(length);
  for (size_t i = 0; i < length; i++)
    blob[i] = static_cast<uint8_t>(data[5 + i % (size - 5)] + (data[4] & 16 ? i / 97 : 0));
  std::vector<uint32_t> expected;
  for (size_t at = 0; at < length;) {
    const size_t cut_at = cut(params, blob.data() + at, length - at);
    require(cut_at == by_definition(params, blob.data() + at, length - at), "cut as defined");
    require(cut_at <= params.max && (cut_at >= params.min || at + cut_at == length), "bounds");
    expected.push_back(static_cast<uint32_t>(cut_at));
    at += cut_at;
  }
  Chunks chunks(params);
  std::vector<uint32_t> lengths;
  for (size_t at = 0; at < length; at += piece) chunks.push(blob.data() + at, std::min(piece, length - at), lengths);
  chunks.end(lengths);
  require(lengths == expected, "pieces do not matter");
  return 0;
}
