// Node-API face of native/ingest: sessions, their batches and what JavaScript answers to them.
#include <map>

#include "ingest/session.h"
#include "nar/wrap.h"
#include "pack/wrap.h"

namespace tvix {

namespace {

Napi::Value batch_object(Napi::Env env, const ingest::Batch& batch) {
  const auto digest = [](const auto& row) -> const auto& { return row.digest; };
  const auto& chunks = batch.chunks;
  const auto& files = batch.files;
  Napi::Object out = Napi::Object::New(env);
  out.Set("index", batch.index);
  out.Set("chunkDigests", digest_column(env, chunks, digest));
  out.Set("chunkLengths", column<uint32_t>(env, chunks, [](const auto& chunk) { return chunk.length; }));
  out.Set("chunkFresh", column<uint8_t>(env, chunks, [](const auto& chunk) { return chunk.fresh ? 1 : 0; }));
  out.Set("fileEntries", column<uint32_t>(env, files, [](const auto& file) { return file.entry; }));
  out.Set("fileDigests", digest_column(env, files, digest));
  out.Set("fileSizes", column<double>(env, files, [](const auto& file) { return static_cast<double>(file.size); }));
  out.Set("fileChunkCounts", column<uint32_t>(env, files, [](const auto& file) { return file.chunks; }));
  return out;
}

class IngestionWrap : public Napi::ObjectWrap<IngestionWrap> {
 public:
  static Napi::Function define(Napi::Env env) {
    return DefineClass(
        env, "NativeIngestion",
        {InstanceMethod<&IngestionWrap::next>("next"), InstanceMethod<&IngestionWrap::store>("store"),
         InstanceMethod<&IngestionWrap::release>("release"), InstanceMethod<&IngestionWrap::finish>("finish"),
         InstanceMethod<&IngestionWrap::close>("close"), InstanceMethod<&IngestionWrap::push>("push"),
         InstanceMethod<&IngestionWrap::end>("end")});
  }

  explicit IngestionWrap(const Napi::CallbackInfo& info)
      : ObjectWrap(info), self_(std::make_shared<IngestionWrap*>(this)) {
    session_ = std::move(*info[0].As<Napi::External<std::unique_ptr<ingest::Session>>>().Data());
    session_->notify = [self = self_, loop = Loop::of(info.Env())] {
      loop->post([self](Napi::Env env) {
        if (*self) (*self)->settle(env);
      });
    };
  }

  ~IngestionWrap() override {
    *self_ = nullptr;
    session_->close();
  }

  ingest::Session& session() { return *session_; }

 private:
  using Slot = std::unique_ptr<Promised>;

  // Makes a promise of which there may be one at a time; the object stays alive until it is settled.
  Napi::Value promise(Napi::Env env, Slot& slot) {
    if (slot) return throw_failure(env, {"ERR_INGEST_BUSY", "another call on this ingestion has not finished yet"});
    slot = std::make_unique<Promised>(env);
    Napi::Promise promise = slot->promise();
    Ref();
    settle(env);
    return promise;
  }

  void resolve(Slot& slot, Napi::Value value) {
    Slot taken = std::move(slot);
    taken->resolve(value);
    Unref();
  }

  void reject(Slot& slot, const Failure& failure) {
    Slot taken = std::move(slot);
    taken->reject(failure);
    Unref();
  }

  // Settles what can be settled now.
  void settle(Napi::Env env) {
    std::shared_ptr<ingest::Batch> batch;
    Failure failure;
    if (next_) {
      switch (session_->next(batch, failure)) {
        case ingest::Session::Next::kBatch:
          open_[batch->index] = batch;
          resolve(next_, batch_object(env, *batch));
          break;
        case ingest::Session::Next::kOver:
          resolve(next_, env.Undefined());
          break;
        case ingest::Session::Next::kFailed:
          reject(next_, failure);
          break;
        case ingest::Session::Next::kWait:
          break;
      }
    }
    if (!finish_) return;
    if (session_->failed(failure)) {
      reject(finish_, failure);
    } else if (session_->finished()) {
      resolve(finish_, outcome_object(env));
    }
  }

  Napi::Value outcome_object(Napi::Env env) {
    ingest::Outcome outcome = session_->take_outcome();
    Napi::Object out = Napi::Object::New(env);
    out.Set("listing", listing_object(env, outcome.listing));
    out.Set("narHash", session_->options().nar ? new_bytes(env, outcome.nar_hash, 32) : env.Undefined());
    out.Set("narSize", static_cast<double>(outcome.nar_size));
    out.Set("found", new_array(env, outcome.found));
    return out;
  }

  Napi::Value next(const Napi::CallbackInfo& info) { return promise(info.Env(), next_); }
  Napi::Value finish(const Napi::CallbackInfo& info) { return promise(info.Env(), finish_); }

  Napi::Value store(const Napi::CallbackInfo& info) {
    Napi::Env env = info.Env();
    auto found = open_.find(info[0].ToNumber().Uint32Value());
    if (found == open_.end()) {
      Napi::RangeError::New(env, "this batch has been answered already").ThrowAsJavaScriptException();
      return env.Undefined();
    }
    std::shared_ptr<ingest::Batch> batch = found->second;
    ByteView missing = bytes_of(info[1]);
    auto writer = PackWriterWrap::of(info[2]);
    if (missing.size != batch->chunks.size() || !writer) {
      Napi::RangeError::New(env, "a byte per chunk and a pack writer are needed").ThrowAsJavaScriptException();
      return env.Undefined();
    }
    std::vector<pack::Piece> pieces;
    for (size_t i = 0; i < missing.size; i++) {
      const ingest::ChunkRecord& chunk = batch->chunks[i];
      if (missing.data[i]) pieces.push_back({batch->data + chunk.offset, chunk.length, chunk.digest});
    }
    std::vector<uint64_t> offsets(pieces.size());
    if (Failure failure = writer->append(std::move(pieces), batch, offsets.data())) {
      return throw_failure(env, failure);
    }
    open_.erase(found);
    std::vector<double> out(missing.size, -1);
    for (size_t i = 0, at = 0; i < missing.size; i++) {
      if (missing.data[i]) out[i] = static_cast<double>(offsets[at++]);
    }
    return new_array<double>(env, out);
  }

  void release(const Napi::CallbackInfo& info) { open_.erase(info[0].ToNumber().Uint32Value()); }

  void close(const Napi::CallbackInfo& info) {
    session_->close();
    open_.clear();
    settle(info.Env());
  }

  Napi::Value push(const Napi::CallbackInfo& info) {
    ByteView bytes = bytes_of(info[0]);
    auto promised = std::make_shared<Promised>(info.Env());
    session_->push({bytes.data, bytes.data + bytes.size}, [promised, loop = Loop::of(info.Env())] {
      loop->post([promised](Napi::Env env) { promised->resolve(env.Undefined()); });
    });
    return promised->promise();
  }

  void end(const Napi::CallbackInfo&) { session_->end(); }

  std::unique_ptr<ingest::Session> session_;
  std::shared_ptr<IngestionWrap*> self_;  // null once this is gone; looked at on the JavaScript thread only
  std::map<uint32_t, std::shared_ptr<ingest::Batch>> open_;
  Slot next_;
  Slot finish_;
};

ingest::Options options_of(const Napi::Value& value) {
  auto object = value.As<Napi::Object>();
  ingest::Options options;
  options.average = object.Get("average").ToNumber().Uint32Value();
  options.nar = object.Get("narHash").ToBoolean();
  options.needles = string_of(object.Get("needles"));
  return options;
}

// The new object; the caller starts its session.
Napi::Object make(const Napi::CallbackInfo& info, const Napi::Value& options) {
  auto* constructor = static_cast<Napi::FunctionReference*>(info.Data());
  auto session = std::make_unique<ingest::Session>(options_of(options));
  return constructor->New({Napi::External<std::unique_ptr<ingest::Session>>::New(info.Env(), &session)});
}

Napi::Value ingest_tree(const Napi::CallbackInfo& info) {
  std::unique_ptr<nar::Listing> only;
  if (info[1].IsObject()) {
    only = std::make_unique<nar::Listing>();
    if (!listing_of(info[1], *only)) return info.Env().Undefined();
  }
  Napi::Object out = make(info, info[2]);
  IngestionWrap::Unwrap(out)->session().start_tree(string_of(info[0]), std::move(only));
  return out;
}

Napi::Value ingest_files(const Napi::CallbackInfo& info) {
  auto paths = info[0].As<Napi::Array>();
  std::vector<std::string> list;
  for (uint32_t i = 0; i < paths.Length(); i++) list.push_back(string_of(paths.Get(i)));
  Napi::Object out = make(info, info[1]);
  IngestionWrap::Unwrap(out)->session().start_files(std::move(list));
  return out;
}

Napi::Value ingest_nar(const Napi::CallbackInfo& info) {
  Napi::Object out = make(info, info[0]);
  IngestionWrap::Unwrap(out)->session().start_pushed(true);
  return out;
}

Napi::Value ingest_blob(const Napi::CallbackInfo& info) {
  Napi::Object out = make(info, info[0]);
  IngestionWrap::Unwrap(out)->session().start_pushed(false);
  return out;
}

}  // namespace

void init_ingest(Napi::Env env, Napi::Object exports) {
  // Never freed by us: a reference goes with its environment.
  auto* constructor = new Napi::FunctionReference(Napi::Persistent(IngestionWrap::define(env)));
  exports.Set("ingestTree", Napi::Function::New(env, ingest_tree, "ingestTree", constructor));
  exports.Set("ingestFiles", Napi::Function::New(env, ingest_files, "ingestFiles", constructor));
  exports.Set("ingestNar", Napi::Function::New(env, ingest_nar, "ingestNar", constructor));
  exports.Set("ingestBlob", Napi::Function::New(env, ingest_blob, "ingestBlob", constructor));
}

}  // namespace tvix
