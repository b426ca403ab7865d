// How values of the daemon's protocol are read and written: small codecs, put together by the operation table.
//
// A connection's two sides speak over one pair of byte streams. After the handshake (`handshake.ts`) the client sends an
// operation's number and its request (`ops.ts`), the server answers with any number of log frames, a last one or an
// error (`log.ts`), and, after the last one, the reply. Some requests are followed by a framed stream (`framed.ts`).
// Nothing here opens sockets: readers and writers are over bytes.

import { TvixError } from "../../base/error.ts";
import { type ContentAddress, formatContentAddress, parseContentAddress } from "../content-address.ts";
import { formatHash, type NixHash, parseDigest } from "../hash.ts";
import { formatSignature, parseSignature, type Signature } from "../signature.ts";
import { StorePath } from "../store-path.ts";
import type { WireReader, WireWriter } from "../wire.ts";

/** What both sides know about a connection. */
export interface Connection {
  /** The protocol's minor version that both speak; the major one is 1. */
  readonly minor: number;
  readonly storeDir: string;
}

/** Reads and writes one kind of value. */
export interface Codec<T> {
  read(reader: WireReader, connection: Connection): Promise<T>;
  write(writer: WireWriter, value: T, connection: Connection): void;
}

/** Nothing at all. */
export const nothing: Codec<void> = { read: async () => {}, write: () => {} };

/** A number up to 2^53−1. */
export const u64: Codec<number> = {
  read: (reader) => reader.u64(),
  write: (writer, value) => {
    writer.u64(value);
  },
};

/** A number where the largest u64 means no limit, as `Infinity`. */
export const limit: Codec<number> = { ...u64, read: (reader) => reader.u64OrInfinity() };

export const bool: Codec<boolean> = {
  read: (reader) => reader.bool(),
  write: (writer, value) => {
    writer.bool(value);
  },
};

/** A string, one char per byte. */
export const string: Codec<string> = {
  read: (reader) => reader.string(),
  write: (writer, value) => {
    writer.string(value);
  },
};

/** The number 1, with which operations that return nothing say that they are done. */
export const done: Codec<void> = {
  read: async (reader) => {
    await reader.u64OrInfinity();
  },
  write: (writer) => {
    writer.u64(1);
  },
};

/** A store path, absolute on the wire. */
export const path: Codec<StorePath> = {
  read: async (reader, { storeDir }) => StorePath.parseAbsolute(await reader.string(), storeDir),
  write: (writer, value, { storeDir }) => {
    writer.string(value.absolute(storeDir));
  },
};

/** A store path, or an empty string where there is none. */
export const optionalPath: Codec<StorePath | undefined> = {
  read: async (reader, { storeDir }) => {
    const text = await reader.string();
    return text === "" ? undefined : StorePath.parseAbsolute(text, storeDir);
  },
  write: (writer, value, { storeDir }) => {
    writer.string(value?.absolute(storeDir) ?? "");
  },
};

/** The SHA-256 of an archive, in base-16 without a prefix. */
export const narHash: Codec<NixHash> = {
  read: async (reader) => parseDigest(await reader.string(), "sha256"),
  write: (writer, value) => {
    writer.string(formatHash(value, "base16"));
  },
};

export const signature: Codec<Signature> = {
  read: async (reader) => parseSignature(await reader.string()),
  write: (writer, value) => {
    writer.string(formatSignature(value));
  },
};

/** A content address, or an empty string where there is none. */
export const contentAddress: Codec<ContentAddress | undefined> = {
  read: async (reader) => {
    const text = await reader.string();
    return text === "" ? undefined : parseContentAddress(text);
  },
  write: (writer, value) => {
    writer.string(value === undefined ? "" : formatContentAddress(value));
  },
};

/** A list of values: their count, then each. */
export function list<T>(element: Codec<T>): Codec<readonly T[]> {
  return {
    read: (reader, connection) => reader.list(() => element.read(reader, connection)),
    write: (writer, values, connection) => {
      writer.u64(values.length);
      for (const value of values) element.write(writer, value, connection);
    },
  };
}

/** A map with strings as keys. */
export function map<T>(value: Codec<T>): Codec<ReadonlyMap<string, T>> {
  return {
    read: async (reader, connection) => {
      const entries = await reader.list(async () => {
        const key = await reader.string();
        return [key, await value.read(reader, connection)] as const;
      });
      return new Map(entries);
    },
    write: (writer, values, connection) => {
      writer.u64(values.size);
      for (const [key, each] of values) {
        writer.string(key);
        value.write(writer, each, connection);
      }
    },
  };
}

/** A value after a 1, or a 0 where there is none. */
export function optional<T>(value: Codec<T>): Codec<T | undefined> {
  return {
    read: async (reader, connection) => {
      const mark = await reader.u64OrInfinity();
      if (mark > 1) throw new TvixError("ERR_DAEMON_VALUE", `expected 0 or 1 before an optional value, found ${mark}`);
      return mark === 1 ? value.read(reader, connection) : undefined;
    },
    write: (writer, each, connection) => {
      writer.bool(each !== undefined);
      if (each !== undefined) value.write(writer, each, connection);
    },
  };
}

/** A value of which `toWire` and `fromWire` make another. */
export function mapped<T, W>(wire: Codec<W>, fromWire: (value: W) => T, toWire: (value: T) => W): Codec<T> {
  return {
    read: async (reader, connection) => fromWire(await wire.read(reader, connection)),
    write: (writer, value, connection) => wire.write(writer, toWire(value), connection),
  };
}

/** A number that stands for one of `names`, by position. */
export function choice<T extends string>(names: readonly T[]): Codec<T> {
  return mapped(
    u64,
    (index) => {
      const name = names[index];
      if (name === undefined)
        throw new TvixError("ERR_DAEMON_VALUE", `${index} is none of the ${names.length} choices`);
      return name;
    },
    (name) => names.indexOf(name),
  );
}

/** Fields one after the other, in the order they are given. */
export function record<T extends object>(fields: { readonly [K in keyof T]-?: Codec<T[K]> }): Codec<T> {
  const entries = Object.entries(fields) as [keyof T, Codec<T[keyof T]>][];
  return {
    read: async (reader, connection) => {
      const out: Partial<T> = {};
      for (const [key, field] of entries) {
        const value = await field.read(reader, connection);
        if (value !== undefined) out[key] = value;
      }
      return out as T;
    },
    write: (writer, value, connection) => {
      for (const [key, field] of entries) field.write(writer, value[key], connection);
    },
  };
}

/** A field that is there from a minor version on, and `otherwise` before. */
export function since<T>(minor: number, field: Codec<T>, otherwise: T): Codec<T> {
  return {
    read: async (reader, connection) => (connection.minor >= minor ? field.read(reader, connection) : otherwise),
    write: (writer, value, connection) => {
      if (connection.minor >= minor) field.write(writer, value, connection);
    },
  };
}
