// What has been fetched before: a store of its own below the user's cache directory, and notes of what was asked for.
//
//   DIRECTORY/store/            a local store with the files and trees, as `openStore` opens it
//   DIRECTORY/entries/KEY.json  one note per question: what came of it, when, and how to ask whether it is still true
//   DIRECTORY/git/, hg/         clones
//
// Nothing here is precious. A note whose tree is gone (collected, or the store deleted) counts as not being there.
import { createHash, randomBytes } from "node:crypto";
import { mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { TvixError } from "../../base/error.ts";
import { fromHex, toHex } from "../../base/bytes.ts";
import type { Node } from "../../castore/node.ts";
import { sourcePath, StorePath } from "../../formats/store-path.ts";
import { importNode } from "../../store/import.ts";
import { openStore } from "../../store/open.ts";
import type { PathInfo } from "../../store/path-info.ts";
import type { Store } from "../../store/store.ts";
import { fetchStore } from "./place.ts";

/** All trees have the same name here: names are the business of who asks. */
const NAME = "source";

/** A file or tree in the cache. */
export interface CachedTree {
  readonly root: Node;
  readonly narSha256: Uint8Array;
  /** Of a file: SHA-256 of its contents. */
  readonly sha256?: Uint8Array;
}

/** What was asked for: an operation and what it depends on. */
export type CacheKey = Readonly<Record<string, string | number | boolean>>;

/** What is known besides the tree: validators, times, revisions. */
export type CacheFacts = Readonly<Record<string, string | number | boolean>>;

/** An answer to a question asked before. */
export interface CacheEntry {
  readonly tree: CachedTree;
  readonly facts: CacheFacts;
  /** When it was true, in seconds since 1970. */
  readonly time: number;
}

interface Note {
  readonly path: string;
  readonly sha256?: string;
  readonly facts: CacheFacts;
  readonly time: number;
}

/** An open cache. Several processes may share a directory. */
export class FetchCache {
  readonly directory: string;
  readonly store: Store;

  private constructor(directory: string, store: Store) {
    this.directory = directory;
    this.store = store;
  }

  /** @throws TvixError `ERR_FETCH_CACHE`, or what opening a store throws */
  static async open(directory: string): Promise<FetchCache> {
    try {
      await mkdir(join(directory, "entries"), { recursive: true });
    } catch (cause) {
      throw cacheError(directory, cause);
    }
    return new FetchCache(directory, await openStore(fetchStore(directory)));
  }

  /** The last answer to a question, however old. */
  async get(key: CacheKey): Promise<CacheEntry | undefined> {
    const note = await this.#read(key);
    const path = note && storePath(note.path);
    const info = path && (await this.store.pathInfos.get(path.digest));
    if (note === undefined || info === undefined) return undefined;
    const sha256 = note.sha256 === undefined ? undefined : fromHex(note.sha256);
    return { tree: cached(info, sha256), facts: note.facts, time: note.time };
  }

  /** Notes an answer, true now. `tree` comes from {@link hashed}. */
  async put(key: CacheKey, tree: CachedTree, facts: CacheFacts = {}): Promise<CacheEntry> {
    const time = Math.floor(Date.now() / 1000);
    const note: Note = {
      path: sourcePath({ name: NAME, narSha256: tree.narSha256 }).basename,
      ...(tree.sha256 === undefined ? {} : { sha256: toHex(tree.sha256) }),
      facts,
      time,
    };
    const file = this.#file(key);
    const draft = `${file}.${randomBytes(6).toString("hex")}`;
    try {
      await writeFile(draft, JSON.stringify({ key, ...note }));
      await rename(draft, file);
    } catch (cause) {
      await rm(draft, { force: true });
      throw cacheError(this.directory, cause);
    }
    return { tree, facts, time };
  }

  /** Gives a tree that is in the castore its hashes. */
  async hashed(root: Node, sha256?: Uint8Array): Promise<CachedTree> {
    return cached(await importNode(this.store, root, { name: NAME }), sha256);
  }

  /** What has this NAR hash, whoever asked for it. */
  async withHash(narSha256: Uint8Array): Promise<CachedTree | undefined> {
    const info = await this.store.pathInfos.get(sourcePath({ name: NAME, narSha256 }).digest);
    return info && cached(info, undefined);
  }

  async #read(key: CacheKey): Promise<Note | undefined> {
    try {
      return JSON.parse(await readFile(this.#file(key), "utf8")) as Note;
    } catch {
      return undefined;
    }
  }

  #file(key: CacheKey): string {
    const canonical = JSON.stringify(Object.entries(key).sort(([a], [b]) => (a < b ? -1 : 1)));
    return join(this.directory, "entries", `${keyHash(canonical)}.json`);
  }
}

/** A name for something whose own name may be no name of a file. */
export function keyHash(key: string): string {
  return createHash("sha256").update(key).digest("hex");
}

function cached(info: PathInfo, sha256: Uint8Array | undefined): CachedTree {
  const { root, narSha256 } = info;
  return sha256 === undefined ? { root, narSha256 } : { root, narSha256, sha256 };
}

function storePath(basename: string): StorePath | undefined {
  try {
    return StorePath.parse(basename);
  } catch {
    return undefined;
  }
}

function cacheError(directory: string, cause: unknown): TvixError {
  const why = cause instanceof Error ? cause.message : String(cause);
  return new TvixError("ERR_FETCH_CACHE", `the cache of fetched things in ${directory} cannot be written: ${why}`, {
    cause,
    notes: ["$XDG_CACHE_HOME says where caches are"],
  });
}
