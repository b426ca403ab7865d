# The libFuzzer targets: one executable for each native/fuzz/*_fuzz.cc, the code under it built with ASan and UBSan.
# script/fuzz builds and runs them.
if(NOT CMAKE_CXX_COMPILER_ID MATCHES "Clang")
  message(FATAL_ERROR "libFuzzer needs clang: cmake -DTVIX_FUZZ=ON -DCMAKE_CXX_COMPILER=clang++-19")
endif()

# Recovery is off so that undefined behaviour ends a run like any other finding.
target_compile_options(tvix_native PUBLIC
  -g -fno-omit-frame-pointer -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all)
target_link_options(tvix_native PUBLIC -fsanitize=address,undefined)

include(native/fuse/sources.cmake)
file(GLOB fuzz_sources CONFIGURE_DEPENDS native/fuzz/*_fuzz.cc)
foreach(source ${fuzz_sources})
  get_filename_component(name ${source} NAME_WE)
  add_executable(${name} ${source})
  target_link_libraries(${name} PRIVATE tvix_fuse)
  target_link_options(${name} PRIVATE -fsanitize=fuzzer)
endforeach()
