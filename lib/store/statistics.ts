// Numbers about a local store: what is in it, what it takes, and what deduplication saves.
import { statSync } from "node:fs";
import { join } from "node:path";
import { Directory } from "../castore/directory.ts";
import { decodeLocation, fileSize } from "../castore/local/packs.ts";
import type { OperationOptions } from "../castore/progress.ts";
import { listRootsSync } from "./roots.ts";
import type { Store } from "./store.ts";

/** Counts that cost nothing: what `info` shows at once. */
export interface StoreCounts {
  readonly address: string;
  readonly paths: number;
  readonly roots: number;
  readonly directories: number;
  readonly chunks: number;
  /** Blobs of more than one chunk. */
  readonly chunkedBlobs: number;
  readonly packs: number;
  /** Bytes of all packs. */
  readonly packBytes: number;
  /** Bytes of the index. */
  readonly indexBytes: number;
}

/** Numbers that take a pass over the index. */
export interface StoreStatistics extends StoreCounts {
  /** Bytes of all chunks, each once. */
  readonly chunkBytes: number;
  /** Bytes of the NARs of all paths: what they would take one by one. */
  readonly narBytes: number;
  /** Bytes of the contents of all files of all paths. */
  readonly fileBytes: number;
  /** `fileBytes` divided by the bytes of the chunks: 1 without any duplicate. */
  readonly deduplication: number;
  /** Bytes in packs that are no chunk of the index: what a collection could give back, besides record headers. */
  readonly deadBytes: number;
}

/** Counts of a local store. */
export async function countStore(store: Store): Promise<StoreCounts> {
  const local = store.requireLocal("counting");
  const { index, packs, directory } = local.castore;
  const numbers = await packs.list();
  const data = statSync(join(directory, "index.lmdb", "data.mdb"), { throwIfNoEntry: false });
  return {
    address: store.address,
    paths: local.pathInfos.table.count,
    roots: listRootsSync(local).length,
    directories: index.directories.count,
    chunks: index.chunks.count,
    chunkedBlobs: index.blobs.count,
    packs: numbers.length,
    packBytes: numbers.reduce((sum, number) => sum + (fileSize(packs.path(number)) ?? 0), 0),
    // The index file has holes where pages are free; what it takes is what it has blocks for.
    indexBytes: data ? data.blocks * 512 : 0,
  };
}

/** All numbers of a local store. */
export async function measureStore(store: Store, options: OperationOptions = {}): Promise<StoreStatistics> {
  const local = store.requireLocal("measuring");
  const counts = await countStore(store);
  const { index } = local.castore;
  let chunkBytes = 0;
  for (const { value } of index.chunks.entries()) chunkBytes += decodeLocation(value)?.length ?? 0;
  let narBytes = 0;
  let fileBytes = 0;
  const sizes = new Map<string, number>();
  for (const info of local.pathInfos.listSync()) {
    options.signal?.throwIfAborted();
    narBytes += info.narSize;
    fileBytes += info.root.type === "file" ? info.root.size : 0;
    if (info.root.type === "directory") fileBytes += treeBytes(store, info.root.digest, sizes);
  }
  return {
    ...counts,
    chunkBytes,
    narBytes,
    fileBytes,
    deduplication: chunkBytes === 0 ? 1 : fileBytes / chunkBytes,
    deadBytes: Math.max(0, counts.packBytes - chunkBytes),
  };
}

/** Bytes of all files in a directory and below; each directory is added up once. */
function treeBytes(store: Store, root: Uint8Array, sizes: Map<string, number>): number {
  const { directories } = store.requireLocal("measuring").castore.index;
  const sum = (digest: Uint8Array): number => {
    const key = Buffer.from(digest).toString("latin1");
    const known = sizes.get(key);
    if (known !== undefined) return known;
    let bytes = 0;
    const encoded = directories.get(digest);
    for (const { node } of encoded ? Directory.decode(encoded).entries : []) {
      if (node.type === "file") bytes += node.size;
      else if (node.type === "directory") bytes += sum(node.digest);
    }
    sizes.set(key, bytes);
    return bytes;
  };
  return sum(root);
}
