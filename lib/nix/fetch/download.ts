// Files and archives by URL: downloaded into the cache, asked for again only when the answer may have changed.
import { createHash } from "node:crypto";
import { toHex } from "../../base/bytes.ts";
import { AssertionError, TvixError } from "../../base/error.ts";
import type { Node } from "../../castore/node.ts";
import type { CacheFacts, CachedTree, CacheKey, FetchCache } from "./cache.ts";
import { download, type Download } from "./http.ts";
import { unpackTarball } from "./unpack.ts";

/** A file or archive that is wanted. */
export interface DownloadRequest {
  readonly url: string;
  /** Seconds for which a former answer holds without asking again. */
  readonly ttl: number;
  readonly headers?: Readonly<Record<string, string>>;
}

/** What was downloaded. */
export interface Downloaded {
  readonly tree: CachedTree;
  /** A URL that will always give this. */
  readonly immutableUrl: string | undefined;
  /** Of archives: the latest modification time within, in seconds since 1970. */
  readonly lastModified: number | undefined;
}

interface Stored {
  readonly tree: CachedTree;
  readonly facts: CacheFacts;
}

/** The question that {@link downloadFile} notes answers to under the hash of the contents. */
export function contentsKey(sha256: Uint8Array): CacheKey {
  return { kind: "contents", sha256: toHex(sha256) };
}

/** Downloads a file. */
export function downloadFile(cache: FetchCache, request: DownloadRequest): Promise<Downloaded> {
  return cachedDownload(cache, "file", request, async ({ body }) => {
    const tree = await storeFile(cache, body);
    await cache.put(contentsKey(tree.sha256 as Uint8Array), tree);
    return { tree, facts: {} };
  });
}

/** Downloads a tar archive and unpacks it. @throws TvixError as `unpackTarball` does, naming the URL in its notes */
export function downloadTarball(cache: FetchCache, request: DownloadRequest): Promise<Downloaded> {
  return cachedDownload(cache, "tarball", request, async ({ body }) => {
    try {
      const { root, lastModified } = await unpackTarball(cache.store.castore, body);
      return { tree: await cache.hashed(root), facts: { lastModified } };
    } catch (error) {
      if (!(error instanceof TvixError) || error.code.startsWith("ERR_FETCH_NET")) throw error;
      throw new TvixError(error.code, `cannot unpack '${request.url}': ${error.message}`, {
        cause: error,
        notes: error.notes,
      });
    }
  });
}

async function cachedDownload(
  cache: FetchCache,
  kind: "file" | "tarball",
  { url, ttl, headers }: DownloadRequest,
  store: (download: Download) => Promise<Stored>,
): Promise<Downloaded> {
  const key: CacheKey = { kind, url };
  const known = await cache.get(key);
  if (known !== undefined && Date.now() / 1000 - known.time < ttl) return downloadedOf(known);
  const etag = known?.facts["etag"] as string | undefined;
  const fresh = await download(url, { etag, ...(headers === undefined ? {} : { headers }) }, async (answer) => {
    const { tree, facts } = await store(answer);
    const validators = {
      ...(answer.etag === undefined ? {} : { etag: answer.etag }),
      ...(answer.immutableUrl === undefined ? {} : { immutableUrl: answer.immutableUrl }),
    };
    return { tree, facts: { ...facts, ...validators } };
  });
  const answer: Stored | undefined = fresh ?? known;
  if (answer === undefined) throw new AssertionError("an answer still holds that was never given");
  const { tree, facts } = answer;
  await cache.put(key, tree, facts);
  return downloadedOf({ tree, facts });
}

function downloadedOf({ tree, facts }: Stored): Downloaded {
  return {
    tree,
    immutableUrl: facts["immutableUrl"] as string | undefined,
    lastModified: facts["lastModified"] as number | undefined,
  };
}

async function storeFile(cache: FetchCache, body: AsyncIterable<Uint8Array>): Promise<CachedTree> {
  const hash = createHash("sha256");
  const writer = cache.store.blobs.openWrite();
  let size = 0;
  try {
    for await (const piece of body) {
      hash.update(piece);
      size += piece.length;
      await writer.write(piece);
    }
    const root: Node = { type: "file", digest: await writer.close(), size, executable: false };
    return await cache.hashed(root, new Uint8Array(hash.digest()));
  } finally {
    writer.abort();
  }
}
