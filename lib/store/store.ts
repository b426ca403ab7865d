// The store: a castore and path infos as one thing, with what people do to it.
//
// The methods here are short ways to the functions of the files beside this one, which hold the work.
import { TvixError } from "../base/error.ts";
import { openBlob, readBlob } from "../castore/blob/range.ts";
import type { BlobReader, BlobService } from "../castore/blob/service.ts";
import type { DirectoryService } from "../castore/directory/service.ts";
import { exportTree } from "../castore/export.ts";
import { LocalStore } from "../castore/local/store.ts";
import type { Node } from "../castore/node.ts";
import { displayPath, parsePath } from "../castore/path.ts";
import type { OperationOptions } from "../castore/progress.ts";
import { type Castore, resolve, type TreeEntry, walkTree } from "../castore/tree.ts";
import * as base32 from "../formats/nixbase32.ts";
import { STORE_DIR, StorePath } from "../formats/store-path.ts";
import type { CopyOptions, CopySummary } from "./copy.ts";
import { type ImportOptions, importPath } from "./import.ts";
import type { LocalNarIndex, LocalPathInfoService } from "./local.ts";
import { type IngestedNar, ingestNar, type IngestNarOptions } from "./nar/ingest.ts";
import { type NarDigest, narDigest, narStream, narToFile } from "./nar/render.ts";
import type { PathInfo } from "./path-info.ts";
import type { NarIndex, PathInfoService } from "./service.ts";

/** A place inside a store: a store path, and a path below it (empty for the root). */
export interface StoreLocation {
  readonly info: PathInfo;
  readonly node: Node;
  /** Below the store path, `a/b`; `.` for the root. */
  readonly below: string;
}

/** What a local store has beyond the services. */
export interface LocalParts {
  readonly castore: LocalStore;
  readonly pathInfos: LocalPathInfoService;
  readonly narIndex: LocalNarIndex;
}

/** Where paths come from whose trees are not at hand as such: an ordinary binary cache has archives. */
export interface Substituter {
  /** The path with a hash (20 bytes), if there is one to be had. */
  look(hash: Uint8Array): Promise<StorePath | undefined>;
  /** Stores paths and, unless `noClosure`, all they refer to; what is there already is not fetched. */
  substitute(to: Store, paths: readonly (StorePath | string)[], options?: CopyOptions): Promise<CopySummary>;
}

/** The parts of a {@link Store}. */
export interface StoreParts {
  readonly address: string;
  readonly castore: Castore;
  readonly pathInfos: PathInfoService;
  readonly narIndex: NarIndex;
  readonly local?: LocalParts | undefined;
  readonly substituter?: Substituter | undefined;
  /** SHA-256 and size of the NAR of a tree, where there is a shorter way than through the castore. */
  readonly narDigest?: (root: Node) => Promise<NarDigest>;
  readonly storeDir?: string | undefined;
  /** Bytes that have come from another machine so far, where there is one. */
  readonly received?: (() => number | undefined) | undefined;
  readonly close: () => Promise<void>;
}

/** An open store. Made by `openStore`; put together by hand from services it works as well. */
export class Store {
  /** Where it is, for people. */
  readonly address: string;
  readonly castore: Castore;
  readonly pathInfos: PathInfoService;
  readonly narIndex: NarIndex;
  /** The parts of a local store; `undefined` for others, which can neither collect nor verify. */
  readonly local: LocalParts | undefined;
  /** Brings paths of this store to another one by a shorter way than through this store's services, where there is one. */
  readonly substituter: Substituter | undefined;
  /** The directory that its paths claim to be in: part of every hash. */
  readonly storeDir: string;
  readonly #narDigest: ((root: Node) => Promise<NarDigest>) | undefined;
  readonly #received: (() => number | undefined) | undefined;
  readonly #close: () => Promise<void>;

  constructor(parts: StoreParts) {
    this.address = parts.address;
    this.castore = parts.castore;
    this.pathInfos = parts.pathInfos;
    this.narIndex = parts.narIndex;
    this.local = parts.local;
    this.substituter = parts.substituter;
    this.storeDir = parts.storeDir ?? STORE_DIR;
    this.#narDigest = parts.narDigest;
    this.#received = parts.received;
    this.#close = parts.close;
  }

  /** Bytes that have come from another machine so far; `undefined` for a store that is on this one. */
  get received(): number | undefined {
    return this.#received?.();
  }

  get blobs(): BlobService {
    return this.castore.blobs;
  }

  get directories(): DirectoryService {
    return this.castore.directories;
  }

  /** The parts of a local store. @throws TvixError `ERR_STORE_NOT_LOCAL` for others */
  requireLocal(what: string): LocalParts {
    if (this.local) return this.local;
    throw new TvixError("ERR_STORE_NOT_LOCAL", `${what} needs a local store, and ${this.address} is none`);
  }

  /** Imports a host path as Nix does: see {@link importPath}. */
  importPath(path: string, options: ImportOptions = {}): Promise<PathInfo> {
    return importPath(this, path, options);
  }

  /** Stores the tree of a NAR, without a path info. */
  ingestNar(
    source: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
    options: IngestNarOptions = {},
  ): Promise<IngestedNar> {
    return ingestNar(this.castore, source, options);
  }

  /**
   * The path info of a store path, given as such, as text (absolute or without its directory), or by its hash part.
   * @throws TvixError `ERR_STORE_NO_PATH` when it is not in this store.
   */
  async info(path: StorePath | string): Promise<PathInfo> {
    const wanted = this.parsePath(path);
    const info = await this.pathInfos.get(wanted.digest);
    if (info === undefined || (wanted.name !== undefined && info.path.name !== wanted.name)) {
      const shown = wanted.name === undefined ? String(path) : `${this.storeDir}/${String(path).replace(/^.*\//, "")}`;
      throw new TvixError("ERR_STORE_NO_PATH", `${shown} is not in the store ${this.address}`);
    }
    return info;
  }

  /** The hash, and the name where it is given, of what {@link Store.info} takes. @throws TvixError `ERR_STORE_PATH_…` */
  parsePath(path: StorePath | string): { digest: Uint8Array; name: string | undefined } {
    if (path instanceof StorePath) return path;
    if (/^[0-9a-df-np-sv-z]{32}$/.test(path)) return { digest: base32.decode(path), name: undefined };
    return path.startsWith("/") ? StorePath.parseAbsolute(path, this.storeDir) : StorePath.parse(path);
  }

  /**
   * What is at a path inside the store: `/nix/store/<hash>-<name>/a/b`, also without the leading directory.
   * @throws TvixError `ERR_STORE_NO_PATH`, `ERR_CASTORE_NO_ENTRY`.
   */
  async locate(path: string): Promise<StoreLocation> {
    const absolute = path.startsWith("/") ? path : `${this.storeDir}/${path}`;
    const { path: storePath, rest } = StorePath.split(absolute, this.storeDir);
    const info = await this.info(storePath);
    const below = parsePath(rest);
    return { info, node: await resolve(this.castore, info.root, below), below: displayPath(below) };
  }

  /** The entries at and below a path inside the store, in NAR order, the place itself first. */
  async *ls(path: string): AsyncGenerator<TreeEntry> {
    yield* walkTree(this.castore, (await this.locate(path)).node);
  }

  /**
   * Opens a file inside the store.
   * @throws TvixError as {@link Store.locate}, and `ERR_STORE_NOT_FILE`.
   */
  async openFile(path: string): Promise<BlobReader> {
    const { node } = await this.locate(path);
    if (node.type !== "file") throw new TvixError("ERR_STORE_NOT_FILE", `${path} is a ${node.type}, not a file`);
    return await openBlob(this.blobs, node.digest);
  }

  /** The contents of a file inside the store, in pieces; `recycle` as in {@link BlobReader.stream}. */
  async *cat(path: string, recycle = false): AsyncGenerator<Uint8Array> {
    const file = await this.openFile(path);
    yield* file.stream(0, file.size, recycle);
  }

  /** The whole contents of a file inside the store. */
  async readFile(path: string): Promise<Uint8Array> {
    const { node } = await this.locate(path);
    if (node.type !== "file") throw new TvixError("ERR_STORE_NOT_FILE", `${path} is a ${node.type}, not a file`);
    return await readBlob(this.blobs, node.digest);
  }

  /** The NAR of what is at a path inside the store, in pieces. */
  async *nar(path: string): AsyncGenerator<Uint8Array> {
    yield* narStream(this.castore, (await this.locate(path)).node);
  }

  /** SHA-256 and size of the NAR of a tree in this store. */
  narDigest(root: Node): Promise<NarDigest> {
    return this.#narDigest?.(root) ?? narDigest(this.castore, root);
  }

  /** Whether a NAR is hashed where its tree is, however far that is from here. */
  get hashesNars(): boolean {
    return this.#narDigest !== undefined;
  }

  /** Writes the NAR of what is at a path inside the store to a file descriptor: the fast way for a local store. */
  async narToFile(path: string, fd: number): Promise<void> {
    const { node } = await this.locate(path);
    await narToFile(this.requireLocal("writing a NAR to a descriptor").castore, node, fd);
  }

  /** Writes what is at a path inside the store to the host's file system, whole or not at all. */
  async export(path: string, target: string, options: OperationOptions = {}): Promise<void> {
    await exportTree(this.castore, (await this.locate(path)).node, target, options);
  }

  /** All path infos. */
  list(): AsyncIterable<PathInfo> {
    return this.pathInfos.list();
  }

  /** Lets go of all files. */
  close(): Promise<void> {
    return this.#close();
  }
}
