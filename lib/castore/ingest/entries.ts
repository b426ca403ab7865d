// Ingestion of trees whose entries come in any order, as archives have them: by path, contents streamed.
//
// File contents go to the castore as they come, small ones in bulk; the shape of the tree is kept in memory and becomes
// directories at the end. Who names the entries is not trusted: parents that are not directories are refused.
import { bytesToLatin1 } from "../../base/text.ts";
import { TvixError } from "../../base/error.ts";
import type { Directory } from "../directory.ts";
import type { Node } from "../node.ts";
import { checkName, displayPath, type TreePath } from "../path.ts";
import type { Castore } from "../tree.ts";
import { PendingContents, type PendingDirectory, type PendingFile, type PendingNode, settle } from "./pending.ts";

/** How much a tree may be. */
export interface EntryLimits {
  /** Entries, parents that were never named included. */
  readonly entries: number;
  /** Components of a path. */
  readonly depth: number;
}

/**
 * A tree in the making. The root is a directory; the empty path stands for it. An entry named again replaces a file or
 * symlink of its name, and is the same directory where both are directories.
 */
export class EntryIngestion {
  readonly #castore: Castore;
  readonly #limits: EntryLimits;
  readonly #root: PendingDirectory = { type: "directory", entries: new Map() };
  readonly #contents: PendingContents;
  #count = 0;

  constructor(castore: Castore, limits: EntryLimits) {
    this.#castore = castore;
    this.#limits = limits;
    this.#contents = new PendingContents(castore.blobs);
  }

  /** @throws TvixError `ERR_CASTORE_TREE_CONFLICT`, `ERR_CASTORE_TREE_LIMIT`, `ERR_CASTORE_NAME` (as the others do) */
  directory(path: TreePath): void {
    this.#enter(path, path.length);
  }

  symlink(path: TreePath, target: Uint8Array): void {
    this.#set(path, { type: "symlink", target });
  }

  /** The same file once more. @throws TvixError `ERR_CASTORE_NO_ENTRY` when there is none at `existing` */
  link(path: TreePath, existing: TreePath): void {
    const found = this.#find(existing);
    if (found === undefined || found.type === "directory") {
      const message = `${displayPath(path)} is a link to ${displayPath(existing)}, which is no file before it`;
      throw new TvixError("ERR_CASTORE_NO_ENTRY", message);
    }
    this.#set(path, found);
  }

  /** Starts a file of `size` bytes, which {@link contents} gives. */
  file(path: TreePath, { executable, size }: { executable: boolean; size: number }): void {
    const file: PendingFile = { type: "file", executable, size, digest: undefined };
    this.#set(path, file);
    this.#contents.start(file);
  }

  /** The next bytes of the file that was started last; no more in all than its size. They may be reused afterwards. */
  contents(bytes: Uint8Array): Promise<void> {
    return this.#contents.write(bytes);
  }

  /**
   * Stores what remains, and the directories; returns the root.
   * @param unwrap a directory that is alone at the top is the root itself
   */
  async finish({ unwrap = false }: { unwrap?: boolean } = {}): Promise<Node> {
    await this.#contents.flush();
    const [only, second] = this.#root.entries.values();
    const root = unwrap && second === undefined && only?.type === "directory" ? only : this.#root;
    const leavesFirst: Directory[] = [];
    const node = settle(root, leavesFirst);
    await this.#castore.directories.putClosure(leavesFirst);
    return node;
  }

  /** Gives a file being written up. */
  abort(): void {
    this.#contents.abort();
  }

  /** The directory at the first `length` names of a path, made where there is nothing. */
  #enter(path: TreePath, length: number): PendingDirectory {
    if (path.length > this.#limits.depth) throw limit(`more than ${this.#limits.depth} levels of directories`);
    let at = this.#root;
    for (let i = 0; i < length; i++) {
      const name = path[i] as Uint8Array;
      const key = bytesToLatin1(name);
      let next = at.entries.get(key);
      if (next === undefined) {
        checkName(name);
        this.#take();
        next = { type: "directory", entries: new Map() };
        at.entries.set(key, next);
      }
      if (next.type !== "directory") throw conflict(path.slice(0, i + 1), next.type, "directory");
      at = next;
    }
    return at;
  }

  #set(path: TreePath, node: Exclude<PendingNode, PendingDirectory>): void {
    const name = path.at(-1);
    if (name === undefined) throw conflict(path, "directory", node.type);
    const { entries } = this.#enter(path, path.length - 1);
    const key = bytesToLatin1(name);
    const there = entries.get(key);
    if (there?.type === "directory") throw conflict(path, "directory", node.type);
    checkName(name);
    if (there === undefined) this.#take();
    entries.set(key, node);
  }

  #find(path: TreePath): PendingNode | undefined {
    let at: PendingNode | undefined = this.#root;
    for (const name of path) at = at?.type === "directory" ? at.entries.get(bytesToLatin1(name)) : undefined;
    return at;
  }

  #take(): void {
    if (++this.#count > this.#limits.entries) throw limit(`more than ${this.#limits.entries} entries`);
  }
}

function conflict(path: TreePath, there: string, wanted: string): TvixError {
  return new TvixError("ERR_CASTORE_TREE_CONFLICT", `${displayPath(path)} is both a ${there} and a ${wanted}`);
}

function limit(what: string): TvixError {
  return new TvixError("ERR_CASTORE_TREE_LIMIT", `the tree has ${what}`);
}
