// Node-API face of native/blake3; lib/native/blake3.ts checks arguments and documents the functions.
#include <napi.h>

#include "blake3/blake3.h"
#include "common/hash_binding.h"
#include "common/js.h"

namespace tvix {
namespace {

using blake3::Digest;

void hash(const Napi::CallbackInfo& info) {
  const js::Bytes input = js::bytes(info[0]);
  Digest out;
  blake3::hash(input.data, input.size, out.data());
  js::give(info[1], out);
}

Napi::Value hash_async(const Napi::CallbackInfo& info) {
  const js::Bytes input = js::bytes(info[0]);
  const unsigned threads = info[1].As<Napi::Number>().Uint32Value();
  return js::in_background(
      info.Env(), info[0],
      [input, threads] {
        Digest out;
        blake3::hash_parallel(input.data, input.size, threads, out.data());
        return out;
      },
      js::digest);
}

// Resolves to [error, text of the error, size, digest].
Napi::Value hash_file(const Napi::CallbackInfo& info) {
  const js::Bytes path = js::bytes(info[0]);
  const unsigned threads = info[1].As<Napi::Number>().Uint32Value();
  return js::in_background(
      info.Env(), info.Env().Undefined(),
      [path = std::string(reinterpret_cast<const char*>(path.data), path.size), threads] {
        return blake3::hash_file(path.c_str(), threads);
      },
      [](Napi::Env env, const blake3::FileResult& result) {
        return js::file_result(env, result.error, result.size, result.digest);
      });
}

// Digests of many blobs, back to back in one array.
Napi::Value hash_blobs(const Napi::CallbackInfo& info) {
  const auto list = info[0].As<Napi::Array>();
  std::vector<blake3::Blob> blobs(list.Length());
  for (uint32_t i = 0; i < blobs.size(); i++) {
    const js::Bytes input = js::bytes(list.Get(i));
    blobs[i] = {input.data, input.size};
  }
  std::vector<Digest> digests(blobs.size());
  blake3::hash_blobs(blobs.data(), blobs.size(), digests.data());
  Napi::Uint8Array out = Napi::Uint8Array::New(info.Env(), 32 * digests.size());
  if (!out.Data()) return out;
  for (size_t i = 0; i < digests.size(); i++) std::copy(digests[i].begin(), digests[i].end(), out.Data() + 32 * i);
  return out;
}

// Chaining values of the groups of input into an array that has room for them.
void hash_groups(const Napi::CallbackInfo& info) {
  const js::Bytes input = js::bytes(info[0]);
  const auto first = static_cast<uint64_t>(info[1].As<Napi::Number>().Int64Value());
  blake3::groups(input.data, input.size, first, info[2].As<Napi::Uint8Array>().Data());
}

void hash_parent(const Napi::CallbackInfo& info) {
  Digest out;
  blake3::parent(js::bytes(info[0]).data, info[1].As<Napi::Boolean>().Value(), out.data());
  js::give(info[2], out);
}

}  // namespace

void init_blake3(Napi::Env env, Napi::Object exports) {
  exports.Set("blake3", Napi::Function::New<hash>(env, "blake3"));
  exports.Set("blake3Async", Napi::Function::New<hash_async>(env, "blake3Async"));
  exports.Set("blake3File", Napi::Function::New<hash_file>(env, "blake3File"));
  exports.Set("blake3Blobs", Napi::Function::New<hash_blobs>(env, "blake3Blobs"));
  exports.Set("blake3Groups", Napi::Function::New<hash_groups>(env, "blake3Groups"));
  exports.Set("blake3Parent", Napi::Function::New<hash_parent>(env, "blake3Parent"));
  exports.Set("blake3Implementations",
              Napi::Function::New<js::list_implementations<blake3::implementations>>(env, "blake3Implementations"));
  exports.Set("blake3Implementation",
              Napi::Function::New<js::current_implementation<blake3::implementation>>(env, "blake3Implementation"));
  exports.Set("blake3Force", Napi::Function::New<js::force_implementation<blake3::force>>(env, "blake3Force"));
  exports.Set("Blake3", js::Hasher<blake3::Hasher>::define(env, "Blake3"));
}

}  // namespace tvix
