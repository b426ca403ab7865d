// Node-API face of native/sha256; lib/native/sha256.ts checks arguments and documents the functions.
#include <napi.h>

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

Napi::Value implementations(const Napi::CallbackInfo& info) { return js::names(info.Env(), sha256::implementations()); }

Napi::Value implementation(const Napi::CallbackInfo& info) {
  return Napi::String::New(info.Env(), sha256::implementation());
}

Napi::Value force(const Napi::CallbackInfo& info) {
  return Napi::Boolean::New(info.Env(), sha256::force(info[0].As<Napi::String>().Utf8Value()));
}

class Hasher : public Napi::ObjectWrap<Hasher> {
 public:
  static Napi::Function define(Napi::Env env) {
    return DefineClass(env, "Sha256",
                       {InstanceMethod<&Hasher::update>("update"), InstanceMethod<&Hasher::digest>("digest"),
                        InstanceMethod<&Hasher::assign>("assign")});
  }
  explicit Hasher(const Napi::CallbackInfo& info) : Napi::ObjectWrap<Hasher>(info) {}

 private:
  void update(const Napi::CallbackInfo& info) {
    const js::Bytes input = js::bytes(info[0]);
    state_.update(input.data, input.size);
  }
  void digest(const Napi::CallbackInfo& info) {
    Digest out;
    state_.finish(out.data());
    js::give(info[0], out);
  }
  // Takes over another hasher's state. Only lib/native calls this, with a hasher of its own making.
  void assign(const Napi::CallbackInfo& info) { state_ = Unwrap(info[0].As<Napi::Object>())->state_; }

  sha256::Hasher state_;
};

}  // namespace

void init_sha256(Napi::Env env, Napi::Object exports) {
  exports.Set("sha256", Napi::Function::New<hash>(env, "sha256"));
  exports.Set("sha256Async", Napi::Function::New<hash_async>(env, "sha256Async"));
  exports.Set("sha256File", Napi::Function::New<hash_file>(env, "sha256File"));
  exports.Set("sha256Implementations", Napi::Function::New<implementations>(env, "sha256Implementations"));
  exports.Set("sha256Implementation", Napi::Function::New<implementation>(env, "sha256Implementation"));
  exports.Set("sha256Force", Napi::Function::New<force>(env, "sha256Force"));
  exports.Set("Sha256", Hasher::define(env));
}

}  // namespace tvix
