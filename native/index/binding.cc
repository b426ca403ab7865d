// Node-API face of native/index; lib/native/index-check.ts documents the function.
#include "common/loop.h"
#include "index/check.h"

namespace tvix {

namespace {

// (path, names of tables, lengths of their keys, strict)
struct Question {
  std::string path;
  index::Tables tables;
  bool strict;

  explicit Question(const Napi::CallbackInfo& info) : path(string_of(info[0])), strict(info[3].ToBoolean().Value()) {
    auto names = info[1].As<Napi::Array>();
    auto lengths = vector_of<uint32_t>(info[2]);
    for (uint32_t i = 0; i < names.Length() && i < lengths.size(); i++)
      tables[names.Get(i).ToString().Utf8Value()] = lengths[i];
  }
};

Napi::Value in_words(Napi::Env env, const std::vector<std::string>& problems) {
  auto out = Napi::Array::New(env, problems.size());
  for (uint32_t i = 0; i < problems.size(); i++) out.Set(i, Napi::String::New(env, problems[i]));
  return out;
}

// → a promise of the problems in words.
Napi::Value check_index(const Napi::CallbackInfo& info) {
  auto problems = std::make_shared<std::vector<std::string>>();
  return run_async(
      info.Env(),
      [question = Question(info), problems] {
        return index::check(question.path, question.tables, question.strict, *problems);
      },
      [problems](Napi::Env env) { return in_words(env, *problems); });
}

// → the problems in words.
Napi::Value check_index_sync(const Napi::CallbackInfo& info) {
  const Question question(info);
  std::vector<std::string> problems;
  const Failure failure = index::check(question.path, question.tables, question.strict, problems);
  return failure ? throw_failure(info.Env(), failure) : in_words(info.Env(), problems);
}

}  // namespace

void init_index(Napi::Env env, Napi::Object exports) {
  exports.Set("checkIndex", Napi::Function::New<check_index>(env, "checkIndex"));
  exports.Set("checkIndexSync", Napi::Function::New<check_index_sync>(env, "checkIndexSync"));
}

}  // namespace tvix
