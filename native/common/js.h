// Small pieces shared by bindings of hashes: bytes from JavaScript, digests to it, and work off the event loop.
//
// Arguments have been checked by lib/native before they come here; what is checked again is only what would be unsafe.
#pragma once

#include <napi.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "common/file.h"

namespace tvix::js {

struct Bytes {
  uint8_t* data;
  size_t size;
};

// The bytes of a Uint8Array argument; for anything else throws a TypeError in JavaScript and gives no bytes.
// One call of Node-API: for small inputs the calls cost more than the hashing.
inline Bytes bytes(const Napi::Value& value) {
  napi_typedarray_type type;
  void* data = nullptr;
  size_t size = 0;
  const napi_status status = napi_get_typedarray_info(value.Env(), value, &type, &size, &data, nullptr, nullptr);
  if (status == napi_ok && type == napi_uint8_array) return {static_cast<uint8_t*>(data), size};
  Napi::TypeError::New(value.Env(), "expected a Uint8Array").ThrowAsJavaScriptException();
  return {nullptr, 0};
}

// Writes a digest into a Uint8Array argument made for it: making one here costs several times as much as in JavaScript.
inline void give(const Napi::Value& out, const std::array<uint8_t, 32>& digest) {
  const Bytes to = bytes(out);
  if (to.size == digest.size()) std::copy(digest.begin(), digest.end(), to.data);
}

// A new Uint8Array with a buffer of its own.
inline Napi::Value digest(Napi::Env env, const std::array<uint8_t, 32>& digest) {
  Napi::Uint8Array out = Napi::Uint8Array::New(env, digest.size());
  if (out.Data()) std::copy(digest.begin(), digest.end(), out.Data());
  return out;
}

inline Napi::Value names(Napi::Env env, const std::vector<std::string>& list) {
  Napi::Array out = Napi::Array::New(env, list.size());
  for (size_t i = 0; i < list.size(); i++) out.Set(static_cast<uint32_t>(i), Napi::String::New(env, list[i]));
  return out;
}

// What a file's hashing came to: [error, the error in words, size, digest].
inline Napi::Value file_result(Napi::Env env, int error, uint64_t size, const std::array<uint8_t, 32>& hash) {
  std::string text;
  if (error == File::kChanged) text = "the file changed while it was read";
  if (error == File::kNotRegular) text = "not a regular file";
  if (error > 0) text = std::generic_category().message(error);
  Napi::Array out = Napi::Array::New(env, 4);
  out.Set(0u, Napi::Number::New(env, error));
  out.Set(1u, Napi::String::New(env, text));
  out.Set(2u, Napi::Number::New(env, static_cast<double>(size)));
  out.Set(3u, digest(env, hash));
  return out;
}

// Runs `work` in libuv's thread pool, then settles a promise with what `give` makes of its result. `keep` (a buffer the
// work reads, or undefined) is held until then.
template <class Work, class Give>
Napi::Value in_background(Napi::Env env, const Napi::Value& keep, Work work, Give give) {
  using Result = decltype(work());
  class Worker final : public Napi::AsyncWorker {
   public:
    Worker(Napi::Env env, Work work, Give give)
        : Napi::AsyncWorker(env), deferred_(env), work_(std::move(work)), give_(std::move(give)) {}
    void Execute() override { result_ = work_(); }
    void OnOK() override { deferred_.Resolve(give_(Env(), result_)); }
    void OnError(const Napi::Error& error) override { deferred_.Reject(error.Value()); }
    void keep(Napi::Object object) { kept_ = Napi::Persistent(object); }
    Napi::Promise promise() const { return deferred_.Promise(); }

   private:
    Napi::Promise::Deferred deferred_;
    Napi::ObjectReference kept_;
    Work work_;
    Give give_;
    Result result_{};
  };
  auto* worker = new Worker(env, std::move(work), std::move(give));
  if (keep.IsObject()) worker->keep(keep.As<Napi::Object>());
  const Napi::Promise promise = worker->promise();
  worker->Queue();
  return promise;
}

}  // namespace tvix::js
