// Node-API face of native/nar: walks, hashing, packing, unpacking and rendering.
#include "nar/reader.h"
#include "nar/render.h"
#include "nar/stream.h"
#include "nar/unpack.h"
#include "nar/wrap.h"
#include "pack/wrap.h"
#include "sha256/sha256.h"

namespace tvix {

Napi::Value listing_object(Napi::Env env, const nar::Listing& listing) {
  Napi::Object out = Napi::Object::New(env);
  out.Set("kinds", new_array(env, listing.kinds));
  out.Set("parents", new_array(env, listing.parents));
  out.Set("sizes", new_array(env, listing.sizes));
  out.Set("ends", new_array(env, listing.ends));
  out.Set("text", new_array(env, listing.text));
  return out;
}

bool listing_of(const Napi::Value& value, nar::Listing& out) {
  auto object = value.As<Napi::Object>();
  out.kinds = vector_of<uint8_t>(object.Get("kinds"));
  out.parents = vector_of<uint32_t>(object.Get("parents"));
  out.sizes = vector_of<double>(object.Get("sizes"));
  out.ends = vector_of<uint32_t>(object.Get("ends"));
  out.text = vector_of<uint8_t>(object.Get("text"));
  if (out.valid()) return true;
  Napi::RangeError::New(value.Env(), "the listing is not a tree in NAR order").ThrowAsJavaScriptException();
  return false;
}

namespace {

Napi::Value digest_object(Napi::Env env, const nar::Digest& digest) {
  Napi::Object out = Napi::Object::New(env);
  out.Set("digest", new_bytes(env, digest.digest, 32));
  out.Set("size", static_cast<double>(digest.size));
  return out;
}

Napi::Value tree_walk(const Napi::CallbackInfo& info) {
  auto listing = std::make_shared<nar::Listing>();
  auto work = [path = string_of(info[0]), listing] { return nar::list(path, *listing); };
  return run_async(info.Env(), work, [listing](Napi::Env env) { return listing_object(env, *listing); });
}

Napi::Value nar_hash(const Napi::CallbackInfo& info) {
  auto digest = std::make_shared<nar::Digest>();
  auto work = [path = string_of(info[0]), digest] { return nar::hash_tree(path, *digest); };
  return run_async(info.Env(), work, [digest](Napi::Env env) { return digest_object(env, *digest); });
}

Napi::Value nar_pack(const Napi::CallbackInfo& info) {
  auto size = std::make_shared<uint64_t>(0);
  auto work = [path = string_of(info[0]), fd = info[1].ToNumber().Int32Value(), size] {
    return nar::write_tree(path, fd, *size);
  };
  return run_async(info.Env(), work,
                   [size](Napi::Env env) -> Napi::Value { return Napi::Number::New(env, static_cast<double>(*size)); });
}

Napi::Value nar_unpack_file(const Napi::CallbackInfo& info) {
  auto digest = std::make_shared<nar::Digest>();
  auto work = [fd = info[0].ToNumber().Int32Value(), target = string_of(info[1]), digest] {
    return nar::unpack(fd, target, *digest);
  };
  return run_async(info.Env(), work, [digest](Napi::Env env) { return digest_object(env, *digest); });
}

Failure busy() { return {"ERR_NAR_BUSY", "another call on this object has not finished yet"}; }

// What a pushed unpacking works on; shared with the thread pool.
struct Unpacking {
  nar::Unpacker unpacker;
  nar::Reader reader{unpacker};
  sha256::Hasher hasher;
  std::string target;
  bool opened = false;
  bool over = false;
  std::atomic<bool> busy = false;

  Failure push(const uint8_t* bytes, size_t size) {
    Failure failure = opened ? Failure{} : unpacker.open(target);
    opened = true;
    if (!failure) failure = reader.push(bytes, size);
    if (failure) {
      over = true;
      unpacker.abandon();
    } else {
      hasher.update(bytes, size);
    }
    return failure;
  }

  Failure end(nar::Digest& digest) {
    Failure failure = push(nullptr, 0);
    if (!failure) failure = reader.end();
    if (!failure) failure = unpacker.commit();
    over = true;
    unpacker.abandon();
    hasher.finish(digest.digest);
    digest.size = reader.position();
    return failure;
  }
};

class UnpackerWrap : public Napi::ObjectWrap<UnpackerWrap> {
 public:
  static Napi::Function define(Napi::Env env) {
    return DefineClass(env, "NarUnpacker",
                       {InstanceMethod<&UnpackerWrap::push>("push"), InstanceMethod<&UnpackerWrap::end>("end"),
                        InstanceMethod<&UnpackerWrap::close>("close")});
  }
  explicit UnpackerWrap(const Napi::CallbackInfo& info) : ObjectWrap(info), state_(std::make_shared<Unpacking>()) {
    state_->target = string_of(info[0]);
  }

 private:
  Napi::Value run(Napi::Env env, std::function<Failure(Unpacking&)> step, std::function<Napi::Value(Napi::Env)> done,
                  const std::vector<Napi::Object>& keep) {
    if (!state_) return throw_failure(env, {"ERR_NAR_CLOSED", "the unpacking was closed"});
    if (state_->busy.exchange(true)) return throw_failure(env, busy());
    auto work = [state = state_, step = std::move(step)] {
      Failure failure = state->over ? Failure{"ERR_NAR_CLOSED", "the unpacking is over"} : step(*state);
      state->busy = false;
      return failure;
    };
    return run_async(env, work, std::move(done), keep);
  }
  Napi::Value push(const Napi::CallbackInfo& info) {
    ByteView bytes = bytes_of(info[0]);
    return run(
        info.Env(), [bytes](Unpacking& state) { return state.push(bytes.data, bytes.size); },
        [](Napi::Env env) { return env.Undefined(); }, {info[0].As<Napi::Object>()});
  }
  Napi::Value end(const Napi::CallbackInfo& info) {
    auto digest = std::make_shared<nar::Digest>();
    return run(
        info.Env(), [digest](Unpacking& state) { return state.end(*digest); },
        [digest](Napi::Env env) { return digest_object(env, *digest); }, {});
  }
  // A call under way keeps the state; what it made goes when it is done.
  void close(const Napi::CallbackInfo&) { state_.reset(); }

  std::shared_ptr<Unpacking> state_;
};

class RenderWrap : public Napi::ObjectWrap<RenderWrap> {
 public:
  static Napi::Function define(Napi::Env env) {
    return DefineClass(env, "NativeRender",
                       {InstanceAccessor<&RenderWrap::size>("size"), InstanceMethod<&RenderWrap::next>("next"),
                        InstanceMethod<&RenderWrap::to_file>("toFile"), InstanceMethod<&RenderWrap::close>("close")});
  }
  explicit RenderWrap(const Napi::CallbackInfo& info) : ObjectWrap(info) {
    state_ = std::make_shared<State>(std::move(*info[0].As<Napi::External<nar::Plan>>().Data()));
  }

 private:
  struct State {
    nar::Render render;
    std::atomic<bool> busy = false;
    explicit State(nar::Plan plan) : render(std::move(plan)) {}
  };

  bool claim(Napi::Env env) {
    if (!state_) {
      throw_failure(env, {"ERR_NAR_CLOSED", "the rendering was closed"});
      return false;
    }
    if (!state_->busy.exchange(true)) return true;
    throw_failure(env, busy());
    return false;
  }
  Napi::Value size(const Napi::CallbackInfo& info) {
    return Napi::Number::New(info.Env(), state_ ? static_cast<double>(state_->render.size()) : 0);
  }
  Napi::Value next(const Napi::CallbackInfo& info) {
    if (!claim(info.Env())) return info.Env().Undefined();
    auto filled = std::make_shared<size_t>(0);
    ByteView into = bytes_of(info[0]);
    auto work = [state = state_, into, filled] {
      Failure failure = state->render.fill(into.data, into.size, *filled);
      state->busy = false;
      return failure;
    };
    auto done = [filled](Napi::Env env) -> Napi::Value { return Napi::Number::New(env, static_cast<double>(*filled)); };
    return run_async(info.Env(), work, done, {info[0].As<Napi::Object>()});
  }
  Napi::Value to_file(const Napi::CallbackInfo& info) {
    if (!claim(info.Env())) return info.Env().Undefined();
    auto work = [state = state_, fd = info[0].ToNumber().Int32Value()] {
      Failure failure = state->render.write(fd);
      state->busy = false;
      return failure;
    };
    return run_async(info.Env(), work, [](Napi::Env env) { return env.Undefined(); });
  }
  void close(const Napi::CallbackInfo&) { state_.reset(); }

  std::shared_ptr<State> state_;
};

Napi::Value nar_render(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  auto* render = static_cast<Napi::FunctionReference*>(info.Data());
  nar::Plan plan;
  if (!listing_of(info[0], plan.listing)) return env.Undefined();
  plan.counts = vector_of<uint32_t>(info[1]);
  plan.packs = vector_of<uint32_t>(info[2]);
  auto extents = info[3].As<Napi::Object>();
  if (!extents_of(env, extents.Get("offsets"), extents.Get("lengths"), extents.Get("digests"), plan.extents)) {
    return env.Undefined();
  }
  auto readers = info[4].As<Napi::Array>();
  for (uint32_t i = 0; i < readers.Length(); i++) {
    plan.readers.push_back(PackReaderWrap::of(readers.Get(i)));
    if (!plan.readers.back()) return throw_failure(env, {"ERR_PACK_CLOSED", "the pack is closed"});
  }
  if (const char* wrong = nar::Render::wrong(plan)) {
    Napi::RangeError::New(env, wrong).ThrowAsJavaScriptException();
    return env.Undefined();
  }
  return render->New({Napi::External<nar::Plan>::New(env, &plan)});
}

}  // namespace

void init_nar(Napi::Env env, Napi::Object exports) {
  // Never freed by us: a reference goes with its environment.
  auto* render = new Napi::FunctionReference(Napi::Persistent(RenderWrap::define(env)));
  exports.Set("treeWalk", Napi::Function::New<tree_walk>(env));
  exports.Set("narHash", Napi::Function::New<nar_hash>(env));
  exports.Set("narPack", Napi::Function::New<nar_pack>(env));
  exports.Set("narUnpackFile", Napi::Function::New<nar_unpack_file>(env));
  exports.Set("NarUnpacker", UnpackerWrap::define(env));
  exports.Set("narRender", Napi::Function::New(env, nar_render, "narRender", render));
}

}  // namespace tvix
