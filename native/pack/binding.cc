// Node-API face of native/pack: writers, readers and scans.
#include "pack/wrap.h"

namespace tvix {

namespace {

constexpr napi_type_tag kWriterTag = {0x7476697870616b77, 0x1};
constexpr napi_type_tag kReaderTag = {0x7476697870616b72, 0x1};
constexpr double kMaxOffset = 9007199254740991.0;

// The classes of one environment; made at load, kept for its life.
struct Classes {
  Napi::FunctionReference writer;
  Napi::FunctionReference reader;
  Napi::FunctionReference scan;
};

Napi::Value range_error(Napi::Env env, const char* message) {
  Napi::RangeError::New(env, message).ThrowAsJavaScriptException();
  return env.Undefined();
}

Failure closed() { return {"ERR_PACK_CLOSED", "the pack is closed"}; }

Napi::Value offsets_array(Napi::Env env, const std::vector<uint64_t>& offsets) {
  return column<double>(env, offsets, [](uint64_t offset) { return static_cast<double>(offset); });
}

}  // namespace

bool extents_of(Napi::Env env, const Napi::Value& offsets, const Napi::Value& lengths, const Napi::Value& digests,
                std::vector<pack::Extent>& out) {
  auto offset_list = vector_of<double>(offsets);
  auto length_list = vector_of<uint32_t>(lengths);
  ByteView digest_bytes = bytes_of(digests);
  if (length_list.size() != offset_list.size() || digest_bytes.size != 32 * offset_list.size()) {
    range_error(env, "offsets, lengths and digests differ in number");
    return false;
  }
  out.resize(offset_list.size());
  for (size_t i = 0; i < out.size(); i++) {
    if (!(offset_list[i] >= 0 && offset_list[i] <= kMaxOffset) || length_list[i] > pack::kMaxChunk) {
      range_error(env, "an offset or a length is out of bounds");
      return false;
    }
    out[i].offset = static_cast<uint64_t>(offset_list[i]);
    out[i].length = length_list[i];
    std::memcpy(out[i].digest.data(), digest_bytes.data + 32 * i, 32);
  }
  return true;
}

// ——— writer

Napi::Function PackWriterWrap::define(Napi::Env env) {
  return DefineClass(env, "NativePackWriter",
                     {InstanceAccessor<&PackWriterWrap::size>("size"),
                      InstanceMethod<&PackWriterWrap::append>("append"), InstanceMethod<&PackWriterWrap::copy>("copy"),
                      InstanceMethod<&PackWriterWrap::sync>("sync"), InstanceMethod<&PackWriterWrap::close>("close")});
}

PackWriterWrap::PackWriterWrap(const Napi::CallbackInfo& info) : ObjectWrap(info) {
  writer_ = *info[0].As<Napi::External<std::shared_ptr<pack::Writer>>>().Data();
  info.This().As<Napi::Object>().TypeTag(&kWriterTag);
}

std::shared_ptr<pack::Writer> PackWriterWrap::of(const Napi::Value& value) {
  if (!value.IsObject() || !value.As<Napi::Object>().CheckTypeTag(&kWriterTag)) return nullptr;
  return Unwrap(value.As<Napi::Object>())->writer_;
}

Napi::Value PackWriterWrap::size(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), static_cast<double>(writer_->size()));
}

Napi::Value PackWriterWrap::append(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  auto chunks = info[0].As<Napi::Array>();
  ByteView digests = bytes_of(info[1]);
  if (digests.size != size_t{32} * chunks.Length()) return range_error(env, "chunks and digests differ in number");
  std::vector<ByteView> views;
  size_t total = 0;
  for (uint32_t i = 0; i < chunks.Length(); i++) {
    views.push_back(bytes_of(chunks.Get(i)));
    if (views[i].size == 0 || views[i].size > pack::kMaxChunk) return range_error(env, "a chunk has 1 to 2^30 bytes");
    total += views[i].size;
  }
  auto bytes = std::make_shared<std::vector<uint8_t>>(total);
  std::vector<pack::Piece> pieces(views.size());
  size_t at = 0;
  for (size_t i = 0; i < views.size(); i++) {
    std::memcpy(bytes->data() + at, views[i].data, views[i].size);
    pieces[i].data = bytes->data() + at;
    pieces[i].length = static_cast<uint32_t>(views[i].size);
    std::memcpy(pieces[i].digest.data(), digests.data + 32 * i, 32);
    at += views[i].size;
  }
  auto promised = std::make_shared<Promised>(env);
  std::vector<uint64_t> offsets(pieces.size());
  if (Failure failure = writer_->append(std::move(pieces), bytes, offsets.data())) {
    promised->reject(failure);
    return promised->promise();
  }
  writer_->when_room([promised, offsets = std::move(offsets), loop = Loop::of(env)] {
    loop->post([promised, offsets](Napi::Env env) { promised->resolve(offsets_array(env, offsets)); });
  });
  return promised->promise();
}

Napi::Value PackWriterWrap::copy(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  auto reader = PackReaderWrap::of(info[0]);
  auto extents = std::make_shared<std::vector<pack::Extent>>();
  if (!reader) return throw_failure(env, closed());
  if (!extents_of(env, info[1], info[2], info[3], *extents)) return env.Undefined();
  auto offsets = std::make_shared<std::vector<uint64_t>>(extents->size());
  auto work = [writer = writer_, reader, extents, offsets]() -> Failure {
    constexpr size_t kGroup = 2u << 20;
    for (size_t first = 0; first < extents->size();) {
      size_t last = first;
      size_t bytes = 0;
      while (last < extents->size() && (last == first || bytes < kGroup)) bytes += (*extents)[last++].length;
      auto buffer = std::make_shared<std::vector<uint8_t>>(bytes);
      if (Failure failure = reader->read(&(*extents)[first], last - first, buffer->data())) return failure;
      std::vector<pack::Piece> pieces;
      size_t at = 0;
      for (size_t i = first; i < last; i++) {
        pieces.push_back({buffer->data() + at, (*extents)[i].length, (*extents)[i].digest});
        at += (*extents)[i].length;
      }
      if (Failure failure = writer->append(std::move(pieces), buffer, offsets->data() + first)) return failure;
      writer->wait_for_room();
      first = last;
    }
    return {};
  };
  return run_async(env, work, [offsets](Napi::Env env) { return offsets_array(env, *offsets); });
}

Napi::Value PackWriterWrap::sync(const Napi::CallbackInfo& info) {
  auto promised = std::make_shared<Promised>(info.Env());
  writer_->sync([promised, loop = Loop::of(info.Env())](Failure failure) {
    loop->post([promised, failure](Napi::Env env) {
      if (failure) {
        promised->reject(failure);
      } else {
        promised->resolve(env.Undefined());
      }
    });
  });
  return promised->promise();
}

Napi::Value PackWriterWrap::close(const Napi::CallbackInfo& info) {
  return run_async(
      info.Env(),
      [writer = writer_] {
        writer->close();
        return Failure{};
      },
      [](Napi::Env env) { return env.Undefined(); });
}

// ——— reader

Napi::Function PackReaderWrap::define(Napi::Env env) {
  return DefineClass(env, "NativePackReader",
                     {InstanceAccessor<&PackReaderWrap::fd>("fd"), InstanceMethod<&PackReaderWrap::read>("read"),
                      InstanceMethod<&PackReaderWrap::read_sync>("readSync"),
                      InstanceMethod<&PackReaderWrap::read_range_sync>("readRangeSync"),
                      InstanceMethod<&PackReaderWrap::close>("close")});
}

PackReaderWrap::PackReaderWrap(const Napi::CallbackInfo& info) : ObjectWrap(info) {
  reader_ = *info[0].As<Napi::External<std::shared_ptr<pack::Reader>>>().Data();
  info.This().As<Napi::Object>().TypeTag(&kReaderTag);
}

std::shared_ptr<pack::Reader> PackReaderWrap::of(const Napi::Value& value) {
  if (!value.IsObject() || !value.As<Napi::Object>().CheckTypeTag(&kReaderTag)) return nullptr;
  return Unwrap(value.As<Napi::Object>())->reader_;
}

bool PackReaderWrap::usable(Napi::Env env) const {
  if (!reader_) throw_failure(env, closed());
  return reader_ != nullptr;
}

Napi::Value PackReaderWrap::fd(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), reader_ ? reader_->fd() : -1);
}

Napi::Value PackReaderWrap::read(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  auto extents = std::make_shared<std::vector<pack::Extent>>();
  if (!usable(env) || !extents_of(env, info[0], info[1], info[2], *extents)) return env.Undefined();
  size_t total = 0;
  for (const auto& extent : *extents) total += extent.length;
  Napi::Uint8Array into = info[3].IsTypedArray() ? info[3].As<Napi::Uint8Array>() : Napi::Uint8Array::New(env, total);
  if (into.ByteLength() < total) return range_error(env, "the target is smaller than the chunks");
  if (into.ByteLength() > total) into = Napi::Uint8Array::New(env, total, into.ArrayBuffer(), into.ByteOffset());
  auto result = std::make_shared<Napi::ObjectReference>(Napi::Persistent(into.As<Napi::Object>()));
  auto work = [reader = reader_, extents, out = into.Data()] {
    return reader->read(extents->data(), extents->size(), out);
  };
  return run_async(env, work, [result](Napi::Env) -> Napi::Value { return result->Value(); }, {into});
}

Napi::Value PackReaderWrap::read_sync(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  if (!usable(env)) return env.Undefined();
  pack::Extent extent{};
  ByteView digest = bytes_of(info[2]);
  extent.offset = static_cast<uint64_t>(info[0].ToNumber().Int64Value());
  extent.length = info[1].ToNumber().Uint32Value();
  if (digest.size != 32 || extent.length > pack::kMaxChunk)
    return range_error(env, "a digest has 32 bytes, a chunk at most 2^30");
  std::memcpy(extent.digest.data(), digest.data, 32);
  auto out = Napi::Uint8Array::New(env, extent.length);
  if (out.ByteLength() != extent.length) return env.Undefined();
  if (Failure failure = reader_->read(&extent, 1, out.Data())) return throw_failure(env, failure);
  return out;
}

void PackReaderWrap::read_range_sync(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  if (!usable(env)) return;
  pack::Extent extent{};
  ByteView digest = bytes_of(info[2]);
  ByteView into = bytes_of(info[4]);
  extent.offset = static_cast<uint64_t>(info[0].ToNumber().Int64Value());
  extent.length = info[1].ToNumber().Uint32Value();
  const uint32_t from = info[3].ToNumber().Uint32Value();
  if (digest.size != 32 || extent.length > pack::kMaxChunk || from > extent.length ||
      into.size > extent.length - from) {
    range_error(env, "the range is not inside the chunk");
    return;
  }
  std::memcpy(extent.digest.data(), digest.data, 32);
  if (Failure failure = reader_->read_range(extent, from, into.data, into.size)) throw_failure(env, failure);
}

void PackReaderWrap::close(const Napi::CallbackInfo&) { reader_.reset(); }

// ——— scan and openers

namespace {

class PackScanWrap : public Napi::ObjectWrap<PackScanWrap> {
 public:
  static Napi::Function define(Napi::Env env) {
    return DefineClass(env, "NativePackScan",
                       {InstanceMethod<&PackScanWrap::next>("next"), InstanceMethod<&PackScanWrap::close>("close")});
  }
  explicit PackScanWrap(const Napi::CallbackInfo& info) : ObjectWrap(info) {
    auto reader = *info[0].As<Napi::External<std::shared_ptr<pack::Reader>>>().Data();
    scan_ = std::make_shared<pack::Scan>(std::move(reader));
  }

 private:
  Napi::Value next(const Napi::CallbackInfo& info) {
    if (!scan_) return throw_failure(info.Env(), closed());
    auto records = std::make_shared<std::vector<pack::Scan::Record>>();
    constexpr uint64_t kBytes = 16u << 20;
    auto work = [scan = scan_, records] { return scan->next(*records, kBytes); };
    return run_async(info.Env(), work, [records](Napi::Env env) { return batch(env, *records); });
  }

  static Napi::Value batch(Napi::Env env, const std::vector<pack::Scan::Record>& records) {
    if (records.empty()) return env.Undefined();
    using Record = pack::Scan::Record;
    Napi::Object out = Napi::Object::New(env);
    const auto offset = [](const Record& r) { return static_cast<double>(r.extent.offset); };
    out.Set("offsets", column<double>(env, records, offset));
    out.Set("lengths", column<uint32_t>(env, records, [](const Record& r) { return r.extent.length; }));
    out.Set("digests", digest_column(env, records, [](const Record& r) -> const auto& { return r.extent.digest; }));
    out.Set("intact", column<uint8_t>(env, records, [](const Record& r) { return r.intact ? 1 : 0; }));
    return out;
  }

  void close(const Napi::CallbackInfo&) { scan_.reset(); }

  std::shared_ptr<pack::Scan> scan_;
};

Napi::Value writer_open(const Napi::CallbackInfo& info) {
  auto* classes = static_cast<Classes*>(info.Data());
  auto writer = std::make_shared<std::shared_ptr<pack::Writer>>();
  auto work = [path = string_of(info[0]), writer]() -> Failure {
    std::unique_ptr<pack::Writer> opened;
    Failure failure = pack::Writer::open(path, opened);
    *writer = std::move(opened);
    return failure;
  };
  return run_async(info.Env(), work, [writer, classes](Napi::Env env) -> Napi::Value {
    return classes->writer.New({Napi::External<std::shared_ptr<pack::Writer>>::New(env, writer.get())});
  });
}

Napi::Value reader_open(const Napi::CallbackInfo& info) {
  auto* classes = static_cast<Classes*>(info.Data());
  std::shared_ptr<pack::Reader> reader;
  if (Failure failure = pack::Reader::open(string_of(info[0]), reader)) return throw_failure(info.Env(), failure);
  return classes->reader.New({Napi::External<std::shared_ptr<pack::Reader>>::New(info.Env(), &reader)});
}

Napi::Value scan_open(const Napi::CallbackInfo& info) {
  auto* classes = static_cast<Classes*>(info.Data());
  std::shared_ptr<pack::Reader> reader;
  if (Failure failure = pack::Reader::open(string_of(info[0]), reader)) return throw_failure(info.Env(), failure);
  return classes->scan.New({Napi::External<std::shared_ptr<pack::Reader>>::New(info.Env(), &reader)});
}

}  // namespace

void init_pack(Napi::Env env, Napi::Object exports) {
  // Never freed by us: references go with their environment.
  auto* classes =
      new Classes{Napi::Persistent(PackWriterWrap::define(env)), Napi::Persistent(PackReaderWrap::define(env)),
                  Napi::Persistent(PackScanWrap::define(env))};
  exports.Set("packWriterOpen", Napi::Function::New(env, writer_open, "packWriterOpen", classes));
  exports.Set("packReaderOpen", Napi::Function::New(env, reader_open, "packReaderOpen", classes));
  exports.Set("packScan", Napi::Function::New(env, scan_open, "packScan", classes));
}

}  // namespace tvix
