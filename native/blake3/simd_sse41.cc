// BLAKE3 with SSE4.1: four chunks side by side. (SSSE3's byte shuffle and SSE4.1's blends are what is needed beyond the
// base instruction set.)
#if defined(__x86_64__)

#include "blake3/simd_x86.h"

namespace tvix::blake3 {
const Kernel sse41 = Implementation<Rows, Xmm>::kernel("sse4.1", Xmm::lanes);
}  // namespace tvix::blake3

#endif
