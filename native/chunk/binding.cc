// Node-API face of native/chunk: content-defined chunking.
#include <napi.h>

namespace tvix {
void init_chunk(Napi::Env, Napi::Object) {}
}  // namespace tvix
