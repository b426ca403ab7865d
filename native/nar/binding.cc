// Node-API face of native/nar: NAR streams.
#include <napi.h>

namespace tvix {
void init_nar(Napi::Env, Napi::Object) {}
}  // namespace tvix
