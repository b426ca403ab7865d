# Each implementation is compiled for its own instruction set; dispatch.cc chooses among them at run time.
target_sources(tvix_native PRIVATE
  native/blake3/batch.cc
  native/blake3/dispatch.cc
  native/blake3/file.cc
  native/blake3/portable.cc
  native/blake3/tree.cc)
