// Node-API face of native/sha256: SHA-256.
#include <napi.h>

namespace tvix {
void init_sha256(Napi::Env, Napi::Object) {}
}  // namespace tvix
