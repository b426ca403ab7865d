// The hand-written messages of BlobService.Read against the generated ones.
import { create, toBinary } from "@bufbuild/protobuf";
import { fc } from "../property.ts";
import { describe, expect, test } from "vitest";
import { concatBytes } from "../../lib/base/bytes.ts";
import { BlobChunkSchema, ReadBlobRequestSchema } from "../../lib/castore/gen/snix/castore/v1/castore_pb.ts";
import { ChunkFrames, frameHeader, readRequestFrame, requestFrame } from "../../lib/castore/grpc/frames.ts";

/** A message as gRPC frames it. */
function framed(message: Uint8Array): Uint8Array {
  const prefix = new Uint8Array(5);
  new DataView(prefix.buffer).setUint32(1, message.length);
  return concatBytes([prefix, message]);
}

const chunk = (data: Uint8Array): Uint8Array => framed(toBinary(BlobChunkSchema, create(BlobChunkSchema, { data })));

function readAll(bytes: Uint8Array, step: number, limit = 1 << 20): Uint8Array {
  const frames = new ChunkFrames(limit);
  const out: Uint8Array[] = [];
  for (let at = 0; at < bytes.length; at += step) frames.push(bytes.subarray(at, at + step), out);
  frames.end();
  return concatBytes(out);
}

describe("frames", () => {
  test.each([1, 127, 128, 16_383, 16_384, 100_000, 2_097_152])("a header of %d bytes is the library's", (length) => {
    const data = new Uint8Array(length).fill(7);
    expect(Buffer.compare(concatBytes([frameHeader(length), data]), chunk(data))).toBe(0);
  });

  test("requests are the library's, both ways", () => {
    const digest = new Uint8Array(32).fill(5);
    const message = toBinary(ReadBlobRequestSchema, create(ReadBlobRequestSchema, { digest }));
    expect(requestFrame(digest)).toEqual(framed(message));
    expect(readRequestFrame(requestFrame(digest))).toEqual(digest);
    expect(readRequestFrame(framed(new Uint8Array(0)))).toEqual(new Uint8Array(0));
    for (const wrong of [new Uint8Array(0), requestFrame(digest).subarray(0, 20), Uint8Array.of(1, 0, 0, 0, 0)]) {
      expect(() => readRequestFrame(wrong)).toThrow();
    }
  });

  test("messages of any lengths, cut anywhere, give their data back", () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 400 })), fc.integer({ min: 1, max: 50 }), (pieces, step) => {
        expect(readAll(concatBytes(pieces.map(chunk)), step)).toEqual(concatBytes(pieces));
      }),
    );
  });

  test("anything else is an error", () => {
    const whole = chunk(new Uint8Array(100));
    expect(() => readAll(whole.subarray(0, 60), 7)).toThrow(/within a message/);
    expect(() => readAll(whole, 7, 50)).toThrow(/message of/);
    for (const [at, value] of [
      [0, 1],
      [4, 101],
      [5, 0x12],
      [6, 99],
    ] as const) {
      const wrong = whole.slice();
      wrong[at] = value;
      expect(() => readAll(wrong, 7)).toThrow();
    }
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => {
        try {
          readAll(bytes, 3);
        } catch (error) {
          expect(error).toHaveProperty("rawMessage");
        }
      }),
    );
  });
});
