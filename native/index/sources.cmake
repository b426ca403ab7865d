target_sources(tvix_native PRIVATE native/index/check.cc)
