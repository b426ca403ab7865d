target_sources(tvix_native PRIVATE native/ingest/ingest.cc)
