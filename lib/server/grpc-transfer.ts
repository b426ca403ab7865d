// The transfer service: many blobs and directories in one call, and blobs joined of chunks that are there.
import { Code, ConnectError, type ServiceImpl } from "@connectrpc/connect";
import { readBlob } from "../castore/blob/range.ts";
import { asDigest, type Digest, digestText } from "../castore/digest.ts";
import { Directory } from "../castore/directory.ts";
import { BULK_BYTES, SMALL_BLOB, type TransferService } from "../castore/grpc/services.ts";
import { mapBounded } from "../castore/object/service.ts";
import type { Castore } from "../castore/tree.ts";
import { checkWritable, readDigest } from "./grpc-castore.ts";

/** Blobs read side by side for one call. */
const WIDTH = 16;
/** Bytes of contents in all answers of one call; what is beyond is left to single reads. */
const ANSWER_BYTES = 8 * BULK_BYTES;

/** The methods of TransferService over a castore. */
export function transferMethods(
  { blobs, directories }: Castore,
  readOnly: boolean,
): ServiceImpl<typeof TransferService> {
  return {
    has: async (request) => {
      const [ofBlobs, ofDirectories] = await Promise.all([
        blobs.has(request.blobs.map(readDigest)),
        directories.has(request.directories.map(readDigest)),
      ]);
      return { blobs: Uint8Array.from(ofBlobs, Number), directories: Uint8Array.from(ofDirectories, Number) };
    },
    putBlobs: async (request) => {
      checkWritable(readOnly);
      return { digests: await blobs.put(request.blobs) };
    },
    readBlobs: async function* (request) {
      let left = ANSWER_BYTES;
      for (let at = 0; at < request.digests.length; at += WIDTH) {
        const group = request.digests.slice(at, at + WIDTH).map(readDigest);
        const read = await mapBounded(group, WIDTH, async (digest) => {
          const reader = await blobs.openRead(digest);
          if (reader === undefined) return { present: false, data: new Uint8Array(0) };
          if (reader.size > SMALL_BLOB || left < reader.size) return { present: true, data: new Uint8Array(0) };
          left -= reader.size;
          return { present: true, data: await reader.read(0, reader.size) };
        });
        yield { blobs: read };
      }
    },
    joinChunks: async (messages) => {
      checkWritable(readOnly);
      const writer = blobs.openWrite();
      try {
        for await (const { chunks } of messages) {
          for (const chunk of chunks) await writer.write(await readChunk(readDigest(chunk)));
        }
        return { digest: await writer.close() };
      } finally {
        writer.abort();
      }
    },
    putDirectories: async (request) => {
      checkWritable(readOnly);
      return { digests: await directories.put(request.directories.map((bytes) => Directory.decode(bytes))) };
    },
  };

  async function readChunk(digest: Digest): Promise<Uint8Array> {
    try {
      return await readBlob(blobs, digest);
    } catch (error) {
      if ((error as { code?: string }).code !== "ERR_CASTORE_MISSING") throw error;
      throw new ConnectError(`chunk ${digestText(asDigest(digest))} is not in the store`, Code.FailedPrecondition);
    }
  }
}
