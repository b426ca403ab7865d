# The SHA instructions' files are compiled for them (and empty for another CPU); sha256.cc chooses at run time.
target_sources(tvix_native PRIVATE
  native/sha256/rounds_arm.cc
  native/sha256/rounds_x86.cc
  native/sha256/sha256.cc)
if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|AMD64|amd64)$")
  set_source_files_properties(native/sha256/rounds_x86.cc PROPERTIES COMPILE_OPTIONS "-msse4.1;-msha")
elseif(CMAKE_SYSTEM_PROCESSOR MATCHES "^(aarch64|arm64)$")
  set_source_files_properties(native/sha256/rounds_arm.cc PROPERTIES COMPILE_OPTIONS "-march=armv8-a+crypto")
endif()
