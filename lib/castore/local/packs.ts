// The packs of a local store: which files there are, who writes to which, and readers kept open.
//
// Pack N is `packs/NNNNNN.pack`. A pack has one writer at a time, held by an advisory lock; each writing process takes
// its own. The lock is held until the index entries for what was appended are committed, so a collector that gets the
// lock knows that the index tells everything about the pack.
import { statSync } from "node:fs";
import { mkdir, readdir, truncate, unlink } from "node:fs/promises";
import { join } from "node:path";
import { concatBytes } from "../../base/bytes.ts";
import { TvixError } from "../../base/error.ts";
import { PackReader, PackWriter } from "../../native/pack.ts";
import type { ChunkMeta } from "../blob/service.ts";
import { type LocalIndex, storeFull } from "./index.ts";

/** Length at which a pack takes no further chunks, in bytes. */
export const PACK_LIMIT: number = 2 ** 30;

/** Most packs kept open for reading. */
const MAX_READERS = 64;

/** Where a chunk's bytes are. */
export interface Location {
  readonly pack: number;
  readonly offset: number;
  readonly length: number;
}

/** A location as an index entry: pack u32, length u32, offset u64, little-endian. */
export function encodeLocation(pack: number, offset: number, length: number): Uint8Array {
  const out = new Uint8Array(16);
  const view = new DataView(out.buffer);
  view.setUint32(0, pack, true);
  view.setUint32(4, length, true);
  view.setUint32(8, offset % 2 ** 32, true);
  view.setUint32(12, Math.floor(offset / 2 ** 32), true);
  return out;
}

/** The inverse of {@link encodeLocation}; `undefined` for what it never made. */
export function decodeLocation(value: Uint8Array): Location | undefined {
  if (value.length !== 16) return undefined;
  const view = new DataView(value.buffer, value.byteOffset, 16);
  const high = view.getUint32(12, true);
  if (high >= 2 ** 21) return undefined;
  return {
    pack: view.getUint32(0, true),
    length: view.getUint32(4, true),
    offset: high * 2 ** 32 + view.getUint32(8, true),
  };
}

/**
 * A pack this process writes to. Whoever appends takes a hold first and releases it when what was appended is
 * committed or given up; the lock goes with the last hold once the pack is retired.
 */
export class OpenPack {
  readonly number: number;
  readonly writer: PackWriter;
  #holds = 0;
  #retired = false;
  #failed = false;
  #syncing: { size: number; done: Promise<void> } | undefined;
  /** Length up to which index entries may refer to this pack. */
  #durable: number;

  constructor(number: number, writer: PackWriter) {
    this.number = number;
    this.writer = writer;
    this.#durable = writer.size;
  }

  get retired(): boolean {
    return this.#retired;
  }

  hold(): void {
    this.#holds++;
  }

  async release(): Promise<void> {
    this.#holds--;
    if (this.#retired && this.#holds === 0) await this.#close();
  }

  /** Takes no new holders. */
  async retire(): Promise<void> {
    if (this.#retired) return;
    this.#retired = true;
    if (this.#holds === 0) await this.#close();
  }

  /** Notes that the writer has failed: what it wrote since its last sync will never be referred to. */
  fail(): void {
    this.#failed = true;
  }

  /** Cuts off what a failed writer has left, which on a full disk is what stands in the way, while the lock is held. */
  async #close(): Promise<void> {
    if (this.#failed) await truncate(this.writer.path as string, this.#durable).catch(() => {});
    await this.writer.close();
  }

  /** Makes everything appended so far durable; nothing to do when it is. */
  sync(): Promise<void> {
    const size = this.writer.size;
    if (this.#syncing?.size !== size) this.#syncing = { size, done: this.#sync(size) };
    return this.#syncing.done;
  }

  async #sync(size: number): Promise<void> {
    await this.writer.sync();
    this.#durable = Math.max(this.#durable, size);
  }
}

/** The packs of one store, as one process sees them. */
export class Packs {
  readonly directory: string;
  readonly #index: LocalIndex;
  /** Number to reader, least recently used first. */
  readonly #readers = new Map<number, PackReader>();
  #current: OpenPack | undefined;
  #opening: Promise<OpenPack> | undefined;

  constructor(directory: string, index: LocalIndex) {
    this.directory = join(directory, "packs");
    this.#index = index;
  }

  path(number: number): string {
    return join(this.directory, `${String(number).padStart(6, "0")}.pack`);
  }

  /** The numbers of all packs there are, ascending. */
  async list(): Promise<number[]> {
    const names = await readdir(this.directory).catch((error: NodeJS.ErrnoException) => {
      if (error.code === "ENOENT") return [];
      throw error;
    });
    const numbers = names.flatMap((name) => (/^\d{6,10}\.pack$/.test(name) ? [Number.parseInt(name, 10)] : []));
    return numbers.sort((a, b) => a - b);
  }

  /**
   * Locks a pack for writing; `undefined` when someone else has it or it is gone.
   * @throws TvixError `ERR_PACK_FORMAT`, `ERR_PACK_FULL`, `ERR_PACK_IO`.
   */
  async lock(number: number): Promise<PackWriter | undefined> {
    const path = this.path(number);
    if (fileSize(path) === undefined) return undefined;
    return await this.#open(path);
  }

  async #open(path: string): Promise<PackWriter | undefined> {
    try {
      const writer = await PackWriter.open(path);
      // Unlinked between the open and the lock: what we hold has no name any more. Once locked, none unlinks it.
      if (fileSize(path) !== undefined) return writer;
      await writer.close();
      return undefined;
    } catch (error) {
      if (error instanceof TvixError && (error.code === "ERR_PACK_LOCKED" || error.code === "ERR_PACK_MISSING")) {
        return undefined;
      }
      throw error;
    }
  }

  /** A pack to append to, held for the caller: this process's own, another with room, or a new one. */
  async take(): Promise<OpenPack> {
    for (;;) {
      const pack = this.#current ?? (await this.#openOne());
      if (!pack.retired && pack.writer.size < PACK_LIMIT) {
        this.#current = pack;
        pack.hold();
        return pack;
      }
      if (this.#current === pack) this.#current = undefined;
      await pack.retire();
    }
  }

  /** Callers that come while a pack is being opened share it. */
  #openOne(): Promise<OpenPack> {
    this.#opening ??= this.#takeAny().finally(() => {
      this.#opening = undefined;
    });
    return this.#opening;
  }

  async #takeAny(): Promise<OpenPack> {
    await mkdir(this.directory, { recursive: true });
    for (const number of (await this.list()).reverse()) {
      const size = fileSize(this.path(number));
      if (size === undefined || size >= PACK_LIMIT) continue;
      // A pack that cannot be opened is verify's business; writing goes on elsewhere.
      const writer = await this.lock(number).catch(() => undefined);
      if (writer) return new OpenPack(number, writer);
    }
    return await this.create();
  }

  /** A new, locked pack, not held and not this process's current one. */
  async create(): Promise<OpenPack> {
    await mkdir(this.directory, { recursive: true });
    for (;;) {
      const number = this.#index.takePackNumber();
      // A store restored without its index may have files of higher numbers.
      if (fileSize(this.path(number)) !== undefined) continue;
      const writer = await this.#open(this.path(number));
      if (writer) return new OpenPack(number, writer);
    }
  }

  /** Gives up a pack whose writer failed: what was appended since its last sync is lost, its holders will be told. */
  async abandon(pack: OpenPack): Promise<void> {
    if (this.#current === pack) this.#current = undefined;
    pack.fail();
    await pack.retire();
  }

  /** Stops appending to this process's pack; batches under way keep theirs until they end. */
  async retireCurrent(): Promise<void> {
    const pack = this.#current;
    this.#current = undefined;
    await pack?.retire();
  }

  /** A reader of a pack. @throws TvixError `ERR_PACK_MISSING`, `ERR_PACK_FORMAT`, `ERR_PACK_IO` */
  reader(number: number): PackReader {
    const known = this.#readers.get(number);
    if (known) {
      if (this.#readers.size > MAX_READERS / 2) {
        this.#readers.delete(number);
        this.#readers.set(number, known);
      }
      return known;
    }
    // A good moment to let go of what a collection has replaced.
    this.#forgetUnlinked();
    const reader = PackReader.open(this.path(number));
    this.#readers.set(number, reader);
    if (this.#readers.size > MAX_READERS) {
      const [oldest] = this.#readers;
      if (oldest) this.#forget(oldest[0]);
    }
    return reader;
  }

  /** Closes readers of packs that were unlinked, so that their space is given back. */
  #forgetUnlinked(): void {
    for (const number of this.#readers.keys()) if (fileSize(this.path(number)) === undefined) this.#forget(number);
  }

  #forget(number: number): void {
    this.#readers.get(number)?.close();
    this.#readers.delete(number);
  }

  /** Fills `into` with chunks of one pack, verified, one behind the other, in one call off the event loop. */
  async read(pack: number, chunks: readonly ChunkMeta[], places: readonly Location[], into: Uint8Array): Promise<void> {
    const offsets = Float64Array.from(places, (place) => place.offset);
    const lengths = Uint32Array.from(places, (place) => place.length);
    const digests = concatBytes(chunks.map((chunk) => chunk.digest));
    await this.reader(pack).read({ offsets, lengths, digests }, into);
  }

  /** Removes a pack that holds nothing alive and that `writer` has locked. */
  async remove(number: number, writer: PackWriter): Promise<void> {
    this.#forget(number);
    await unlink(this.path(number));
    await writer.close();
  }

  /** Lets go of all files. */
  async close(): Promise<void> {
    for (const number of this.#readers.keys()) this.#forget(number);
    await this.retireCurrent();
  }
}

/** Says of a full disk what a full store is; other errors stay as they are. */
export function packFailure(error: unknown, directory: string): unknown {
  if (!(error instanceof TvixError) || error.code !== "ERR_PACK_FULL") return error;
  return storeFull(directory, error);
}

/** Length of a file in bytes; `undefined` when there is none. */
export function fileSize(path: string): number | undefined {
  return statSync(path, { throwIfNoEntry: false })?.size;
}
