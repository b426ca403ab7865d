// The JavaScript objects around pack writers and readers, for the bindings that take them as arguments.
#pragma once

#include <memory>

#include "common/loop.h"
#include "pack/pack.h"

namespace tvix {

class PackWriterWrap : public Napi::ObjectWrap<PackWriterWrap> {
 public:
  static Napi::Function define(Napi::Env env);
  explicit PackWriterWrap(const Napi::CallbackInfo& info);
  // The writer behind a value; null when it is something else.
  static std::shared_ptr<pack::Writer> of(const Napi::Value& value);

 private:
  Napi::Value size(const Napi::CallbackInfo& info);
  Napi::Value append(const Napi::CallbackInfo& info);
  Napi::Value copy(const Napi::CallbackInfo& info);
  Napi::Value sync(const Napi::CallbackInfo& info);
  Napi::Value close(const Napi::CallbackInfo& info);

  std::shared_ptr<pack::Writer> writer_;
};

class PackReaderWrap : public Napi::ObjectWrap<PackReaderWrap> {
 public:
  static Napi::Function define(Napi::Env env);
  explicit PackReaderWrap(const Napi::CallbackInfo& info);
  // The reader behind a value; null when it is closed or something else.
  static std::shared_ptr<pack::Reader> of(const Napi::Value& value);

 private:
  Napi::Value fd(const Napi::CallbackInfo& info);
  Napi::Value read(const Napi::CallbackInfo& info);
  Napi::Value read_sync(const Napi::CallbackInfo& info);
  void read_range_sync(const Napi::CallbackInfo& info);
  void close(const Napi::CallbackInfo& info);
  bool usable(Napi::Env env) const;

  std::shared_ptr<pack::Reader> reader_;
};

// The extents in three parallel arrays; false (with a pending RangeError) when they disagree or are out of bounds.
bool extents_of(Napi::Env env, const Napi::Value& offsets, const Napi::Value& lengths, const Napi::Value& digests,
                std::vector<pack::Extent>& out);

}  // namespace tvix
