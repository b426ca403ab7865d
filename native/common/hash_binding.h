// What the Node-API faces of the two hashes share: the incremental hasher, and the choice of an implementation.
#pragma once

#include <napi.h>

#include "common/bytes.h"
#include "common/js.h"

namespace tvix::js {

// A hash state as a JavaScript object; `State` has update, finish and assignment.
template <class State>
class Hasher : public Napi::ObjectWrap<Hasher<State>> {
  using Base = Napi::ObjectWrap<Hasher<State>>;

 public:
  static Napi::Function define(Napi::Env env, const char* name) {
    return Base::DefineClass(env, name,
                             {Base::template InstanceMethod<&Hasher::update>("update"),
                              Base::template InstanceMethod<&Hasher::digest>("digest"),
                              Base::template InstanceMethod<&Hasher::assign>("assign")});
  }
  explicit Hasher(const Napi::CallbackInfo& info) : Base(info) {}

 private:
  void update(const Napi::CallbackInfo& info) {
    const Bytes input = bytes(info[0]);
    state_.update(input.data, input.size);
  }
  void digest(const Napi::CallbackInfo& info) {
    std::array<uint8_t, 32> out;
    state_.finish(out.data());
    give(info[0], out);
  }
  // Takes over another hasher's state. Only lib/native calls this, with a hasher of its own making.
  void assign(const Napi::CallbackInfo& info) { state_ = Base::Unwrap(info[0].As<Napi::Object>())->state_; }

  State state_;
};

template <auto List>
Napi::Value list_implementations(const Napi::CallbackInfo& info) {
  return names(info.Env(), List());
}

template <auto Current>
Napi::Value current_implementation(const Napi::CallbackInfo& info) {
  return Napi::String::New(info.Env(), Current());
}

template <auto Force>
Napi::Value force_implementation(const Napi::CallbackInfo& info) {
  return Napi::Boolean::New(info.Env(), Force(info[0].As<Napi::String>().Utf8Value()));
}

}  // namespace tvix::js
