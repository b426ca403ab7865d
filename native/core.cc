// The core addon's entry: each room under native/ adds its functions to the exports.
#include <napi.h>

namespace tvix {
void init_blake3(Napi::Env env, Napi::Object exports);
void init_sha256(Napi::Env env, Napi::Object exports);
void init_chunk(Napi::Env env, Napi::Object exports);
void init_pack(Napi::Env env, Napi::Object exports);
void init_nar(Napi::Env env, Napi::Object exports);
void init_ingest(Napi::Env env, Napi::Object exports);
void init_index(Napi::Env env, Napi::Object exports);
}  // namespace tvix

static Napi::Object init(Napi::Env env, Napi::Object exports) {
  tvix::init_blake3(env, exports);
  tvix::init_sha256(env, exports);
  tvix::init_chunk(env, exports);
  tvix::init_pack(env, exports);
  tvix::init_nar(env, exports);
  tvix::init_ingest(env, exports);
  tvix::init_index(env, exports);
  return exports;
}

NODE_API_MODULE(core, init)
