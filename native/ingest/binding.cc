// Node-API face of native/ingest: the ingestion pipeline.
#include <napi.h>

namespace tvix {
void init_ingest(Napi::Env, Napi::Object) {}
}  // namespace tvix
