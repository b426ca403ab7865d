// The messages of BlobService.Read by hand: the one call whose bytes are many, and through which they go uncopied.
//
// A gRPC message is five bytes, 0 and its length, and the message; a BlobChunk is a tag, a length and the data. A library
// copies the data three times on either side to get there. Here a piece is written as it is behind ten bytes of
// header, and read as it comes.
import { Code, ConnectError } from "@connectrpc/connect";
import { asBytes, ProtoWriter, readFields } from "../../base/protobuf.ts";

const PREFIX = 5;
/** The tag of field 1, bytes: that of the one field of a BlobChunk and of a ReadBlobRequest. */
const TAG = 0x0a;

/** What stands before the data of a message that is one field 1. */
export function frameHeader(length: number): Uint8Array {
  const varint: number[] = [];
  let rest = length;
  for (; rest >= 128; rest >>>= 7) varint.push((rest & 127) | 128);
  varint.push(rest);
  const header = new Uint8Array(PREFIX + 1 + varint.length);
  new DataView(header.buffer).setUint32(1, 1 + varint.length + length);
  header[PREFIX] = TAG;
  header.set(varint, PREFIX + 1);
  return header;
}

/** A whole request of a digest. */
export function requestFrame(digest: Uint8Array): Uint8Array {
  const message = new ProtoWriter().bytes(1, digest).finish();
  const frame = new Uint8Array(PREFIX + message.length);
  new DataView(frame.buffer).setUint32(1, message.length);
  frame.set(message, PREFIX);
  return frame;
}

/** The digest in a request. @throws ConnectError INVALID_ARGUMENT, UNIMPLEMENTED for a compressed one */
export function readRequestFrame(frame: Uint8Array): Uint8Array {
  const view = new DataView(frame.buffer, frame.byteOffset, frame.length);
  if (frame.length < PREFIX || view.getUint32(1) !== frame.length - PREFIX) {
    throw new ConnectError("the request is not one message", Code.InvalidArgument);
  }
  if (frame[0] !== 0) throw new ConnectError("requests may not be compressed", Code.Unimplemented);
  let digest: Uint8Array = new Uint8Array(0);
  for (const field of readFields(frame.subarray(PREFIX))) if (field.field === 1) digest = asBytes(field);
  return digest;
}

/** Reads BlobChunk messages out of bytes that come in any pieces. */
export class ChunkFrames {
  readonly #limit: number;
  #header: number[] = [];
  /** Bytes of data that the message begun has yet to bring. */
  #left = 0;

  /** @param limit bytes of the longest message accepted */
  constructor(limit: number) {
    this.#limit = limit;
  }

  /** The data in the next bytes, as views of them, added to `out`. @throws ConnectError INTERNAL for no such message */
  push(bytes: Uint8Array, out: Uint8Array[]): void {
    // Most pieces lie within a message.
    if (this.#left >= bytes.length) {
      out.push(bytes);
      this.#left -= bytes.length;
      return;
    }
    for (let at = 0; at < bytes.length; ) {
      if (this.#left > 0) {
        const end = Math.min(bytes.length, at + this.#left);
        out.push(bytes.subarray(at, end));
        this.#left -= end - at;
        at = end;
      } else {
        this.#header.push(bytes[at++] as number);
        this.#left = this.#readHeader();
      }
    }
  }

  /** The length of the data once the header is complete. */
  #readHeader(): number {
    const header = this.#header;
    if (header.length < PREFIX) return 0;
    if (header[0] !== 0) throw malformed("a message is compressed, which was not agreed on");
    const length = new DataView(Uint8Array.from(header).buffer).getUint32(1);
    if (length > this.#limit) throw new ConnectError(`a message of ${length} bytes`, Code.ResourceExhausted);
    if (length === 0) return this.#begin(0);
    if (header.length === PREFIX) return 0;
    if (header[PREFIX] !== TAG) throw malformed("a message has fields that a chunk does not have");
    if (header.length === PREFIX + 1 || (header.at(-1) as number) >= 128) {
      if (header.length > PREFIX + 6) throw malformed("a length does not end");
      return 0;
    }
    let data = 0;
    for (let i = header.length - 1; i > PREFIX; i--) data = data * 128 + ((header[i] as number) & 127);
    if (data !== length - (header.length - PREFIX)) throw malformed("a message is not as long as its data");
    return this.#begin(data);
  }

  #begin(data: number): number {
    this.#header = [];
    return data;
  }

  /** @throws ConnectError INTERNAL when the stream ended within a message */
  end(): void {
    if (this.#left > 0 || this.#header.length > 0) throw malformed("the stream ends within a message");
  }
}

function malformed(why: string): ConnectError {
  return new ConnectError(`not a stream of chunks: ${why}`, Code.Internal);
}
