# What of the mount works without libfuse: compiled here for the unit tests. The addon itself is binding.gyp's.
target_sources(native_test PRIVATE
  native/fuse/blob.cc
  native/fuse/directory.cc
  native/fuse/guest_memory.cc
  native/fuse/inodes.cc
  native/fuse/misses.cc
  native/fuse/request.cc
  native/fuse/virtqueue.cc)
