// Reading blobs from services that are not local, ahead of whoever reads them in order.
import { openBlob } from "../castore/blob/range.ts";
import type { BlobReader, BlobService } from "../castore/blob/service.ts";
import { type Digest, digestKey } from "../castore/digest.ts";

/** Bytes read ahead at a time; at most two such windows are held for each blob. */
const WINDOW = 2 << 20;
/** Blobs held open at most; with {@link WINDOW} this bounds memory. */
const MAX_OPEN = 32;

interface Window {
  readonly start: number;
  readonly end: number;
  readonly bytes: Promise<Uint8Array>;
}

/** A blob open for reading. Once two reads follow each other, what comes next is fetched before it is asked for. */
export class AheadReader {
  readonly size: number;
  readonly #reader: BlobReader;
  #windows: readonly Window[] = [];
  #last = 0;

  constructor(reader: BlobReader) {
    this.#reader = reader;
    this.size = reader.size;
  }

  /** @throws what the service throws for this very range: a failure ahead is nobody's. */
  async read(offset: number, length: number): Promise<Uint8Array> {
    const end = Math.min(this.size, offset + length);
    const sequential = offset === this.#last && offset > 0;
    this.#last = end;
    const window = this.#windows.find((one) => one.start <= offset && end <= one.end);
    if (!window) {
      if (sequential) this.#windows = this.#next(end);
      return await this.#reader.read(offset, length);
    }
    // The last window is in use: one more behind it, and those before it are done with.
    if (window === this.#windows.at(-1)) this.#windows = [window, ...this.#next(window.end)];
    const bytes = await window.bytes.catch(() => undefined);
    return bytes?.slice(offset - window.start, end - window.start) ?? (await this.#reader.read(offset, length));
  }

  #next(start: number): Window[] {
    const end = Math.min(this.size, start + WINDOW);
    if (end <= start) return [];
    const bytes = this.#reader.read(start, end - start);
    bytes.catch(() => {});
    return [{ start, end, bytes }];
  }
}

/** The blobs read lately. */
export class AheadReaders {
  readonly #blobs: BlobService;
  /** Least recently used first. */
  readonly #open = new Map<string, Promise<AheadReader>>();

  constructor(blobs: BlobService) {
    this.#blobs = blobs;
  }

  /** @throws TvixError `ERR_CASTORE_MISSING`, or what the service throws; asked again next time. */
  open(digest: Digest): Promise<AheadReader> {
    const key = digestKey(digest);
    const known = this.#open.get(key);
    this.#open.delete(key);
    const reader = known ?? this.#start(digest, key);
    this.#open.set(key, reader);
    const [oldest] = this.#open.keys();
    if (this.#open.size > MAX_OPEN && oldest !== undefined) this.#open.delete(oldest);
    return reader;
  }

  #start(digest: Digest, key: string): Promise<AheadReader> {
    const opening = openBlob(this.#blobs, digest).then((reader) => new AheadReader(reader));
    opening.catch(() => this.#open.delete(key));
    return opening;
  }
}
