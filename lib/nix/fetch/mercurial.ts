// Mercurial repositories, through the user's hg: what is in a working tree, and the trees of revisions.
import { existsSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { TvixError } from "../../base/error.ts";
import { bytesToLatin1 } from "../../base/text.ts";
import type { CacheFacts, CachedTree, CacheKey, FetchCache } from "./cache.ts";
import { cloneDirectory } from "./clone.ts";
import { run, Running, tryRun } from "./command.ts";
import { unpackTarball } from "./unpack.ts";

/** A revision that is wanted. */
export interface MercurialRequest {
  readonly url: string;
  /** A branch, tag or bookmark. Default: `default`. */
  readonly ref?: string | undefined;
  /** 40 hexadecimal digits. */
  readonly rev?: string | undefined;
  /** Seconds for which an answer about a branch holds. */
  readonly ttl: number;
}

/** A revision that was fetched. */
export interface MercurialRevision {
  readonly tree: CachedTree;
  readonly rev: string;
  readonly revCount: number;
  readonly branch: string;
}

/** A working tree with changes. */
export interface UncleanTree {
  /** Paths of the tracked files, one char per byte. */
  readonly files: readonly string[];
  readonly branch: string;
}

/** The working tree of a repository on this machine when it has changes; `undefined` when a revision says it all. */
export async function readUncleanTree(url: string): Promise<UncleanTree | undefined> {
  if (!url.startsWith("file:")) return undefined;
  const directory = fileURLToPath(url);
  if (!existsSync(join(directory, ".hg"))) return undefined;
  const hg = async (...args: string[]): Promise<string> => bytesToLatin1(await run("hg", [...args, "-R", directory]));
  if ((await hg("status", "--modified", "--added", "--removed")) === "") return undefined;
  const branch = (await hg("branch")).trim();
  const files = await hg("status", "--clean", "--modified", "--added", "--no-status", "--print0");
  return { files: files.split("\0").slice(0, -1), branch };
}

/** Gets the tree of a revision. */
export async function fetchMercurialRevision(
  cache: FetchCache,
  { url, rev, ref = "default", ttl }: MercurialRequest,
): Promise<MercurialRevision> {
  const atRev = (revision: string): CacheKey => ({ kind: "hg-rev", url, rev: revision });
  const byRef: CacheKey = { kind: "hg-ref", url, ref };
  const known = await cache.get(rev === undefined ? byRef : atRev(rev));
  if (known !== undefined && (rev !== undefined || Date.now() / 1000 - known.time < ttl)) {
    return revisionOf(known.tree, known.facts);
  }
  const clone = await pull(cache, url, rev);
  const [found = "", number = "", branch = ""] = bytesToLatin1(
    await run("hg", ["log", "-R", clone, `--rev=${rev ?? ref}`, "--template", "{node} {rev} {branch}"]),
  ).split(" ");
  const facts: CacheFacts = { rev: found, revCount: Number(number), branch };
  const tree = (await cache.get(atRev(found)))?.tree ?? (await archive(cache, clone, found));
  await cache.put(atRev(found), tree, facts);
  if (rev === undefined) await cache.put(byRef, tree, facts);
  return revisionOf(tree, facts);
}

function revisionOf(tree: CachedTree, facts: CacheFacts): MercurialRevision {
  return {
    tree,
    rev: facts["rev"] as string,
    revCount: facts["revCount"] as number,
    branch: facts["branch"] as string,
  };
}

/** The clone of a repository in the cache, with `rev` in it. */
async function pull(cache: FetchCache, url: string, rev: string | undefined): Promise<string> {
  let isNew = false;
  const clone = await cloneDirectory(cache, "hg", url, async (directory) => {
    isNew = true;
    await run("hg", ["clone", "--noupdate", "--quiet", "--", url, directory]);
  });
  const has = async (commit: string): Promise<boolean> =>
    (await tryRun("hg", ["log", "-R", clone, `--rev=${commit}`, "-T", "1"])).status === 0;
  if (!isNew && !(rev !== undefined && (await has(rev)))) await run("hg", ["pull", "-R", clone, "--quiet", "--", url]);
  return clone;
}

/** The tree of a revision, as the archive that hg makes of it. */
async function archive(cache: FetchCache, clone: string, rev: string): Promise<CachedTree> {
  const options = ["--config", "ui.archivemeta=false", "--type", "tar", "--prefix", "top"];
  const running = new Running("hg", ["archive", "-R", clone, `--rev=${rev}`, ...options, "-"]);
  try {
    const { root } = await unpackTarball(cache.store.castore, running.child.stdout);
    await running.end();
    return await cache.hashed(root);
  } catch (error) {
    // What hg says is nearer to the cause than what its output lacks.
    if (error instanceof TvixError && error.code.startsWith("ERR_TAR")) await running.end();
    throw error;
  } finally {
    running.stop();
  }
}
