// Node-API face of native/sha256; lib/native/sha256.ts checks arguments and documents the functions.
#include <napi.h>

#include "common/hash_binding.h"
#include "common/js.h"
#include "sha256/sha256.h"

namespace tvix {
namespace {

using sha256::Digest;

void hash(const Napi::CallbackInfo& info) {
  const js::Bytes input = js::bytes(info[0]);
  Digest out;
  sha256::hash(input.data, input.size, out.data());
  js::give(info[1], out);
}

Napi::Value hash_async(const Napi::CallbackInfo& info) {
  const js::Bytes input = js::bytes(info[0]);
  return js::in_background(
      info.Env(), info[0],
      [input] {
        Digest out;
        sha256::hash(input.data, input.size, out.data());
        return out;
      },
      js::digest);
}

// Resolves to [error, text of the error, size, digest].
Napi::Value hash_file(const Napi::CallbackInfo& info) {
  const js::Bytes path = js::bytes(info[0]);
  return js::in_background(
      info.Env(), info.Env().Undefined(),
      [path = std::string(reinterpret_cast<const char*>(path.data), path.size)] {
        return sha256::hash_file(path.c_str());
      },
      [](Napi::Env env, const sha256::FileResult& result) {
        return js::file_result(env, result.error, result.size, result.digest);
      });
}

}  // namespace

void init_sha256(Napi::Env env, Napi::Object exports) {
  exports.Set("sha256", Napi::Function::New<hash>(env, "sha256"));
  exports.Set("sha256Async", Napi::Function::New<hash_async>(env, "sha256Async"));
  exports.Set("sha256File", Napi::Function::New<hash_file>(env, "sha256File"));
  exports.Set("sha256Implementations",
              Napi::Function::New<js::list_implementations<sha256::implementations>>(env, "sha256Implementations"));
  exports.Set("sha256Implementation",
              Napi::Function::New<js::current_implementation<sha256::implementation>>(env, "sha256Implementation"));
  exports.Set("sha256Force", Napi::Function::New<js::force_implementation<sha256::force>>(env, "sha256Force"));
  exports.Set("Sha256", js::Hasher<sha256::Hasher>::define(env, "Sha256"));
}

}  // namespace tvix
