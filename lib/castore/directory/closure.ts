// Closures of directories in transit: checks that a stream is complete, connected and in the order it claims.
import { type Digest, digestKey, digestText } from "../digest.ts";
import { Directory } from "../directory.ts";
import { TvixError } from "../../base/error.ts";
import type { DirectoryService } from "./service.ts";

/** Which rule for the size of a child is accepted: today's 2N + Σ alone, or also N + Σ of digests before 2024-08. */
export type SizeRule = "current" | "either";

interface Seen {
  readonly size: number;
  readonly oldSize: number;
  referenced: boolean;
}

/** Checks a closure sent leaves first, as it is put. */
export class LeavesToRoot {
  readonly #rule: SizeRule;
  readonly #seen = new Map<string, Seen>();
  #unreferenced = 0;
  #last: Directory | undefined;

  constructor(rule: SizeRule = "current") {
    this.#rule = rule;
  }

  /**
   * Takes the next directory; false when it was sent before, which is allowed.
   * @throws TvixError `ERR_CASTORE_CLOSURE_ORDER` when a child was not sent before it, `ERR_CASTORE_CLOSURE_SIZE`
   * when the size it records of a child is not the child's.
   */
  add(directory: Directory): boolean {
    let oldSize = directory.entries.length;
    for (const child of directory.directories()) {
      const seen = this.#seen.get(digestKey(child.digest));
      if (seen === undefined) {
        throw new TvixError(
          "ERR_CASTORE_CLOSURE_ORDER",
          `${digestText(directory.digest())} refers to ${digestText(child.digest)}, which was not sent before it`,
        );
      }
      if (child.size !== seen.size && !(this.#rule === "either" && child.size === seen.oldSize)) {
        throw new TvixError(
          "ERR_CASTORE_CLOSURE_SIZE",
          `${digestText(directory.digest())} records size ${child.size} for ${digestText(child.digest)}, ` +
            `whose size is ${seen.size}`,
        );
      }
      oldSize += child.size;
    }
    for (const child of directory.directories()) this.#refer(child.digest);
    this.#last = directory;
    const key = digestKey(directory.digest());
    if (this.#seen.has(key)) return false;
    this.#seen.set(key, { size: directory.size, oldSize, referenced: false });
    this.#unreferenced++;
    return true;
  }

  #refer(digest: Digest): void {
    const seen = this.#seen.get(digestKey(digest));
    if (seen && !seen.referenced) {
      seen.referenced = true;
      this.#unreferenced--;
    }
  }

  /**
   * Ends the closure; its root.
   * @throws TvixError `ERR_CASTORE_CLOSURE_EMPTY`, or `ERR_CASTORE_CLOSURE_ROOT` when the last directory is not the
   * only one that no other refers to.
   */
  finish(): Directory {
    const root = this.#last;
    if (root === undefined) throw new TvixError("ERR_CASTORE_CLOSURE_EMPTY", "a closure has no directories");
    if (this.#unreferenced !== 1 || this.#seen.get(digestKey(root.digest()))?.referenced) {
      throw new TvixError(
        "ERR_CASTORE_CLOSURE_ROOT",
        `a closure must end with its only root; ${this.#unreferenced} of its directories are not referred to`,
      );
    }
    return root;
  }
}

/** Checks a closure received root first, as it is got. */
export class RootToLeaves {
  readonly #root: string;
  readonly #expected = new Map<string, Digest>();
  readonly #received = new Set<string>();

  constructor(root: Digest) {
    this.#root = digestKey(root);
    this.#expected.set(this.#root, root);
  }

  /** Digests that were referred to and have not come. */
  get missing(): Digest[] {
    return [...this.#expected.values()];
  }

  /**
   * Takes the next directory.
   * @throws TvixError `ERR_CASTORE_CLOSURE_ORDER` when nothing before it refers to it or it came before.
   */
  add(directory: Directory): void {
    const key = digestKey(directory.digest());
    if (!this.#expected.delete(key)) {
      const what = this.#received.has(key) ? "was sent twice" : "is not referred to by what came before it";
      throw new TvixError("ERR_CASTORE_CLOSURE_ORDER", `${digestText(directory.digest())} ${what}`);
    }
    this.#received.add(key);
    for (const child of directory.directories()) {
      const childKey = digestKey(child.digest);
      if (!this.#received.has(childKey)) this.#expected.set(childKey, child.digest);
    }
  }

  /**
   * Ends the closure: false when nothing came at all, which is how "not there" is said.
   * @throws TvixError `ERR_CASTORE_MISSING` when part of it did not come.
   */
  finish(): boolean {
    if (this.#received.size === 0) return false;
    const [first] = this.#expected.values();
    if (first !== undefined) {
      throw new TvixError(
        "ERR_CASTORE_MISSING",
        `the closure lacks ${this.#expected.size} directories, among them ${digestText(first)}`,
      );
    }
    return true;
  }
}

/** Walks a closure breadth first over single gets: `getClosure` for backends that keep directories one by one. */
export async function* walkClosure(
  get: (digest: Digest) => Directory | undefined | Promise<Directory | undefined>,
  root: Digest,
): AsyncGenerator<Directory> {
  const seen = new Set<string>([digestKey(root)]);
  let level: Digest[] = [root];
  while (level.length > 0) {
    const next: Digest[] = [];
    for (const digest of level) {
      const directory = await get(digest);
      if (directory === undefined) {
        if (digest === root) return;
        throw missingDirectory(digest);
      }
      yield directory;
      for (const child of directory.directories()) {
        const key = digestKey(child.digest);
        if (seen.has(key)) continue;
        seen.add(key);
        next.push(child.digest);
      }
    }
    level = next;
  }
}

/**
 * The directories of one tree, read one by one. Some services (object stores) know a directory below a root only
 * through that root; what is not found by itself is looked for in the root's closure, which is then kept.
 */
export class TreeDirectories {
  readonly #directories: DirectoryService;
  readonly #root: Digest;
  #closure: Map<string, Directory> | undefined;

  constructor(directories: DirectoryService, root: Digest) {
    this.#directories = directories;
    this.#root = root;
  }

  /** A directory that must be there. @throws TvixError `ERR_CASTORE_MISSING` */
  async open(digest: Digest): Promise<Directory> {
    const single = this.#closure ? undefined : await this.#directories.get(digest);
    const directory = single ?? (await this.#load()).get(digestKey(digest));
    if (directory === undefined) throw missingDirectory(digest);
    return directory;
  }

  async #load(): Promise<Map<string, Directory>> {
    if (this.#closure) return this.#closure;
    const closure = new Map<string, Directory>();
    for await (const directory of this.#directories.getClosure(this.#root)) {
      closure.set(digestKey(directory.digest()), directory);
    }
    this.#closure = closure;
    return closure;
  }
}

/** The error for a directory that is not there. */
export function missingDirectory(digest: Digest): TvixError {
  return new TvixError("ERR_CASTORE_MISSING", `directory ${digestText(digest)} is not in the store`);
}

/** Sorts a complete closure leaves first, however it came; nothing that `root` does not reach is kept. */
export function leavesFirst(closure: readonly Directory[], root: Digest): Directory[] {
  const byKey = new Map(closure.map((directory) => [digestKey(directory.digest()), directory]));
  const out: Directory[] = [];
  const done = new Set<string>();
  const stack: { key: string; children: Iterator<{ digest: Digest }> }[] = [];
  const enter = (digest: Digest) => {
    const key = digestKey(digest);
    if (done.has(key)) return;
    const directory = byKey.get(key);
    if (directory === undefined) throw missingDirectory(digest);
    done.add(key);
    stack.push({ key, children: directory.directories() });
  };
  enter(root);
  for (let top = stack.at(-1); top !== undefined; top = stack.at(-1)) {
    const { value, done: ended } = top.children.next();
    if (!ended) {
      enter(value.digest);
      continue;
    }
    stack.pop();
    out.push(byKey.get(top.key) as Directory);
  }
  return out;
}

/** Puts a closure at once, after checking that its directories come leaves first; answers the root's digest. */
export async function putLeavesFirst(
  service: { put(directories: readonly Directory[]): Promise<Digest[]> },
  directories: Iterable<Directory> | AsyncIterable<Directory>,
): Promise<Digest> {
  const order = new LeavesToRoot("either");
  const fresh: Directory[] = [];
  for await (const directory of directories) if (order.add(directory)) fresh.push(directory);
  const root = order.finish();
  await service.put(fresh);
  return root.digest();
}
