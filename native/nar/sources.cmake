target_sources(tvix_native PRIVATE native/nar/reader.cc native/nar/writer.cc native/nar/tree.cc native/nar/unpack.cc
  native/nar/stream.cc native/nar/render.cc)
