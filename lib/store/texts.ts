// Storing many texts at once, as derivations are: one sync of the packs and one transaction for all of them.
import { TvixError } from "../base/error.ts";
import type { Digest } from "../castore/digest.ts";
import type { FileNode } from "../castore/node.ts";
import { startDigest } from "../formats/digest.ts";
import { nixHash } from "../formats/hash.ts";
import { NarWriter } from "../formats/nar/writer.ts";
import { StorePath, textPath } from "../formats/store-path.ts";
import { type PathInfo, sortedPaths } from "./path-info.ts";
import { putPaths, unlessCollected } from "./put.ts";
import type { LocalParts, Store } from "./store.ts";

/** A text that becomes a store path of its own. */
export interface StoredText {
  readonly name: string;
  readonly bytes: Uint8Array;
  /** What it refers to. These paths are not looked up. */
  readonly references: readonly StorePath[];
}

/**
 * Stores texts, each as a file whose path follows from its bytes, name and references. On a local store either all of
 * them become visible or none, and `change` runs inside the transaction that does it.
 * @throws TvixError `ERR_STORE_PATH_NAME`, `ERR_STORE_FULL`
 */
export async function importTexts(
  store: Store,
  texts: readonly StoredText[],
  change: (local: LocalParts) => void = () => {},
): Promise<PathInfo[]> {
  return await unlessCollected(async () => {
    const digests = await store.blobs.put(texts.map(({ bytes }) => bytes));
    const infos = texts.map((text, i) => describe(store, text, digests[i]));
    await putPaths(store, infos, change);
    return infos;
  });
}

function describe(store: Store, { name, bytes, references }: StoredText, digest: Digest | undefined): PathInfo {
  if (digest === undefined) throw new TvixError("ERR_CASTORE_MISSING", "the blob was not stored");
  const root: FileNode = { type: "file", digest, size: bytes.length, executable: false };
  const hash = startDigest("sha256");
  hash.update(bytes);
  const sha256 = hash.finish();
  const sorted = sortedPaths(references);
  const { storeDir } = store;
  const path = textPath({
    name,
    contents: { sha256 },
    references: sorted.map((reference) => reference.absolute(storeDir)),
    storeDir,
  });
  const nar = narOfFile(bytes);
  const ca = { method: "text", hash: nixHash("sha256", sha256) } as const;
  return { path, root, references: sorted, ...nar, ca, signatures: [] };
}

function narOfFile(bytes: Uint8Array): { narSha256: Uint8Array; narSize: number } {
  const hash = startDigest("sha256");
  let narSize = 0;
  const writer = new NarWriter((piece) => {
    hash.update(piece);
    narSize += piece.length;
  });
  writer.write({ type: "regular", name: undefined, executable: false, size: bytes.length });
  if (bytes.length > 0) writer.write({ type: "contents", bytes });
  writer.end();
  return { narSha256: hash.finish(), narSize };
}
