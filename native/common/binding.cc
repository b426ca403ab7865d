// What the bindings share: see common/loop.h.
#include <map>
#include <mutex>

#include "common/loop.h"

namespace tvix {

namespace {

std::mutex loops_mutex;
std::map<napi_env, std::shared_ptr<Loop>>& loops() {
  static auto* all = new std::map<napi_env, std::shared_ptr<Loop>>;  // outlives every thread that may still post
  return *all;
}

// Whether JavaScript can still run: not in a worker that is being terminated, where most calls fail.
bool alive(napi_env env) {
  napi_value probe;
  if (napi_create_object(env, &probe) != napi_ok) return false;
  return napi_set_named_property(env, probe, "alive", probe) == napi_ok;
}

void call_posted(napi_env env, napi_value, void*, void* data) {
  std::unique_ptr<std::function<void(Napi::Env)>> closure(static_cast<std::function<void(Napi::Env)>*>(data));
  if (env == nullptr) return;  // the environment is going away
  Napi::HandleScope scope(env);
  if (alive(env)) (*closure)(Napi::Env(env));
}

class PoolTask : public Napi::AsyncWorker {
 public:
  PoolTask(Napi::Env env, std::function<Failure()> work, std::function<Napi::Value(Napi::Env)> done)
      : Napi::AsyncWorker(env), work_(std::move(work)), done_(std::move(done)), deferred_(env) {}
  Napi::Promise promise() const { return deferred_.Promise(); }
  void keep(const Napi::Object& object) { kept_.push_back(Napi::Persistent(object)); }
  void Execute() override { failure_ = work_(); }
  void OnOK() override {
    if (!alive(Env())) return;
    if (failure_) {
      deferred_.Reject(to_error(Env(), failure_));
    } else {
      deferred_.Resolve(done_(Env()));
    }
  }

 private:
  std::function<Failure()> work_;
  std::function<Napi::Value(Napi::Env)> done_;
  Napi::Promise::Deferred deferred_;
  std::vector<Napi::ObjectReference> kept_;
  Failure failure_;
};

}  // namespace

std::shared_ptr<Loop> Loop::of(Napi::Env env) {
  std::lock_guard lock(loops_mutex);
  auto& slot = loops()[env];
  if (!slot) slot = std::make_shared<Loop>(env);
  return slot;
}

Loop::Loop(Napi::Env env) : env_(env) {
  napi_value name = Napi::String::New(env, "tvix");
  napi_create_threadsafe_function(env, nullptr, nullptr, name, 0, 1, nullptr, nullptr, nullptr, call_posted,
                                  &function_);
  napi_unref_threadsafe_function(env, function_);
  napi_add_env_cleanup_hook(
      env,
      [](void* arg) {
        auto* env = static_cast<napi_env>(arg);
        std::lock_guard lock(loops_mutex);
        auto found = loops().find(env);
        if (found == loops().end()) return;
        found->second->shut();
        loops().erase(found);
      },
      static_cast<napi_env>(env));
}

void Loop::shut() {
  std::lock_guard lock(mutex_);
  closed_ = true;
  napi_release_threadsafe_function(function_, napi_tsfn_abort);
}

void Loop::post(std::function<void(Napi::Env)> closure) {
  std::lock_guard lock(mutex_);
  if (closed_) return;
  auto* boxed = new std::function<void(Napi::Env)>(std::move(closure));
  if (napi_call_threadsafe_function(function_, boxed, napi_tsfn_nonblocking) != napi_ok) delete boxed;
}

void Loop::hold() {
  if (holds_++ == 0 && !closed_) napi_ref_threadsafe_function(env_, function_);
}

void Loop::drop() {
  if (--holds_ == 0 && !closed_) napi_unref_threadsafe_function(env_, function_);
}

Napi::Value to_error(Napi::Env env, const Failure& failure) {
  Napi::Error error = Napi::Error::New(env, failure.message);
  Napi::Object value = error.Value();
  value.Set("code", Napi::String::New(env, failure.code));
  Napi::Array notes = Napi::Array::New(env, failure.notes.size());
  for (size_t i = 0; i < failure.notes.size(); i++) notes.Set(static_cast<uint32_t>(i), failure.notes[i]);
  value.Set("notes", notes);
  return value;
}

Napi::Value throw_failure(Napi::Env env, const Failure& failure) {
  napi_throw(env, to_error(env, failure));
  return env.Undefined();
}

Promised::Promised(Napi::Env env) : loop_(Loop::of(env)), deferred_(env) { loop_->hold(); }

void Promised::resolve(Napi::Value value) {
  deferred_.Resolve(value);
  loop_->drop();
}

void Promised::reject(const Failure& failure) {
  deferred_.Reject(to_error(deferred_.Env(), failure));
  loop_->drop();
}

Napi::Promise run_async(Napi::Env env, std::function<Failure()> work, std::function<Napi::Value(Napi::Env)> done,
                        const std::vector<Napi::Object>& keep) {
  auto* task = new PoolTask(env, std::move(work), std::move(done));
  for (const auto& object : keep) task->keep(object);
  Napi::Promise promise = task->promise();
  task->Queue();
  return promise;
}

ByteView bytes_of(const Napi::Value& value) {
  if (!value.IsTypedArray()) return {};
  auto array = value.As<Napi::Uint8Array>();
  return {array.Data(), array.ByteLength()};
}

std::string string_of(const Napi::Value& value) {
  ByteView view = bytes_of(value);
  return std::string(reinterpret_cast<const char*>(view.data), view.size);
}

Napi::Value new_bytes(Napi::Env env, const void* data, size_t size) {
  auto out = Napi::Uint8Array::New(env, size);
  if (size > 0 && out.Data()) std::memcpy(out.Data(), data, size);
  return out;
}

}  // namespace tvix
