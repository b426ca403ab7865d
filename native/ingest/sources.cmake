target_sources(tvix_native PRIVATE native/ingest/batch.cc native/ingest/scan.cc native/ingest/session.cc)
