target_sources(tvix_native PRIVATE native/common/buffer_pool.cc native/common/failure.cc)
