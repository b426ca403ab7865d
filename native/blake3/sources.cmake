# Each implementation is compiled for its own instruction set (a file for another CPU is empty);
# dispatch.cc chooses among them at run time.
target_sources(tvix_native PRIVATE
  native/blake3/batch.cc
  native/blake3/dispatch.cc
  native/blake3/file.cc
  native/blake3/portable.cc
  native/blake3/simd_avx2.cc
  native/blake3/simd_avx512.cc
  native/blake3/simd_neon.cc
  native/blake3/simd_sse41.cc
  native/blake3/tree.cc)
if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|AMD64|amd64)$")
  set_source_files_properties(native/blake3/simd_sse41.cc PROPERTIES COMPILE_OPTIONS "-msse4.1")
  set_source_files_properties(native/blake3/simd_avx2.cc PROPERTIES COMPILE_OPTIONS "-mavx2")
  set(options -mavx512f -mavx512vl)
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    # GCC 12 takes its own _mm512_undefined_epi32() for a mistake, and its scheduler undoes the order of lanes.h.
    list(APPEND options -Wno-uninitialized -Wno-maybe-uninitialized -fno-schedule-insns2)
  endif()
  set_source_files_properties(native/blake3/simd_avx512.cc PROPERTIES COMPILE_OPTIONS "${options}")
endif()
