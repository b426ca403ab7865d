// BLAKE3 in plain C++, for CPUs without a vector unit we know.
#include "blake3/words.h"

namespace tvix::blake3 {
const Kernel portable = Implementation<OneByWords>::kernel("portable", 1);
}  // namespace tvix::blake3
