// A store that is only read, whatever the one below it allows.
import { TvixError } from "../../base/error.ts";
import type { BlobService } from "../../castore/blob/service.ts";
import type { DirectoryService } from "../../castore/directory/service.ts";
import type { Store } from "../store.ts";
import { wrapStore } from "./wrap.ts";

/** Refuses all writes with `ERR_STORE_READONLY`. */
export function readOnlyStore(inner: Store): Store {
  const refuse = (): never => {
    throw new TvixError("ERR_STORE_READONLY", `the store ${inner.address} can only be read here`);
  };
  const refuseLater = async (): Promise<never> => refuse();
  const { blobs, directories } = inner.castore;
  const readBlobs: BlobService = {
    has: (digests) => blobs.has(digests),
    openRead: (digest) => blobs.openRead(digest),
    chunks: (digest) => blobs.chunks(digest),
    put: refuseLater,
    openWrite: refuse,
  };
  const readDirectories: DirectoryService = {
    has: (digests) => directories.has(digests),
    get: (digest) => directories.get(digest),
    getClosure: (root) => directories.getClosure(root),
    put: refuseLater,
    putClosure: refuseLater,
  };
  return wrapStore(inner, {
    castore: { blobs: readBlobs, directories: readDirectories },
    pathInfos: {
      get: (hash) => inner.pathInfos.get(hash),
      list: () => inner.pathInfos.list(),
      put: refuseLater,
    },
    narIndex: { get: (narSha256) => inner.narIndex.get(narSha256), put: refuseLater },
  });
}
