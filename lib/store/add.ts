// Adding contents that arrive as a stream: the path follows from them, as with `nix-store --add` and `--add-fixed`.
import { openBlob } from "../castore/blob/range.ts";
import type { OperationOptions } from "../castore/progress.ts";
import type { Node } from "../castore/node.ts";
import { type DigestAlgo, startDigest } from "../formats/digest.ts";
import { nixHash } from "../formats/hash.ts";
import { checkStoreName, type StorePath } from "../formats/store-path.ts";
import { describe } from "./import.ts";
import { ingestPath } from "./nar/path.ts";
import { Spool } from "./nar/spool.ts";
import { witnessFile } from "./nar/witness.ts";
import { type PathInfo, sortedPaths } from "./path-info.ts";
import { putPaths } from "./put.ts";
import type { Store } from "./store.ts";

/** What is added. */
export interface AddOptions extends OperationOptions {
  readonly name: string;
  /** What the stream holds and what of it is hashed: a NAR, or the bytes of a file (`flat`, `text`). */
  readonly method: "nar" | "flat" | "text";
  readonly algo: DigestAlgo;
  /** What it refers to. */
  readonly references?: readonly StorePath[];
}

/**
 * Stores contents under the path that follows from them.
 * @throws TvixError `ERR_STORE_PATH_…` for a name or references that no such path can have, `ERR_NAR_…`
 */
export async function addStream(
  store: Store,
  source: AsyncIterable<Uint8Array>,
  options: AddOptions,
): Promise<PathInfo> {
  checkStoreName(options.name);
  const state = startDigest(options.algo);
  const hashed = async function* (): AsyncGenerator<Uint8Array> {
    for await (const piece of source) {
      state.update(piece);
      yield piece;
    }
  };
  const { name, method, algo } = options;
  const references = sortedPaths(options.references ?? []);
  const address = () => ({ method, hash: nixHash(algo, state.finish()) });
  if (method !== "nar")
    return await addFile(store, hashed(), (root, nar) => {
      return describe(store, { name, root, address: address(), ...nar, references });
    });
  return await ingestPath(
    store,
    hashed(),
    (found) => describe(store, { ...found, name, address: address(), references }),
    {
      ...(options.signal && { signal: options.signal }),
    },
  );
}

/** The length stands before the contents in a NAR: where the file is far away once it is stored, its bytes are kept. */
async function addFile(
  store: Store,
  bytes: AsyncIterable<Uint8Array>,
  info: (root: Node, nar: { narSha256: Uint8Array; narSize: number }) => PathInfo,
): Promise<PathInfo> {
  const writer = store.blobs.openWrite();
  const spool = store.received === undefined ? undefined : new Spool();
  try {
    let size = 0;
    for await (const piece of bytes) {
      await writer.write(piece);
      await spool?.write(piece);
      size += piece.length;
    }
    const root: Node = { type: "file", digest: await writer.close(), size, executable: false };
    const pieces = spool?.stream() ?? (await openBlob(store.blobs, root.digest)).stream(0, size, true);
    const made = info(root, await witnessFile(size, pieces));
    const known = await store.pathInfos.get(made.path.digest);
    if (known) return known;
    await putPaths(store, [made]);
    return made;
  } finally {
    writer.abort();
    await spool?.close();
  }
}
