// Unpacking archives into a castore as they arrive. Who sends them is not trusted: nothing touches the file system,
// paths out of the tree are refused, and size, number and depth are limited.
import { concatBytes } from "../../base/bytes.ts";
import { TvixError } from "../../base/error.ts";
import { EntryIngestion, type EntryLimits } from "../../castore/ingest/entries.ts";
import type { Node } from "../../castore/node.ts";
import type { Castore } from "../../castore/tree.ts";
import { decompress, detectCompression } from "../../formats/compress.ts";
import { readTar, type TarEvent, tarPathParts } from "../../formats/tar.ts";

/** How much an archive may hold. */
export interface UnpackLimits extends EntryLimits {
  /** Unpacked bytes that any archive may hold. */
  readonly bytes: number;
  /** Unpacked bytes per packed byte that a larger one may hold: honest archives stay far below. */
  readonly ratio: number;
}

/** What archives may hold unless said otherwise. */
export const UNPACK_LIMITS: UnpackLimits = { entries: 1 << 23, depth: 1024, bytes: 2 ** 31, ratio: 512 };

/** What came of an archive. */
export interface Unpacked {
  readonly root: Node;
  /** The latest modification time of an entry, in seconds since 1970. */
  readonly lastModified: number;
}

type Source = AsyncIterable<Uint8Array>;

/**
 * Unpacks a tar archive, compressed or not, told by its first bytes. A single directory at the top is taken off.
 *
 * @throws TvixError `ERR_TAR_…`, `ERR_COMPRESS_…`, `ERR_CASTORE_TREE_…`, `ERR_FETCH_ARCHIVE_LIMIT`,
 *   `ERR_FETCH_ARCHIVE_KIND`, or what `source` throws
 */
export async function unpackTarball(
  castore: Castore,
  source: Source,
  limits: UnpackLimits = UNPACK_LIMITS,
): Promise<Unpacked> {
  const { start, all } = await startOf(source);
  if (start[0] === 0x50 && start[1] === 0x4b) {
    throw new TvixError("ERR_FETCH_ARCHIVE_KIND", "zip archives are not supported", {
      notes: ["tar archives are, uncompressed or with gzip, bzip2, xz or zstd"],
    });
  }
  let packed = 0;
  let unpacked = 0;
  const counted = count(all, (size) => {
    packed += size;
  });
  const tar = count(decompress(detectCompression(start), counted), (size) => {
    unpacked += size;
    if (unpacked > Math.max(limits.bytes, limits.ratio * packed)) {
      throw new TvixError("ERR_FETCH_ARCHIVE_LIMIT", `the archive unpacks to more than ${unpacked} bytes`, {
        notes: [`of it ${packed} bytes were read; such archives are made to fill disks`],
      });
    }
  });
  const ingestion = new EntryIngestion(castore, limits);
  try {
    const lastModified = await takeEntries(ingestion, readTar(tar));
    return { root: await ingestion.finish({ unwrap: true }), lastModified };
  } finally {
    ingestion.abort();
  }
}

/** Takes all entries; answers the latest modification time. */
async function takeEntries(ingestion: EntryIngestion, events: AsyncIterable<TarEvent>): Promise<number> {
  let lastModified = 0;
  for await (const event of events) {
    if (event.type === "contents") {
      await ingestion.contents(event.bytes);
      continue;
    }
    const path = tarPathParts(event.path);
    lastModified = Math.max(lastModified, Math.floor(event.mtime));
    switch (event.kind) {
      case "file":
        ingestion.file(path, event);
        break;
      case "directory":
        ingestion.directory(path);
        break;
      case "symlink":
        ingestion.symlink(path, event.target as Uint8Array);
        break;
      case "hardlink":
        ingestion.link(path, tarPathParts(event.target as Uint8Array));
        break;
      default:
        throw new TvixError("ERR_FETCH_ARCHIVE_KIND", `the archive has a ${event.kind}, which no store can keep`);
    }
  }
  return lastModified;
}

/** The first bytes, and a stream of all. */
async function startOf(source: Source): Promise<{ start: Uint8Array; all: Source }> {
  const pieces = source[Symbol.asyncIterator]();
  const first: Uint8Array[] = [];
  let have = 0;
  while (have < 6) {
    const next = await pieces.next();
    if (next.done === true) break;
    first.push(next.value);
    have += next.value.length;
  }
  const start = concatBytes(first);
  async function* all(): AsyncGenerator<Uint8Array> {
    try {
      if (start.length > 0) yield start;
      for (let next = await pieces.next(); next.done !== true; next = await pieces.next()) yield next.value;
    } finally {
      await pieces.return?.();
    }
  }
  return { start, all: all() };
}

async function* count(source: Source, add: (size: number) => void): AsyncGenerator<Uint8Array, void, undefined> {
  for await (const piece of source) {
    add(piece.length);
    yield piece;
  }
}
