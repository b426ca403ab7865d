target_sources(tvix_native PRIVATE native/chunk/fastcdc.cc)
