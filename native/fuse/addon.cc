// The fuse addon's entry: a mount as an object of JavaScript, which takes questions from it and puts answers in.
//
// Arguments are checked by lib/native/fuse.ts; what is checked again here is what would be unsafe. One event, `wake`,
// tells JavaScript that there is something to take: questions, log lines, the start or the end of the service.
#include <napi.h>

#include <cerrno>
#include <cstring>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "blake3/blake3.h"
#include "common/loop.h"
#include "fuse/device.h"
#include "fuse/state.h"
#include "fuse/vhost_user.h"

namespace tvix::fuse {

namespace {

constexpr size_t kMaxLog = 1000;

// What native threads have to tell; outlives the object of JavaScript.
struct News {
  std::mutex mutex;
  std::vector<std::string> log;
  bool ready = false;
  bool ended = false;
  bool posted = false;
  std::shared_ptr<Loop> loop;
  std::weak_ptr<Napi::FunctionReference> wake;

  // Posts one wake-up for all that happens until it is taken.
  static void post(const std::shared_ptr<News>& news) {
    {
      std::lock_guard lock(news->mutex);
      if (std::exchange(news->posted, true)) return;
    }
    news->loop->post([news](Napi::Env) {
      if (auto wake = news->wake.lock()) wake->Call({});
    });
  }
};

class MountWrap : public Napi::ObjectWrap<MountWrap> {
 public:
  static Napi::Function define(Napi::Env env) {
    return DefineClass(
        env, "NativeMount",
        {InstanceMethod<&MountWrap::mount>("mount"), InstanceMethod<&MountWrap::listen>("listen"),
         InstanceMethod<&MountWrap::take>("take"), InstanceMethod<&MountWrap::directory>("directory"),
         InstanceMethod<&MountWrap::has_directory>("hasDirectory"), InstanceMethod<&MountWrap::children>("children"),
         InstanceMethod<&MountWrap::siblings>("siblings"), InstanceMethod<&MountWrap::names>("names"),
         InstanceMethod<&MountWrap::forget_names>("forgetNames"), InstanceMethod<&MountWrap::extents>("extents"),
         InstanceMethod<&MountWrap::remote>("remote"), InstanceMethod<&MountWrap::bytes>("bytes"),
         InstanceMethod<&MountWrap::copy>("copy"), InstanceMethod<&MountWrap::fail>("fail"),
         InstanceMethod<&MountWrap::totals>("totals"), InstanceMethod<&MountWrap::sweep>("sweep"),
         InstanceMethod<&MountWrap::counts>("counts"), InstanceMethod<&MountWrap::stop>("stop"),
         InstanceMethod<&MountWrap::stop_sync>("stopSync")});
  }

  explicit MountWrap(const Napi::CallbackInfo& info);
  ~MountWrap() override;

 private:
  Napi::Value mount(const Napi::CallbackInfo& info);
  Napi::Value listen(const Napi::CallbackInfo& info);
  Napi::Value serve_by(Napi::Env env, std::shared_ptr<Transport> transport, const Failure& failure);
  Napi::Value take(const Napi::CallbackInfo& info);
  Napi::Value directory(const Napi::CallbackInfo& info);
  Napi::Value has_directory(const Napi::CallbackInfo& info);
  Napi::Value children(const Napi::CallbackInfo& info);
  Napi::Value siblings(const Napi::CallbackInfo& info);
  Napi::Value names(const Napi::CallbackInfo& info);
  void forget_names(const Napi::CallbackInfo& info);
  Napi::Value extents(const Napi::CallbackInfo& info);
  void remote(const Napi::CallbackInfo& info);
  void bytes(const Napi::CallbackInfo& info);
  Napi::Value copy(const Napi::CallbackInfo& info);
  void fail(const Napi::CallbackInfo& info);
  void totals(const Napi::CallbackInfo& info);
  void sweep(const Napi::CallbackInfo& info);
  Napi::Value counts(const Napi::CallbackInfo& info);
  Napi::Value stop(const Napi::CallbackInfo& info);
  void stop_sync(const Napi::CallbackInfo& info);
  std::shared_ptr<const Pack> pack(const std::string& path);
  void finish();

  std::shared_ptr<News> news_;
  std::shared_ptr<Napi::FunctionReference> wake_;
  std::shared_ptr<State> state_;
  std::shared_ptr<Transport> transport_;
  std::function<void()> ended_;
  unsigned threads_;
  std::map<std::string, std::weak_ptr<const Pack>> packs_;
  napi_env env_;
  bool mounted_ = false;
  // Where the last siblings() ended.
  Digest siblings_of_{};
  size_t siblings_to_ = 0;
};

Digest digest_of(const Napi::Value& value) {
  Digest out{};
  const ByteView view = bytes_of(value);
  if (view.size == out.size()) std::memcpy(out.data(), view.data, out.size());
  return out;
}

std::string key_of(const Digest& digest) { return {reinterpret_cast<const char*>(digest.data()), digest.size()}; }

uint64_t number_of(const Napi::Value& value) {
  const double number = value.ToNumber().DoubleValue();
  return number >= 0 && number < 9007199254740992.0 ? static_cast<uint64_t>(number) : 0;
}

void on_exit(void* transport) {
  const auto& held = *static_cast<std::shared_ptr<Transport>*>(transport);
  if (held) held->stop();
}

MountWrap::MountWrap(const Napi::CallbackInfo& info)
    : ObjectWrap(info),
      news_(std::make_shared<News>()),
      wake_(std::make_shared<Napi::FunctionReference>(Napi::Persistent(info[1].As<Napi::Function>()))),
      env_(info.Env()) {
  const auto given = info[0].As<Napi::Object>();
  Options options;
  options.root = digest_of(given.Get("root"));
  options.root_size = number_of(given.Get("rootSize"));
  options.dynamic = given.Get("dynamic").ToBoolean();
  options.list_root = given.Get("listRoot").ToBoolean();
  options.uid = static_cast<uid_t>(number_of(given.Get("uid")));
  options.gid = static_cast<gid_t>(number_of(given.Get("gid")));
  options.directory_cache = number_of(given.Get("directoryCache"));
  options.blob_cache = number_of(given.Get("blobCache"));
  if (const uint64_t limit = number_of(given.Get("maxInodes")); limit > 0) options.max_inodes = limit;
  if (const Napi::Value passthrough = given.Get("passthrough"); passthrough.IsObject()) {
    const auto settings = passthrough.As<Napi::Object>();
    options.passthrough = {string_of(settings.Get("directory")), number_of(settings.Get("minimum")),
                           number_of(settings.Get("limit"))};
  }
  news_->loop = Loop::of(info.Env());
  news_->wake = wake_;
  auto log = [news = news_](std::string line) {
    {
      std::lock_guard lock(news->mutex);
      if (news->log.size() >= kMaxLog) return;
      news->log.push_back(std::move(line));
    }
    News::post(news);
  };
  state_ = std::make_shared<State>(options, [news = news_] { News::post(news); }, log);
  state_->initialised = [news = news_] {
    {
      std::lock_guard lock(news->mutex);
      news->ready = true;
    }
    News::post(news);
  };
  ended_ = [news = news_] {
    {
      std::lock_guard lock(news->mutex);
      news->ended = true;
    }
    News::post(news);
  };
  threads_ = static_cast<unsigned>(number_of(given.Get("threads")));
  // An environment that ends without having unmounted would leave a dead mount and running threads.
  napi_add_env_cleanup_hook(env_, on_exit, &transport_);
}

MountWrap::~MountWrap() {
  napi_remove_env_cleanup_hook(env_, on_exit, &transport_);
  on_exit(&transport_);
}

Napi::Value MountWrap::mount(const Napi::CallbackInfo& info) {
  auto device = std::make_shared<Device>(state_, threads_, ended_);
  return serve_by(info.Env(), device, device->mount(string_of(info[0]), info[1].ToBoolean()));
}

// listen(path): serves virtual machines on a socket.
Napi::Value MountWrap::listen(const Napi::CallbackInfo& info) {
  auto device = std::make_shared<VhostUser>(state_, ended_);
  return serve_by(info.Env(), device, device->listen(string_of(info[0])));
}

Napi::Value MountWrap::serve_by(Napi::Env env, std::shared_ptr<Transport> transport, const Failure& failure) {
  if (failure) return throw_failure(env, failure);
  transport_ = std::move(transport);
  mounted_ = true;
  news_->loop->hold();
  Ref();
  return env.Undefined();
}

// The service has ended: nothing keeps the process or this object any more.
void MountWrap::finish() {
  if (!std::exchange(mounted_, false)) return;
  news_->loop->drop();
  // It holds what holds this object.
  wake_.reset();
  Unref();
}

Napi::Value MountWrap::take(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  std::vector<std::string> log;
  bool ready;
  bool ended;
  {
    std::lock_guard lock(news_->mutex);
    news_->posted = false;
    log.swap(news_->log);
    ready = std::exchange(news_->ready, false);
    ended = std::exchange(news_->ended, false);
  }
  const std::vector<Miss> misses = state_->misses.take();
  Napi::Array questions = Napi::Array::New(env, misses.size());
  for (size_t i = 0; i < misses.size(); i++) {
    const Miss& miss = misses[i];
    Napi::Object question = Napi::Object::New(env);
    question.Set("question", Napi::Number::New(env, static_cast<double>(miss.question)));
    question.Set("key", new_bytes(env, miss.key.data(), miss.key.size()));
    question.Set("offset", Napi::Number::New(env, static_cast<double>(miss.offset)));
    question.Set("size", Napi::Number::New(env, static_cast<double>(miss.size)));
    if (!miss.directory.empty()) {
      question.Set("directory", new_bytes(env, miss.directory.data(), miss.directory.size()));
    }
    questions.Set(static_cast<uint32_t>(i), question);
  }
  Napi::Array lines = Napi::Array::New(env, log.size());
  for (size_t i = 0; i < log.size(); i++) lines.Set(static_cast<uint32_t>(i), Napi::String::New(env, log[i]));
  Napi::Object out = Napi::Object::New(env);
  out.Set("questions", questions);
  out.Set("log", lines);
  out.Set("ready", Napi::Boolean::New(env, ready));
  out.Set("ended", Napi::Boolean::New(env, ended));
  if (ended) finish();
  return out;
}

// directory(digest, bytes): what is wrong with the bytes, or undefined; then they are cached and who waits goes on.
Napi::Value MountWrap::directory(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  const Digest digest = digest_of(info[0]);
  const ByteView view = bytes_of(info[1]);
  Digest actual{};
  blake3::hash(view.data, view.size, actual.data());
  if (actual != digest) return Napi::String::New(env, "its bytes have another digest");
  std::string problem;
  auto listing = Listing::decode({view.data, view.data + view.size}, problem);
  if (!listing) return Napi::String::New(env, problem);
  state_->directories.put(digest, listing);
  Answer answer;
  answer.listing = std::move(listing);
  state_->misses.answer(Miss{Question::kDirectory, key_of(digest)}.id(), answer);
  return env.Undefined();
}

Napi::Value MountWrap::has_directory(const Napi::CallbackInfo& info) {
  return Napi::Boolean::New(info.Env(), state_->directories.has(digest_of(info[0])));
}

// children(digest, limit): digests of child directories that are not cached, one behind the other.
Napi::Value MountWrap::children(const Napi::CallbackInfo& info) {
  std::string out;
  const size_t limit = 32 * number_of(info[1]);
  if (const auto listing = state_->directories.get(digest_of(info[0]))) {
    for (const Listing::Entry& entry : listing->entries()) {
      if (out.size() >= limit) break;
      if (entry.kind != Kind::kDirectory) continue;
      const Digest digest = listing->digest(entry);
      if (!state_->directories.has(digest)) out += key_of(digest);
    }
  }
  return new_bytes(info.Env(), out.data(), out.size());
}

// siblings(directory, digest, limit): digests of files behind a file in a directory whose places are not cached.
Napi::Value MountWrap::siblings(const Napi::CallbackInfo& info) {
  std::string out;
  const Digest from = digest_of(info[1]);
  const size_t limit = 32 * number_of(info[2]);
  const Digest directory = digest_of(info[0]);
  if (const auto listing = state_->directories.get(directory)) {
    const auto& entries = listing->entries();
    // Who reads a directory's files in order asks next for the one behind the last that was given.
    size_t at = directory == siblings_of_ && siblings_to_ < entries.size() ? siblings_to_ : 0;
    const auto is_it = [&](const Listing::Entry& entry) {
      return entry.kind == Kind::kFile && listing->digest(entry) == from;
    };
    size_t passed = 0;
    for (; passed < entries.size() && !is_it(entries[at]); passed++) at = (at + 1) % entries.size();
    if (passed == entries.size()) at = entries.size();
    for (; at < entries.size() && out.size() < limit; at++) {
      if (entries[at].kind != Kind::kFile || entries[at].size == 0) continue;
      const Digest digest = listing->digest(entries[at]);
      if (!state_->blobs.has(digest)) out += key_of(digest);
    }
    siblings_of_ = directory;
    siblings_to_ = at;
  }
  return new_bytes(info.Env(), out.data(), out.size());
}

// names(name or undefined for the whole root, bytes): as directory().
Napi::Value MountWrap::names(const Napi::CallbackInfo& info) {
  const ByteView view = bytes_of(info[1]);
  std::string problem;
  Answer answer;
  answer.listing = Listing::decode({view.data, view.data + view.size}, problem);
  if (!answer.listing) return Napi::String::New(info.Env(), problem);
  const bool root = info[0].IsUndefined();
  const Miss miss{root ? Question::kRoot : Question::kName, root ? std::string() : string_of(info[0])};
  if (!root && !answer.listing->entries().empty()) state_->names.put(name_digest(miss.key), answer.listing);
  state_->misses.answer(miss.id(), answer);
  return info.Env().Undefined();
}

void MountWrap::forget_names(const Napi::CallbackInfo&) { state_->names.clear(); }

// A pack opened before and still in use, or opened now; null with errno.
std::shared_ptr<const Pack> MountWrap::pack(const std::string& path) {
  auto& known = packs_[path];
  if (auto open = known.lock(); open && !open->unlinked()) return open;
  auto opened = Pack::open(path);
  if (opened) {
    known = opened;
  } else {
    packs_.erase(path);
  }
  return opened;
}

// extents(digest, paths, packs, offsets, lengths, digests): 0, or the errno of a pack that cannot be opened.
Napi::Value MountWrap::extents(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  const Digest digest = digest_of(info[0]);
  const auto paths = info[1].As<Napi::Array>();
  const auto indexes = vector_of<uint32_t>(info[2]);
  const auto offsets = vector_of<double>(info[3]);
  const auto lengths = vector_of<uint32_t>(info[4]);
  const ByteView digests = bytes_of(info[5]);
  std::vector<std::shared_ptr<const Pack>> packs;
  for (uint32_t i = 0; i < paths.Length(); i++) {
    packs.push_back(pack(string_of(paths[i])));
    if (!packs.back()) return Napi::Number::New(env, errno);
  }
  std::vector<Chunk> chunks;
  if (offsets.size() != indexes.size() || lengths.size() != indexes.size() || digests.size != 32 * indexes.size()) {
    return Napi::Number::New(env, EINVAL);
  }
  for (size_t i = 0; i < indexes.size(); i++) {
    Chunk chunk{{}, 0, static_cast<uint64_t>(offsets[i]), lengths[i], indexes[i]};
    if (!(offsets[i] >= 0) || lengths[i] == 0 || chunk.pack >= packs.size()) return Napi::Number::New(env, EINVAL);
    std::memcpy(chunk.digest.data(), digests.data + 32 * i, 32);
    chunks.push_back(chunk);
  }
  Answer answer;
  answer.blob = std::make_shared<Blob>(std::move(packs), std::move(chunks));
  state_->blobs.put(digest, answer.blob);
  state_->misses.answer(Miss{Question::kBlob, key_of(digest)}.id(), answer);
  return Napi::Number::New(env, 0);
}

// remote(digest, size): its ranges are to be asked for.
void MountWrap::remote(const Napi::CallbackInfo& info) {
  const Digest digest = digest_of(info[0]);
  Answer answer;
  answer.blob = std::make_shared<Blob>(number_of(info[1]));
  state_->blobs.put(digest, answer.blob);
  state_->misses.answer(Miss{Question::kBlob, key_of(digest)}.id(), answer);
}

// bytes(digest, offset, size, bytes): a range, answered from here so that the bytes need not be copied.
void MountWrap::bytes(const Napi::CallbackInfo& info) {
  const ByteView view = bytes_of(info[3]);
  Answer answer;
  answer.bytes = view.data;
  answer.size = view.size;
  const Miss miss{Question::kRead, key_of(digest_of(info[0])), number_of(info[1]), number_of(info[2])};
  state_->misses.answer(miss.id(), answer, true);
}

// copy(digest): copies a blob whose places are known for the kernel to read by itself, and lets go on who opens it.
Napi::Value MountWrap::copy(const Napi::CallbackInfo& info) {
  auto work = [state = state_, digest = digest_of(info[0])] {
    if (const auto blob = state->blobs.get(digest)) state->passthrough.copy(digest, *blob);
    state->misses.answer(Miss{Question::kCopy, key_of(digest)}.id(), Answer{});
    return Failure{};
  };
  return run_async(info.Env(), work, [](Napi::Env env) { return env.Undefined(); });
}

// fail(question, key, offset, size, errno)
void MountWrap::fail(const Napi::CallbackInfo& info) {
  Answer answer;
  answer.error = static_cast<int>(number_of(info[4]));
  const Miss miss{static_cast<Question>(number_of(info[0])), string_of(info[1]), number_of(info[2]),
                  number_of(info[3])};
  state_->misses.answer(miss.id(), answer);
}

void MountWrap::totals(const Napi::CallbackInfo& info) {
  state_->totals_bytes = number_of(info[0]);
  state_->totals_files = number_of(info[1]);
}

// Lets go of packs that a collection has replaced.
void MountWrap::sweep(const Napi::CallbackInfo&) {
  bool any = false;
  for (auto at = packs_.begin(); at != packs_.end();) {
    const auto open = at->second.lock();
    any = any || (open && open->unlinked());
    at = open ? std::next(at) : packs_.erase(at);
  }
  if (any) state_->blobs.remove_if([](const Blob& blob) { return blob.uses_unlinked(); });
}

Napi::Value MountWrap::counts(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  Napi::Object out = Napi::Object::New(env);
  auto set = [&](const char* name, uint64_t value) {
    out.Set(name, Napi::Number::New(env, static_cast<double>(value)));
  };
  set("requests", state_->requests);
  set("asked", state_->asked);
  set("inodes", state_->inodes.count());
  set("directoryCache", state_->directories.used());
  set("blobCache", state_->blobs.used());
  set("waiting", state_->misses.waiting());
  set("copies", state_->passthrough.copies());
  set("copyBytes", state_->passthrough.bytes());
  return out;
}

// The object is let go when the end that follows is taken.
Napi::Value MountWrap::stop(const Napi::CallbackInfo& info) {
  auto work = [transport = transport_] {
    if (transport) transport->stop();
    return Failure{};
  };
  return run_async(info.Env(), work, [](Napi::Env env) { return env.Undefined(); }, {info.This().As<Napi::Object>()});
}

void MountWrap::stop_sync(const Napi::CallbackInfo&) { on_exit(&transport_); }

// detach(path): unmounts whatever of ours is there; false when nothing is.
Napi::Value detach_path(const Napi::CallbackInfo& info) {
  const std::string path = string_of(info[0]);
  return run_async(info.Env(), [path] { return detach(path); }, [](Napi::Env env) { return env.Undefined(); });
}

// deviceAt(path): the device number of our mount there, or "".
Napi::Value device_at_path(const Napi::CallbackInfo& info) {
  return Napi::String::New(info.Env(), device_at(string_of(info[0])));
}

Napi::Object init(Napi::Env env, Napi::Object exports) {
  exports.Set("NativeMount", MountWrap::define(env));
  exports.Set("detach", Napi::Function::New(env, detach_path));
  exports.Set("deviceAt", Napi::Function::New(env, device_at_path));
  return exports;
}

}  // namespace

NODE_API_MODULE(fuse, init)

}  // namespace tvix::fuse
