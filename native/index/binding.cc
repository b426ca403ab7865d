// Node-API face of native/index; lib/native/index-check.ts documents the function.
#include "common/loop.h"
#include "index/check.h"

namespace tvix {

namespace {

// (path, names of tables, lengths of their keys, strict) → a promise of the problems in words.
Napi::Value check_index(const Napi::CallbackInfo& info) {
  auto names = info[1].As<Napi::Array>();
  auto lengths = vector_of<uint32_t>(info[2]);
  auto tables = std::make_shared<index::Tables>();
  for (uint32_t i = 0; i < names.Length() && i < lengths.size(); i++)
    (*tables)[names.Get(i).ToString().Utf8Value()] = lengths[i];
  auto problems = std::make_shared<std::vector<std::string>>();
  return run_async(
      info.Env(),
      [path = string_of(info[0]), tables, strict = info[3].ToBoolean().Value(), problems] {
        return index::check(path, *tables, strict, *problems);
      },
      [problems](Napi::Env env) {
        auto out = Napi::Array::New(env, problems->size());
        for (uint32_t i = 0; i < problems->size(); i++) out.Set(i, Napi::String::New(env, (*problems)[i]));
        return out;
      });
}

}  // namespace

void init_index(Napi::Env env, Napi::Object exports) {
  exports.Set("checkIndex", Napi::Function::New<check_index>(env, "checkIndex"));
}

}  // namespace tvix
