// Blobs in memory: for tests, for evaluation without a store, and as the plainest statement of the contract.
import { concatBytes } from "../../base/bytes.ts";
import { type Digest, digestKey, digestOf, EMPTY_DIGEST } from "../digest.ts";
import { bytesReader, writerClosed } from "./range.ts";
import type { BlobReader, BlobService, BlobWriter, ChunkMeta } from "./service.ts";

/** Blobs in this process's memory; durable for as long as the process is. */
export class MemoryBlobService implements BlobService {
  readonly #blobs = new Map<string, Uint8Array>([[digestKey(EMPTY_DIGEST), new Uint8Array(0)]]);

  async has(digests: readonly Digest[]): Promise<boolean[]> {
    return digests.map((digest) => this.#blobs.has(digestKey(digest)));
  }

  async openRead(digest: Digest): Promise<BlobReader | undefined> {
    const bytes = this.#blobs.get(digestKey(digest));
    return bytes && bytesReader(bytes);
  }

  async put(blobs: readonly Uint8Array[]): Promise<Digest[]> {
    return blobs.map((bytes) => this.#keep(bytes.slice()));
  }

  async chunks(digest: Digest): Promise<readonly ChunkMeta[] | undefined> {
    return this.#blobs.has(digestKey(digest)) ? [] : undefined;
  }

  openWrite(): BlobWriter {
    const parts: Uint8Array[] = [];
    let state: "open" | "aborted" | Digest = "open";
    return {
      write: async (bytes) => {
        if (state !== "open") throw writerClosed();
        parts.push(bytes.slice());
      },
      close: async () => {
        if (state === "aborted") throw writerClosed();
        if (state === "open") state = this.#keep(concatBytes(parts));
        return state;
      },
      abort: () => {
        if (state === "open") state = "aborted";
      },
    };
  }

  #keep(bytes: Uint8Array): Digest {
    const digest = digestOf(bytes);
    const key = digestKey(digest);
    if (!this.#blobs.has(key)) this.#blobs.set(key, bytes);
    return digest;
  }
}
