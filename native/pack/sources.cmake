target_sources(tvix_native PRIVATE native/pack/writer.cc native/pack/reader.cc)
