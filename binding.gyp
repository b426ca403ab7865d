# The fuse addon: native/fuse against libfuse3, Linux only. `npm run build:fuse` builds it (script/build-fuse.mjs);
# the core addon is CMakeLists.txt's. Files for other instruction sets need flags of their own, hence the libraries.
{
  "target_defaults": {
    "include_dirs": ["native", "node_modules/node-addon-api"],
    "defines": [
      "NAPI_VERSION=9", "NAPI_DISABLE_CPP_EXCEPTIONS", "NODE_API_SWALLOW_UNTHROWABLE_EXCEPTIONS",
      "BUILDING_NODE_EXTENSION", "_FILE_OFFSET_BITS=64"
    ],
    "cflags": ["-O2", "-fPIC", "-fvisibility=hidden", "-pthread", "-Wall", "-Wextra"],
    "cflags_cc": ["-std=c++20"]
  },
  "targets": [
    {
      "target_name": "blake3_sse41",
      "type": "static_library",
      "sources": ["native/blake3/simd_sse41.cc"],
      "conditions": [["target_arch=='x64'", {"cflags": ["-msse4.1"]}]]
    },
    {
      "target_name": "blake3_avx2",
      "type": "static_library",
      "sources": ["native/blake3/simd_avx2.cc"],
      "conditions": [["target_arch=='x64'", {"cflags": ["-mavx2"]}]]
    },
    {
      "target_name": "blake3_avx512",
      "type": "static_library",
      "sources": ["native/blake3/simd_avx512.cc"],
      "conditions": [["target_arch=='x64'", {
        "cflags": ["-mavx512f", "-mavx512vl", "-Wno-uninitialized", "-Wno-maybe-uninitialized",
                   "-fno-schedule-insns2"]
      }]]
    },
    {
      "target_name": "fuse",
      "type": "loadable_module",
      "product_extension": "node",
      "product_prefix": "",
      "dependencies": ["blake3_sse41", "blake3_avx2", "blake3_avx512"],
      "sources": [
        "native/blake3/dispatch.cc", "native/blake3/portable.cc", "native/blake3/simd_neon.cc",
        "native/blake3/tree.cc",
        "native/common/binding.cc", "native/common/failure.cc",
        "native/fuse/addon.cc", "native/fuse/blob.cc", "native/fuse/copy.cc", "native/fuse/device.cc",
        "native/fuse/directory.cc",
        "native/fuse/guest_memory.cc", "native/fuse/guest_session.cc", "native/fuse/inodes.cc",
        "native/fuse/misses.cc", "native/fuse/operations.cc", "native/fuse/passthrough.cc", "native/fuse/request.cc",
        "native/fuse/teller.cc", "native/fuse/vhost_user.cc", "native/fuse/virtqueue.cc"
      ],
      "cflags": ["<!@(pkg-config --cflags fuse3)"],
      "libraries": ["<!@(pkg-config --libs fuse3)", "-pthread"]
    }
  ]
}
