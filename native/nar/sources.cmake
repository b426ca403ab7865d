target_sources(tvix_native PRIVATE native/nar/nar.cc)
