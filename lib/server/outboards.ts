// Outboards of the blobs that a server serves: made when they are first asked for, and the last ones kept.
import { OutboardBuilder, outboardLength } from "../castore/blob/outboard.ts";
import type { BlobService } from "../castore/blob/service.ts";
import { type Digest, digestKey } from "../castore/digest.ts";
import { MESSAGE_LIMIT } from "../castore/grpc/endpoint.ts";

/** Bytes of outboards kept: those of 16 GiB of blobs. */
const KEPT_BYTES = 64 << 20;

/** Makes and keeps outboards. */
export class Outboards {
  readonly #blobs: BlobService;
  readonly #kept = new Map<string, Promise<Uint8Array | undefined>>();
  #bytes = 0;

  constructor(blobs: BlobService) {
    this.#blobs = blobs;
  }

  /** The outboard of a blob; `undefined` when it is not there, or so long that its outboard fits no message. */
  get(digest: Digest): Promise<Uint8Array | undefined> {
    const key = digestKey(digest);
    const kept = this.#kept.get(key);
    // What was used last is dropped last.
    if (kept) this.#kept.delete(key);
    const outboard = kept ?? this.#make(digest, key);
    this.#kept.set(key, outboard);
    return outboard;
  }

  async #make(digest: Digest, key: string): Promise<Uint8Array | undefined> {
    try {
      const reader = await this.#blobs.openRead(digest);
      if (reader === undefined || outboardLength(reader.size) > MESSAGE_LIMIT / 2) {
        this.#kept.delete(key);
        return undefined;
      }
      const builder = new OutboardBuilder();
      for await (const piece of reader.stream()) builder.update(piece);
      const { outboard } = builder.finish();
      this.#bytes += outboard.length;
      void this.#trim();
      return outboard;
    } catch (error) {
      this.#kept.delete(key);
      throw error;
    }
  }

  async #trim(): Promise<void> {
    for (const [key, kept] of this.#kept) {
      if (this.#bytes <= KEPT_BYTES || this.#kept.size <= 1) return;
      this.#kept.delete(key);
      this.#bytes -= (await kept.catch(() => undefined))?.length ?? 0;
    }
  }
}
