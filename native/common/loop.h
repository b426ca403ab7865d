// The way from native threads back to JavaScript: promises, closures posted to the event loop, work on the thread pool.
//
// Rules. A native thread never touches a Napi value: it posts a closure, which runs on the JavaScript thread. A pending
// promise keeps the process alive; an idle object does not. Work that may wait for JavaScript to act (a pipeline with
// back-pressure) runs on a thread of its own, never on libuv's small pool, where it could starve what it waits for.
#pragma once

#include <napi.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "common/failure.h"

namespace tvix {

// The event loop of one JavaScript environment. Shared by all objects of that environment.
class Loop {
 public:
  static std::shared_ptr<Loop> of(Napi::Env env);
  // From any thread; dropped silently when the environment is going away.
  void post(std::function<void(Napi::Env)> closure);
  // On the JavaScript thread: between hold and drop the process does not exit for want of work.
  void hold();
  void drop();

  explicit Loop(Napi::Env env);

 private:
  void shut();

  napi_env env_;
  napi_threadsafe_function function_ = nullptr;
  std::mutex mutex_;  // the function must not go away while a thread is calling it
  bool closed_ = false;
  int holds_ = 0;
};

// A JavaScript Error with `code` and `notes`, as lib/native/failure.ts expects it.
Napi::Value to_error(Napi::Env env, const Failure& failure);
// Throws it; returns undefined for the caller to return.
Napi::Value throw_failure(Napi::Env env, const Failure& failure);

// A promise to be settled once, later, on the JavaScript thread.
class Promised {
 public:
  explicit Promised(Napi::Env env);
  Napi::Promise promise() const { return deferred_.Promise(); }
  void resolve(Napi::Value value);
  void reject(const Failure& failure);

 private:
  std::shared_ptr<Loop> loop_;
  Napi::Promise::Deferred deferred_;
};

// Runs `work` on the thread pool, then `done` on the JavaScript thread for the promise's value.
// `keep` are JavaScript objects (buffers) that must outlive the work.
Napi::Promise run_async(Napi::Env env, std::function<Failure()> work, std::function<Napi::Value(Napi::Env)> done,
                        const std::vector<Napi::Object>& keep = {});

// Bytes of a Uint8Array argument; empty when it is not one.
struct ByteView {
  uint8_t* data = nullptr;
  size_t size = 0;
};
ByteView bytes_of(const Napi::Value& value);
std::string string_of(const Napi::Value& value);
Napi::Value new_bytes(Napi::Env env, const void* data, size_t size);

// A typed array with the elements of a vector. An environment that is being terminated gives no memory any more, and
// nobody will see what is missing then: the array is empty.
template <typename T>
Napi::TypedArrayOf<T> new_array(Napi::Env env, const std::vector<T>& values) {
  auto array = Napi::TypedArrayOf<T>::New(env, values.size());
  if (array.Data()) std::copy(values.begin(), values.end(), array.Data());
  return array;
}

// One column of a table as a typed array: `get` of each row.
template <typename T, typename Row, typename Get>
Napi::TypedArrayOf<T> column(Napi::Env env, const std::vector<Row>& rows, Get get) {
  std::vector<T> values(rows.size());
  std::transform(rows.begin(), rows.end(), values.begin(), get);
  return new_array<T>(env, values);
}

// The digests of all rows, one behind the other.
template <typename Row, typename Get>
Napi::TypedArrayOf<uint8_t> digest_column(Napi::Env env, const std::vector<Row>& rows, Get get) {
  std::vector<uint8_t> values;
  values.reserve(32 * rows.size());
  for (const Row& row : rows) values.insert(values.end(), get(row).begin(), get(row).end());
  return new_array<uint8_t>(env, values);
}

template <typename T>
std::vector<T> vector_of(const Napi::Value& value) {
  if (!value.IsTypedArray()) return {};
  auto array = value.As<Napi::TypedArrayOf<T>>();
  return std::vector<T>(array.Data(), array.Data() + array.ElementLength());
}

}  // namespace tvix
