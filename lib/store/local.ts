// Path infos, NAR index and roots of a local store: further tables in the castore's index.
import { encodeNode, decodeNode } from "../castore/canonical.ts";
import { ProtoWriter, asBytes, asNumber, readFields } from "../base/protobuf.ts";
import { toHex } from "../base/bytes.ts";
import { TvixError } from "../base/error.ts";
import { digestText } from "../castore/digest.ts";
import { CollectedError } from "../castore/local/batch.ts";
import { missingFrom } from "../castore/local/presence.ts";
import { indexDamage, type Table } from "../castore/local/index.ts";
import type { LocalStore } from "../castore/local/store.ts";
import * as base32 from "../formats/nixbase32.ts";
import { checkPathInfo, decodePathInfo, encodePathInfo, type PathInfo } from "./path-info.ts";
import type { NarEntry, NarIndex, PathInfoService } from "./service.ts";

/** Path infos of a local store: table `pathinfo`, keyed by the path's hash. */
export class LocalPathInfoService implements PathInfoService {
  readonly table: Table;
  readonly #local: LocalStore;
  readonly #generation: number;

  constructor(local: LocalStore) {
    this.#local = local;
    this.table = local.index.table("pathinfo", base32.encode);
    this.#generation = local.index.generation();
  }

  async get(hash: Uint8Array): Promise<PathInfo | undefined> {
    return this.getSync(hash);
  }

  /** @throws TvixError `ERR_STORE_INDEX` for a damaged entry */
  getSync(hash: Uint8Array): PathInfo | undefined {
    const bytes = this.table.getSealed(hash);
    return bytes && decodePathInfo(bytes);
  }

  /**
   * Additionally checks that the root is there and, when a collection has run since the store was opened, everything
   * below it: an entry that leads nowhere is never made.
   * @throws TvixError `ERR_CASTORE_MISSING`, `ERR_STORE_COLLECTED`.
   */
  async put(info: PathInfo): Promise<PathInfo> {
    checkPathInfo(info);
    this.#local.index.write(() => {
      const deep = this.#local.index.generation() !== this.#generation;
      const missing = missingFrom(this.#local, info.root, deep);
      if (missing) {
        if (deep) throw new CollectedError();
        throw new TvixError(
          "ERR_CASTORE_MISSING",
          `${digestText(missing)}, the root of ${info.path.basename}, is not in the store`,
        );
      }
      this.putSync(info);
    });
    return info;
  }

  /** Inside a transaction. */
  putSync(info: PathInfo): void {
    this.table.putSealed(info.path.digest, encodePathInfo(info));
  }

  async *list(): AsyncGenerator<PathInfo> {
    yield* this.listSync();
  }

  *listSync(): Generator<PathInfo> {
    for (const { key, value } of this.table.entries()) {
      const info = decodePathInfo(this.table.unseal(key, value));
      yield info;
    }
  }
}

/** NARs seen by a local store: table `nar`, keyed by SHA-256. */
export class LocalNarIndex implements NarIndex {
  readonly table: Table;
  readonly #local: LocalStore;

  constructor(local: LocalStore) {
    this.#local = local;
    this.table = local.index.table("nar", (key) => `sha256:${toHex(key)}`);
  }

  /** Answers only while the whole tree is in the store. */
  async get(narSha256: Uint8Array): Promise<NarEntry | undefined> {
    const entry = this.getSync(narSha256);
    return entry && missingFrom(this.#local, entry.root, true) === undefined ? entry : undefined;
  }

  getSync(narSha256: Uint8Array): NarEntry | undefined {
    const bytes = this.table.getSealed(narSha256);
    return bytes && decodeNarEntry(bytes, this.#local.directory);
  }

  async put(narSha256: Uint8Array, entry: NarEntry): Promise<void> {
    this.#local.index.write(() => this.putSync(narSha256, entry));
  }

  /** Inside a transaction. */
  putSync(narSha256: Uint8Array, entry: NarEntry): void {
    this.table.putSealed(narSha256, encodeNarEntry(entry));
  }
}

/** An entry of the NAR index as bytes: the protocol's Node as field 1, the size as field 2. */
export function encodeNarEntry({ root, narSize }: NarEntry): Uint8Array {
  return new ProtoWriter().element(1, encodeNode(root)).number(2, narSize).finish();
}

/** The inverse of {@link encodeNarEntry}. */
export function decodeNarEntry(bytes: Uint8Array, where: string): NarEntry {
  let root: NarEntry["root"] | undefined;
  let narSize = 0;
  for (const field of readFields(bytes)) {
    if (field.field === 1) root = decodeNode(asBytes(field)).node;
    else if (field.field === 2) narSize = asNumber(field);
  }
  if (root === undefined) throw indexDamage(where, 'an entry of "nar"');
  return { root, narSize };
}
