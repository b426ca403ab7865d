// Small blobs of a server: reads asked for at the same time go in one call.
import { equalBytes } from "../../base/bytes.ts";
import { blake3Blobs } from "../../native/blake3.ts";
import type { Digest } from "../digest.ts";
import { type GrpcEndpoint, wrongCount } from "../grpc/endpoint.ts";
import { BULK_BYTES, TransferService } from "../grpc/services.ts";
import { corrupt } from "./range.ts";

const MOST = 512;
/** Bytes of answers held for one call, well above what our servers send. */
const ANSWER_LIMIT = 16 * BULK_BYTES;

/** What came of a read: the blob, or that it is not there, or that it is long (or that nobody knows). */
export type SmallRead = Uint8Array | "absent" | "long";

interface Waiting {
  readonly digest: Digest;
  resolve(read: SmallRead): void;
  reject(error: unknown): void;
}

/** Gathers reads until the program waits, and makes one call of them. */
export class SmallReads {
  readonly #endpoint: GrpcEndpoint;
  #waiting: Waiting[] = [];

  constructor(endpoint: GrpcEndpoint) {
    this.#endpoint = endpoint;
  }

  /** The blob, verified. @throws TvixError `ERR_CASTORE_CORRUPT`, `ERR_REMOTE_…` */
  read(digest: Digest): Promise<SmallRead> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ digest, resolve, reject });
      if (this.#waiting.length === 1) setImmediate(() => this.#flush());
      if (this.#waiting.length >= MOST) this.#flush();
    });
  }

  #flush(): void {
    const group = this.#waiting;
    this.#waiting = [];
    if (group.length === 0) return;
    this.#readGroup(group).catch((error: unknown) => {
      for (const one of group) one.reject(error);
    });
  }

  async #readGroup(group: readonly Waiting[]): Promise<void> {
    const reads = await this.#endpoint.callIfThere(TransferService, "ReadBlobs", async (client, options) => {
      const out: SmallRead[] = [];
      let total = 0;
      for await (const { blobs } of client.readBlobs({ digests: group.map(({ digest }) => digest) }, options)) {
        for (const { present, data } of blobs) {
          total += data.length;
          out.push(present ? (data.length > 0 ? data : "long") : "absent");
        }
        if (out.length > group.length || total > ANSWER_LIMIT) break;
      }
      return out;
    });
    if (reads && reads.length !== group.length) throw wrongCount("ReadBlobs", group.length, reads.length);
    const digests = blake3Blobs((reads ?? []).filter((read) => read instanceof Uint8Array)).values();
    for (const [i, one] of group.entries()) {
      const read = reads?.[i] ?? "long";
      if (read instanceof Uint8Array && !equalBytes(digests.next().value as Uint8Array, one.digest)) {
        one.reject(corrupt(one.digest, "the server sent other bytes"));
      } else one.resolve(read);
    }
  }
}
