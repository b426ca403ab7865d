// Protobuf messages field by field: enough to write and read small schemas by hand.
import { concatBytes } from "./bytes.ts";
import { TvixError } from "./error.ts";
import { decodeUtf8, encodeUtf8 } from "./text.ts";

/** Writes fields in the order of the calls; proto3 defaults (0, empty) are left out except where said otherwise. */
export class ProtoWriter {
  readonly #parts: Uint8Array[] = [];

  /** A varint field; `value` is a safe integer, not negative. */
  number(field: number, value: number): this {
    if (value > 0) this.#parts.push(varint(field * 8), varint(value));
    return this;
  }

  bytes(field: number, value: Uint8Array): this {
    return value.length === 0 ? this : this.element(field, value);
  }

  text(field: number, value: string): this {
    return this.bytes(field, encodeUtf8(value));
  }

  /** An element of a repeated field, or a submessage: written even when it is empty. */
  element(field: number, value: Uint8Array): this {
    this.#parts.push(varint(field * 8 + 2), varint(value.length), value);
    return this;
  }

  finish(): Uint8Array {
    return concatBytes(this.#parts);
  }
}

function varint(value: number): Uint8Array {
  const out: number[] = [];
  let rest = value;
  for (; rest >= 128; rest = Math.floor(rest / 128)) out.push((rest % 128) | 128);
  out.push(rest);
  return Uint8Array.from(out);
}

/** A field as it is on the wire: varints as numbers, everything else as views of the bytes. */
export interface ProtoField {
  readonly field: number;
  readonly value: number | Uint8Array;
}

/**
 * The fields of a message in order of the bytes; unknown ones are the caller's to pass over.
 * @throws TvixError `ERR_PROTOBUF` for bytes that are no message, and for varints above 2^53-1.
 */
export function* readFields(message: Uint8Array): Generator<ProtoField> {
  let at = 0;
  const number = (): number => {
    let value = 0;
    for (let factor = 1, count = 0; ; factor *= 128, count++) {
      const byte = message[at++];
      if (byte === undefined || count === 10) throw protobufError(at, "a number ends too early or not at all");
      value += (byte & 127) * factor;
      if (value > Number.MAX_SAFE_INTEGER) throw protobufError(at, "a number is greater than 2^53-1");
      if (byte < 128) return value;
    }
  };
  const bytes = (length: number): Uint8Array => {
    if (length > message.length - at) throw protobufError(at, `${length} bytes announced, ${message.length - at} left`);
    at += length;
    return message.subarray(at - length, at);
  };
  while (at < message.length) {
    const tag = number();
    const field = Math.floor(tag / 8);
    if (field === 0) throw protobufError(at, "field number 0");
    if (tag % 8 === 0) yield { field, value: number() };
    else if (tag % 8 === 2) yield { field, value: bytes(number()) };
    else if (tag % 8 === 1) yield { field, value: bytes(8) };
    else if (tag % 8 === 5) yield { field, value: bytes(4) };
    else throw protobufError(at, `wire type ${tag % 8}`);
  }
}

/** The value of a bytes field. @throws TvixError `ERR_PROTOBUF` for a varint */
export function asBytes({ field, value }: ProtoField): Uint8Array {
  if (typeof value === "number") throw protobufError(0, `field ${field} is a number instead of bytes`);
  return value;
}

/** The value of a string field. @throws TvixError `ERR_PROTOBUF` for a varint and for bytes that are not UTF-8 */
export function asText(field: ProtoField): string {
  const text = decodeUtf8(asBytes(field));
  if (text === undefined) throw protobufError(0, `field ${field.field} is not UTF-8`);
  return text;
}

/** The value of a varint field. @throws TvixError `ERR_PROTOBUF` for bytes */
export function asNumber({ field, value }: ProtoField): number {
  if (typeof value !== "number") throw protobufError(0, `field ${field} is bytes instead of a number`);
  return value;
}

function protobufError(at: number, what: string): TvixError {
  return new TvixError("ERR_PROTOBUF", `not a protobuf message: ${what} (near offset ${at})`);
}
