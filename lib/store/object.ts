// Path infos and the NAR index in an object store.
//
//   pathinfo/<32 base-32 digits>   the PathInfo message
//   nar/<64 hex digits>            root node and size of a NAR
import { equalBytes, toHex } from "../base/bytes.ts";
import { TvixError } from "../base/error.ts";
import type { ObjectStore } from "../castore/object/service.ts";
import * as base32 from "../formats/nixbase32.ts";
import { decodeNarEntry, encodeNarEntry } from "./local.ts";
import { checkPathInfo, decodePathInfo, encodePathInfo, type PathInfo } from "./path-info.ts";
import type { NarEntry, NarIndex, PathInfoService } from "./service.ts";

/** Path infos in an object store. */
export class ObjectPathInfoService implements PathInfoService {
  readonly #objects: ObjectStore;

  constructor(objects: ObjectStore) {
    this.#objects = objects;
  }

  async get(hash: Uint8Array): Promise<PathInfo | undefined> {
    const bytes = await this.#objects.get(`pathinfo/${base32.encode(hash)}`);
    const info = bytes && decodePathInfo(bytes);
    if (info === undefined || equalBytes(info.path.digest, hash)) return info;
    throw new TvixError("ERR_STORE_WRONG", `the object of ${base32.encode(hash)} is about ${info.path.basename}`);
  }

  async put(info: PathInfo): Promise<PathInfo> {
    await this.#objects.put(`pathinfo/${info.path.hash}`, encodePathInfo(checkPathInfo(info)), { replace: true });
    return info;
  }

  async *list(): AsyncGenerator<PathInfo> {
    for await (const key of this.#objects.list("pathinfo/")) {
      const bytes = await this.#objects.get(key);
      if (bytes) yield decodePathInfo(bytes);
    }
  }
}

/** NARs seen by the users of an object store. */
export class ObjectNarIndex implements NarIndex {
  readonly #objects: ObjectStore;

  constructor(objects: ObjectStore) {
    this.#objects = objects;
  }

  async get(narSha256: Uint8Array): Promise<NarEntry | undefined> {
    const bytes = await this.#objects.get(`nar/${toHex(narSha256)}`);
    return bytes && decodeNarEntry(bytes, "the object store");
  }

  async put(narSha256: Uint8Array, entry: NarEntry): Promise<void> {
    await this.#objects.put(`nar/${toHex(narSha256)}`, encodeNarEntry(entry));
  }
}
