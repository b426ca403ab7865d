// Collection: removing what no root reaches, and giving the space back.
//
//   mark     from the roots, without any lock
//   lock     every pack nobody writes to; chunks in the others are left alone, they may belong to an import under way
//   sweep    one transaction: mark again from the roots as they are now (short, nearly all is marked), remove the rest,
//            advance the generation, by which imports under way notice that what they relied on may be gone
//   repack   packs of which little is alive: copy, sync, commit the new places, unlink
//
// A crash at any point leaves a store that is whole: before the commit nothing has changed, after it packs hold dead
// bytes that the next collection removes. Readers hold descriptors or look places up again.
import { concatBytes } from "../../base/bytes.ts";
import { TvixError } from "../../base/error.ts";
import { PackReader, type PackWriter } from "../../native/pack.ts";
import { asDigest, type Digest } from "../digest.ts";
import type { Node } from "../node.ts";
import type { OperationOptions } from "../progress.ts";
import { DigestList } from "./batch.ts";
import type { LocalIndex, Table } from "./index.ts";
import { Marker } from "./mark.ts";
import { decodeLocation, encodeLocation, fileSize, type Location, type OpenPack, PACK_LIMIT } from "./packs.ts";
import type { LocalStore } from "./store.ts";

/** Share of a pack that must be alive for it to stay as it is. */
const KEEP_SHARE = 0.7;
/** Chunks copied with one native call. */
const COPY_CHUNKS = 2048;

/** What the caller knows and a collection does not. */
export interface CollectHooks {
  /** The roots of all live trees; asked twice, the second time inside the sweep's transaction. */
  readonly roots: () => Iterable<Node>;
  /** Called once between marking and sweeping: may keep more, by marking it. */
  readonly keep?: (marker: Marker, sweepableBytes: () => number) => void;
  /** Inside the sweep's transaction: removes the caller's own entries. Not called in a dry run. */
  readonly sweep?: (marker: Marker) => void;
}

/** Options of {@link collect}. */
export interface CollectOptions extends OperationOptions {
  /** Only say what would be removed. */
  readonly dryRun?: boolean;
  /** Share (0 to 1) of a pack that must be alive for it not to be rewritten. Default 0.7. */
  readonly keepShare?: number;
}

/** What a collection removed, or would. */
export interface CollectSummary {
  readonly liveBytes: number;
  readonly removedChunks: number;
  readonly removedBytes: number;
  readonly removedBlobs: number;
  readonly removedDirectories: number;
  /** By how much the packs became shorter; 0 in a dry run. */
  readonly freedBytes: number;
  /** Packs left alone because someone writes to them. */
  readonly busyPacks: number;
}

interface DeadTrees {
  readonly blobs: DigestList;
  readonly directories: DigestList;
}

interface Dead {
  readonly chunks: DigestList;
  trees: DeadTrees;
  chunkBytes: number;
  /** The state of the tables in which they were found. */
  readonly state: string;
}

/**
 * Collects a local store.
 * @throws TvixError `ERR_STORE_FULL` when a pack cannot be rewritten for lack of space: what is removed stays removed,
 *   and nothing is lost
 */
export async function collect(
  store: LocalStore,
  hooks: CollectHooks,
  options: CollectOptions = {},
): Promise<CollectSummary> {
  const marker = new Marker(store);
  await markAll(hooks, marker, options);
  await store.packs.retireCurrent();
  const locked = await lockPacks(store);
  try {
    return await sweepAndRepack(store, hooks, marker, locked, options);
  } finally {
    for (const writer of locked.writers.values()) await writer.close();
  }
}

async function markAll(hooks: CollectHooks, marker: Marker, options: CollectOptions): Promise<void> {
  let pause = Date.now();
  const breathe = async () => {
    options.signal?.throwIfAborted();
    if (Date.now() - pause < 50) return;
    options.onProgress?.({ phase: "mark", done: marker.size, bytes: marker.bytes });
    await new Promise((done) => {
      setImmediate(done);
    });
    pause = Date.now();
  };
  for (const root of hooks.roots()) {
    for (const _ of marker.walk(root)) await breathe();
    await breathe();
  }
  options.onProgress?.({ phase: "mark", done: marker.size, bytes: marker.bytes });
}

interface LockedPacks {
  readonly writers: Map<number, PackWriter>;
  readonly busy: Set<number>;
}

async function lockPacks(store: LocalStore): Promise<LockedPacks> {
  const locked: LockedPacks = { writers: new Map(), busy: new Set() };
  for (const number of await store.packs.list()) {
    // What cannot be opened is damaged, and left to verify.
    const writer = await store.packs.lock(number).catch(() => undefined);
    if (writer) locked.writers.set(number, writer);
    else locked.busy.add(number);
  }
  return locked;
}

async function sweepAndRepack(
  store: LocalStore,
  hooks: CollectHooks,
  marker: Marker,
  locked: LockedPacks,
  options: CollectOptions,
): Promise<CollectSummary> {
  hooks.keep?.(marker, () => sweepableBytes(store, locked));
  const dead = findDead(store, marker, locked);
  options.signal?.throwIfAborted();
  if (options.dryRun !== true) sweep(store, hooks, marker, dead);
  options.onProgress?.({ phase: "sweep", done: dead.chunks.length, total: dead.chunks.length, bytes: dead.chunkBytes });
  const freedBytes = options.dryRun === true ? 0 : await repack(store, locked, options);
  return {
    liveBytes: marker.bytes,
    removedChunks: dead.chunks.length,
    removedBytes: dead.chunkBytes,
    removedBlobs: dead.trees.blobs.length,
    removedDirectories: dead.trees.directories.length,
    freedBytes,
    busyPacks: locked.busy.size,
  };
}

/** Bytes of all chunks in packs that this collection may touch. */
function sweepableBytes(store: LocalStore, locked: LockedPacks): number {
  let bytes = 0;
  for (const { value } of store.index.chunks.entries()) {
    const location = decodeLocation(value);
    if (location && !locked.busy.has(location.pack)) bytes += location.length;
  }
  return bytes;
}

function findDead(store: LocalStore, marker: Marker, locked: LockedPacks): Dead {
  const { index } = store;
  const dead: Dead = {
    chunks: new DigestList(),
    trees: deadTrees(index, marker),
    chunkBytes: 0,
    state: stateOf(index),
  };
  for (const { key, value } of index.chunks.entries()) {
    const location = decodeLocation(value);
    if (marker.hasChunk(asDigest(key)) || (location && locked.busy.has(location.pack))) continue;
    dead.chunks.push(key);
    dead.chunkBytes += location?.length ?? 0;
  }
  return dead;
}

function deadTrees(index: LocalIndex, marker: Marker): DeadTrees {
  return {
    blobs: deadKeys(index.blobs, (digest) => marker.hasBlob(digest)),
    directories: deadKeys(index.directories, (digest) => marker.hasDirectory(digest)),
  };
}

function deadKeys(table: Table, alive: (digest: Digest) => boolean): DigestList {
  const dead = new DigestList();
  for (const { key } of table.entries()) if (!alive(asDigest(key))) dead.push(key);
  return dead;
}

/** Changes when a directory or a list of chunks is added, or a collection removes anything. */
function stateOf(index: LocalIndex): string {
  return `${index.generation()} ${index.directories.count} ${index.blobs.count}`;
}

function sweep(store: LocalStore, hooks: CollectHooks, marker: Marker, dead: Dead): void {
  const { index } = store;
  index.write(() => {
    for (const root of hooks.roots()) marker.mark(root);
    // An import without a root has come between, and may have relied on chunks that go now: so goes what it wrote.
    if (stateOf(index) !== dead.state) dead.trees = deadTrees(index, marker);
    let removed = 0;
    const removeFrom = (table: Table, list: DigestList, alive: (digest: Digest) => boolean) => {
      for (let i = 0; i < list.length; i++) {
        if (!alive(list.at(i)) && table.remove(list.at(i))) removed++;
      }
    };
    removeFrom(index.directories, dead.trees.directories, (digest) => marker.hasDirectory(digest));
    removeFrom(index.blobs, dead.trees.blobs, (digest) => marker.hasBlob(digest));
    removeFrom(index.chunks, dead.chunks, (digest) => marker.hasChunk(digest));
    hooks.sweep?.(marker);
    if (removed > 0) index.advanceGeneration();
  });
}

/** The chunks of a pack that are in the index. */
interface LiveChunk {
  readonly digest: Digest;
  readonly offset: number;
  readonly length: number;
}

/** Removes packs without live chunks and rewrites those with few. By how many bytes the packs became shorter. */
async function repack(store: LocalStore, locked: LockedPacks, options: CollectOptions): Promise<number> {
  const live = new Map<number, number>();
  for (const { value } of store.index.chunks.entries()) {
    const location = decodeLocation(value);
    if (location) live.set(location.pack, (live.get(location.pack) ?? 0) + location.length);
  }
  const sparse = [...locked.writers.keys()].filter((number) => {
    const size = fileSize(store.packs.path(number)) ?? 0;
    return (live.get(number) ?? 0) < size * (options.keepShare ?? KEEP_SHARE);
  });
  const chunks = new Map<number, LiveChunk[]>(sparse.map((number) => [number, []]));
  for (const { key, value } of store.index.chunks.entries()) {
    const location = decodeLocation(value) as Location;
    chunks.get(location?.pack)?.push({ digest: asDigest(key), offset: location.offset, length: location.length });
  }
  let removed = 0;
  let done = 0;
  const target = new RepackTarget(store);
  try {
    for (const number of sparse) {
      options.signal?.throwIfAborted();
      removed += await rewrite(store, number, chunks.get(number) ?? [], target, locked);
      options.onProgress?.({ phase: "repack", done: ++done, total: sparse.length, bytes: removed });
    }
  } finally {
    await target.close();
  }
  return removed - target.written;
}

/** Packs that live chunks are copied to. */
class RepackTarget {
  readonly #store: LocalStore;
  #pack: OpenPack | undefined;
  /** Bytes of the packs that are closed. */
  written = 0;

  constructor(store: LocalStore) {
    this.#store = store;
  }

  async pack(): Promise<OpenPack> {
    if (this.#pack && this.#pack.writer.size >= PACK_LIMIT) await this.close();
    this.#pack ??= await this.#store.packs.create();
    return this.#pack;
  }

  async close(): Promise<void> {
    this.written += this.#pack?.writer.size ?? 0;
    await this.#pack?.retire();
    this.#pack = undefined;
  }
}

/** Copies what is alive in a pack and removes the pack. Bytes of the pack removed. */
async function rewrite(
  store: LocalStore,
  number: number,
  chunks: LiveChunk[],
  target: RepackTarget,
  locked: LockedPacks,
): Promise<number> {
  const { packs } = store;
  const size = fileSize(packs.path(number)) ?? 0;
  if (chunks.length > 0 && !(await copyLive(store, number, chunks, target))) return 0;
  const writer = locked.writers.get(number) as PackWriter;
  locked.writers.delete(number);
  await packs.remove(number, writer);
  return size;
}

/** False for a damaged pack, which stays: a repair may still need what is whole in it. */
async function copyLive(
  store: LocalStore,
  number: number,
  chunks: LiveChunk[],
  target: RepackTarget,
): Promise<boolean> {
  chunks.sort((a, b) => a.offset - b.offset);
  const reader = PackReader.open(store.packs.path(number));
  try {
    for (let at = 0; at < chunks.length; at += COPY_CHUNKS) {
      await copyGroup(store, number, reader, chunks.slice(at, at + COPY_CHUNKS), await target.pack());
    }
    return true;
  } catch (error) {
    if (error instanceof TvixError && ["ERR_PACK_CORRUPT", "ERR_PACK_FORMAT"].includes(error.code)) return false;
    throw error;
  } finally {
    reader.close();
  }
}

/** Copy, sync, commit the new places. */
async function copyGroup(
  { index }: LocalStore,
  from: number,
  reader: PackReader,
  group: readonly LiveChunk[],
  to: OpenPack,
): Promise<void> {
  const offsets = await to.writer.copy(reader, {
    offsets: Float64Array.from(group, (chunk) => chunk.offset),
    lengths: Uint32Array.from(group, (chunk) => chunk.length),
    digests: concatBytes(group.map((chunk) => chunk.digest)),
  });
  await to.sync();
  index.write(() => {
    for (const [i, chunk] of group.entries()) {
      const now = index.chunks.get(chunk.digest);
      const place = now && decodeLocation(now);
      if (place?.pack !== from || place.offset !== chunk.offset) continue;
      index.chunks.put(chunk.digest, encodeLocation(to.number, offsets[i] as number, chunk.length));
    }
  });
}
