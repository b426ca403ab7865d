target_sources(tvix_native PRIVATE native/common/failure.cc)
