target_sources(tvix_native PRIVATE native/sha256/sha256.cc)
