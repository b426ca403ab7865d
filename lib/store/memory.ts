// Path infos in memory, and the plainest statement of their contract.
import { bytesToLatin1 } from "../base/text.ts";
import { checkPathInfo, decodePathInfo, encodePathInfo, type PathInfo } from "./path-info.ts";
import type { NarEntry, NarIndex, PathInfoService } from "./service.ts";

/** Path infos in this process's memory. */
export class MemoryPathInfoService implements PathInfoService {
  readonly #infos = new Map<string, Uint8Array>();

  async get(hash: Uint8Array): Promise<PathInfo | undefined> {
    const bytes = this.#infos.get(bytesToLatin1(hash));
    return bytes && decodePathInfo(bytes);
  }

  async put(info: PathInfo): Promise<PathInfo> {
    checkPathInfo(info);
    this.#infos.set(bytesToLatin1(info.path.digest), encodePathInfo(info));
    return info;
  }

  async *list(): AsyncGenerator<PathInfo> {
    for (const bytes of this.#infos.values()) yield decodePathInfo(bytes);
  }
}

/** NARs seen by this process. */
export class MemoryNarIndex implements NarIndex {
  readonly #entries = new Map<string, NarEntry>();

  async get(narSha256: Uint8Array): Promise<NarEntry | undefined> {
    return this.#entries.get(bytesToLatin1(narSha256));
  }

  async put(narSha256: Uint8Array, entry: NarEntry): Promise<void> {
    this.#entries.set(bytesToLatin1(narSha256), entry);
  }
}
