// The castore's services for gRPC: BlobService and DirectoryService, the same under both their names.
import type { DescMessage, MessageShape } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import type { BlobService } from "../castore/blob/service.ts";
import { asDigest, type Digest, digestText } from "../castore/digest.ts";
import type { Directory } from "../castore/directory.ts";
import type { DirectoryService } from "../castore/directory/service.ts";
import { fromDirectoryMessage, toDirectoryMessage } from "../castore/grpc/services.ts";
import type { Outboards } from "./outboards.ts";

/** Bytes of contents in one message of an answer: what clients with the usual limit of 4 MiB take well. */
const MESSAGE_BYTES = 256 << 10;
/** Bytes of directories that one closure may have when it is put. */
const CLOSURE_LIMIT = 512 << 20;

/** A digest out of a request. @throws ConnectError INVALID_ARGUMENT */
export function readDigest(bytes: Uint8Array): Digest {
  try {
    return asDigest(bytes);
  } catch (error) {
    throw new ConnectError((error as Error).message, Code.InvalidArgument);
  }
}

function notFound(what: string, digest: Digest): ConnectError {
  return new ConnectError(`${what} ${digestText(digest)} is not in the store`, Code.NotFound);
}

/** Refuses to write where the server only reads. @throws ConnectError PERMISSION_DENIED */
export function checkWritable(readOnly: boolean): void {
  if (readOnly) throw new ConnectError("this server only reads", Code.PermissionDenied);
}

/** The methods of BlobService. */
export function blobMethods(blobs: BlobService, outboards: Outboards, readOnly: boolean): BlobMethods {
  return {
    stat: async ({ digest: bytes, sendChunks, sendBao }) => {
      const digest = readDigest(bytes);
      const chunks = await blobs.chunks(digest);
      if (chunks === undefined) throw notFound("blob", digest);
      const bao = sendBao ? await outboards.get(digest) : undefined;
      return {
        chunks: sendChunks ? chunks.map(({ digest: of, size }) => ({ digest: of, size: BigInt(size) })) : [],
        bao: bao ?? new Uint8Array(0),
      };
    },
    read: async function* ({ digest: bytes }) {
      const digest = readDigest(bytes);
      const reader = await blobs.openRead(digest);
      if (reader === undefined) throw notFound("blob", digest);
      for await (const piece of reader.stream()) {
        for (let at = 0; at < piece.length; at += MESSAGE_BYTES) {
          yield { data: piece.subarray(at, at + MESSAGE_BYTES) };
        }
      }
    },
    put: async (messages) => {
      checkWritable(readOnly);
      const writer = blobs.openWrite();
      try {
        for await (const { data } of messages) await writer.write(data);
        return { digest: await writer.close() };
      } finally {
        writer.abort();
      }
    },
  };
}

/** What {@link blobMethods} gives; it fits the descriptors of either package. */
export interface BlobMethods {
  stat(request: {
    readonly digest: Uint8Array;
    readonly sendChunks: boolean;
    readonly sendBao: boolean;
  }): Promise<{ chunks: { digest: Uint8Array; size: bigint }[]; bao: Uint8Array }>;
  read(request: { readonly digest: Uint8Array }): AsyncGenerator<{ data: Uint8Array }>;
  put(messages: AsyncIterable<{ readonly data: Uint8Array }>): Promise<{ digest: Uint8Array }>;
}

interface GetDirectory {
  readonly byWhat: { readonly case: "digest"; readonly value: Uint8Array } | { readonly case?: undefined };
  readonly recursive: boolean;
}

/** The methods of DirectoryService with directories as messages of `schema`. */
export function directoryMethods<D extends DescMessage>(
  directories: DirectoryService,
  schema: D,
  readOnly: boolean,
): DirectoryMethods<D> {
  return {
    get: async function* ({ byWhat, recursive }) {
      if (byWhat.case !== "digest") throw new ConnectError("by_what is not set", Code.InvalidArgument);
      const digest = readDigest(byWhat.value);
      if (recursive) {
        for await (const one of directories.getClosure(digest)) yield toDirectoryMessage(schema, one);
        return;
      }
      const directory = await directories.get(digest);
      if (directory === undefined) throw notFound("directory", digest);
      yield toDirectoryMessage(schema, directory);
    },
    put: async (messages) => {
      checkWritable(readOnly);
      return { rootDigest: await directories.putClosure(received(schema, messages)) };
    },
  };
}

/** What {@link directoryMethods} gives; it fits the descriptors of either package. */
export interface DirectoryMethods<D extends DescMessage> {
  get(request: GetDirectory): AsyncGenerator<MessageShape<D>>;
  put(messages: AsyncIterable<MessageShape<D>>): Promise<{ rootDigest: Uint8Array }>;
}

async function* received<D extends DescMessage>(
  schema: D,
  messages: AsyncIterable<MessageShape<D>>,
): AsyncGenerator<Directory> {
  let total = 0;
  for await (const message of messages) {
    const directory = fromDirectoryMessage(schema, message);
    total += directory.encode().length;
    if (total > CLOSURE_LIMIT) throw new ConnectError("the closure is too large", Code.ResourceExhausted);
    yield directory;
  }
}
