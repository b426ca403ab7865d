// BLAKE3 with AVX2: eight chunks side by side.
#if defined(__x86_64__)

#include "blake3/simd_x86.h"

namespace tvix::blake3 {
const Kernel avx2 = Implementation<Rows, Ymm>::kernel("avx2", Ymm::lanes);
}  // namespace tvix::blake3

#endif
