# The mount for unit tests and fuzzers: what works without libfuse and, where libfuse is, sessions of guests.
# The addon itself is binding.gyp's.
add_library(tvix_fuse STATIC
  native/fuse/blob.cc
  native/fuse/copy.cc
  native/fuse/directory.cc
  native/fuse/guest_memory.cc
  native/fuse/inodes.cc
  native/fuse/misses.cc
  native/fuse/passthrough.cc
  native/fuse/request.cc
  native/fuse/teller.cc
  native/fuse/virtqueue.cc)
target_link_libraries(tvix_fuse PUBLIC tvix_native)
find_package(PkgConfig)
if(PkgConfig_FOUND)
  pkg_check_modules(fuse3 IMPORTED_TARGET fuse3)
endif()
if(fuse3_FOUND)
  target_sources(tvix_fuse PRIVATE native/fuse/guest_session.cc native/fuse/operations.cc
    native/fuse/vhost_user.cc)
  target_compile_definitions(tvix_fuse PUBLIC TVIX_HAS_LIBFUSE)
  target_link_libraries(tvix_fuse PUBLIC PkgConfig::fuse3)
endif()
