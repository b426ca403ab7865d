// The castore's services as the wire has them: descriptors in both dialects, and messages to values and back.
//
// Directories and nodes cross as the generated messages' bytes: what was received is decoded by the canonical reader,
// which refuses whatever would hash to something else, unknown fields among it.
import { type DescMessage, fromBinary, type MessageShape, toBinary } from "@bufbuild/protobuf";
import { Directory } from "../directory.ts";
import {
  BlobService as SnixBlobs,
  DirectoryService as SnixDirectories,
  type StatBlobResponse,
} from "../gen/snix/castore/v1/castore_pb.ts";
import { BlobService as TvixBlobs, DirectoryService as TvixDirectories } from "../gen/tvix/castore/v1/castore_pb.ts";
import type { ChunkMeta } from "../blob/service.ts";
import { asDigest, type Digest, digestText } from "../digest.ts";
import { equalBytes } from "../../base/bytes.ts";
import { TvixError } from "../../base/error.ts";
import { type Dialects, dialects } from "./endpoint.ts";

export { TransferService } from "../gen/tvix/transfer/v1/transfer_pb.ts";

/** BlobService under both its names. */
export const BLOBS: Dialects<typeof SnixBlobs> = dialects(SnixBlobs, TvixBlobs);
/** DirectoryService under both its names. */
export const DIRECTORIES: Dialects<typeof SnixDirectories> = dialects(SnixDirectories, TvixDirectories);

/** Most digests in one request of the transfer service. */
export const BULK_DIGESTS = 4096;
/** Bytes of contents that one request or answer of the transfer service carries, as a rule. */
export const BULK_BYTES: number = 2 << 20;
/** Longest blob that comes with many others; longer ones are read by themselves. */
export const SMALL_BLOB: number = 256 << 10;

/** A directory as a message of `schema`. */
export function toDirectoryMessage<D extends DescMessage>(schema: D, directory: Directory): MessageShape<D> {
  return fromBinary(schema, directory.encode());
}

/** The directory in a message. @throws TvixError as {@link Directory.decode} */
export function fromDirectoryMessage<D extends DescMessage>(schema: D, message: MessageShape<D>): Directory {
  return Directory.decode(toBinary(schema, message));
}

/**
 * The chunk list of an answer.
 * @throws TvixError `ERR_CASTORE_DIGEST`, `ERR_CASTORE_SIZE` for one that makes no sense
 */
export function readChunkList({ chunks }: Pick<StatBlobResponse, "chunks">, longest: number): ChunkMeta[] {
  return chunks.map(({ digest, size }) => {
    if (size < 1n || size > BigInt(longest)) {
      throw new TvixError("ERR_CASTORE_SIZE", `the server says that a chunk has ${size} bytes`, {
        notes: [`chunks have between 1 and ${longest} bytes`],
      });
    }
    return { digest: asDigest(digest), size: Number(size) };
  });
}

/** Checks what a server says it stored. @throws TvixError `ERR_REMOTE_WRONG` */
export function checkStored(digest: Digest, stored: Uint8Array): void {
  if (equalBytes(digest, stored)) return;
  const text = stored.length === digest.length ? digestText(asDigest(stored)) : `${stored.length} bytes`;
  throw new TvixError("ERR_REMOTE_WRONG", `the server was sent ${digestText(digest)} and says it stored ${text}`);
}
