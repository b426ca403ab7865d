// Node-API face of native/chunk: content-defined chunking.
#include "chunk/fastcdc.h"
#include "common/loop.h"

namespace tvix {

namespace {

Napi::Value chunk_lengths(const Napi::CallbackInfo& info) {
  ByteView bytes = bytes_of(info[0]);
  chunk::Params params(info[1].ToNumber().Uint32Value());
  std::vector<uint32_t> lengths;
  for (size_t at = 0; at < bytes.size;) {
    size_t length = chunk::cut(params, bytes.data + at, bytes.size - at);
    lengths.push_back(static_cast<uint32_t>(length));
    at += length;
  }
  return new_array(info.Env(), lengths);
}

class Chunker : public Napi::ObjectWrap<Chunker> {
 public:
  static void define(Napi::Env env, Napi::Object exports) {
    exports.Set("Chunker", DefineClass(env, "Chunker",
                                       {InstanceMethod<&Chunker::push>("push"), InstanceMethod<&Chunker::end>("end")}));
  }
  explicit Chunker(const Napi::CallbackInfo& info)
      : ObjectWrap(info), chunks_(chunk::Params(info[0].ToNumber().Uint32Value())) {}

 private:
  Napi::Value push(const Napi::CallbackInfo& info) {
    ByteView bytes = bytes_of(info[0]);
    std::vector<uint32_t> lengths;
    chunks_.push(bytes.data, bytes.size, lengths);
    return new_array(info.Env(), lengths);
  }
  Napi::Value end(const Napi::CallbackInfo& info) {
    std::vector<uint32_t> lengths;
    chunks_.end(lengths);
    return new_array(info.Env(), lengths);
  }

  chunk::Chunks chunks_;
};

}  // namespace

void init_chunk(Napi::Env env, Napi::Object exports) {
  exports.Set("chunkLengths", Napi::Function::New<chunk_lengths>(env));
  Chunker::define(env, exports);
}

}  // namespace tvix
