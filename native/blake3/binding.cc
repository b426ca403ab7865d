// Node-API face of native/blake3: BLAKE3.
#include <napi.h>

namespace tvix {
void init_blake3(Napi::Env, Napi::Object) {}
}  // namespace tvix
