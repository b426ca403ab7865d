target_sources(tvix_native PRIVATE native/blake3/blake3.cc)
