// The trees of git, object by object: listings, contents, and which entries are not to be exported.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { concatBytes } from "../../base/bytes.ts";
import { TvixError } from "../../base/error.ts";
import { bytesToLatin1, latin1ToBytes } from "../../base/text.ts";
import type { EntryIngestion } from "../../castore/ingest/entries.ts";
import { Running } from "./command.ts";
import type { GitRepository } from "./git.ts";

/** An entry of a tree that is no directory. */
export interface TreeItem {
  /** As git has it: 100644, 100755, 120000 (a symlink) or 160000 (a submodule). */
  readonly mode: string;
  readonly object: string;
  /** From the top, one char per byte. */
  readonly path: string;
}

/** All entries below the tree of a commit that are no directories. */
export async function listTree(repository: GitRepository, commit: string): Promise<TreeItem[]> {
  const text = bytesToLatin1(await repository.git(["ls-tree", "-r", "-z", "--full-tree", commit]));
  return text
    .split("\0")
    .slice(0, -1)
    .map((line) => {
      const tab = line.indexOf("\t");
      const [mode = "", , object = ""] = line.slice(0, tab).split(" ");
      return { mode, object, path: line.slice(tab + 1) };
    });
}

/**
 * The entries without those that `export-ignore` marks, themselves or by a directory above.
 * @param commit whose `.gitattributes` count; those of the index when absent
 */
export async function excludeIgnored(
  repository: GitRepository,
  items: readonly TreeItem[],
  commit: string | undefined,
): Promise<readonly TreeItem[]> {
  // Few repositories have the attribute at all, and asking git about every path takes long.
  const files = items.filter(({ path }) => path === ".gitattributes" || path.endsWith("/.gitattributes"));
  if (files.length === 0) return items;
  // Without a working tree Nix does not know what is a directory: patterns that end in a slash match nothing.
  const mark = repository.hasWorkingTree ? 1 : 0;
  const paths = new Set<string>();
  for (const { path } of items) {
    paths.add(path);
    for (let at = path.indexOf("/"); at >= 0; at = path.indexOf("/", at + 1)) paths.add(path.slice(0, at + mark));
  }
  const directory = await mkdtemp(join(tmpdir(), "tvix-git-"));
  try {
    const environment: Record<string, string> = {};
    if (commit !== undefined) {
      environment["GIT_INDEX_FILE"] = join(directory, "index");
      await repository.git(["read-tree", commit], { environment });
    }
    const input = latin1ToBytes([...paths, ""].join("\0"));
    const answer = await repository.git(["check-attr", "--cached", "-z", "--stdin", "export-ignore"], {
      environment,
      input,
    });
    const ignored = new Set<string>();
    const fields = bytesToLatin1(answer).split("\0");
    for (let i = 0; i + 2 < fields.length; i += 3) if (fields[i + 2] === "set") ignored.add(fields[i] as string);
    return items.filter(({ path }) => {
      if (ignored.has(path)) return false;
      for (let at = path.indexOf("/"); at >= 0; at = path.indexOf("/", at + 1)) {
        if (ignored.has(path.slice(0, at + mark))) return false;
      }
      return true;
    });
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

/** Puts the files and symlinks among `items` into a tree, below `prefix`. */
export async function readBlobs(
  repository: GitRepository,
  items: readonly TreeItem[],
  prefix: readonly Uint8Array[],
  ingestion: EntryIngestion,
): Promise<void> {
  const wanted = items.filter(({ mode }) => mode !== "160000");
  if (wanted.length === 0) return;
  const input = wanted.map(({ object }) => `${object}\n`).join("");
  const running = new Running("git", ["-C", repository.directory, "cat-file", "--batch"], { input });
  const stream = new Pieces(running.child.stdout);
  try {
    for (const { mode, object, path } of wanted) {
      const [, type, digits = ""] = (await stream.line()).split(" ");
      const size = Number(digits);
      if (type !== "blob" || !Number.isSafeInteger(size)) {
        throw new TvixError("ERR_FETCH_GIT", `the object ${object} of '${path}' is missing in ${repository.directory}`);
      }
      const at = [...prefix, ...path.split("/").map(latin1ToBytes)];
      if (mode === "120000") {
        const target: Uint8Array[] = [];
        for await (const piece of stream.take(size)) target.push(piece.slice());
        ingestion.symlink(at, concatBytes(target));
      } else {
        ingestion.file(at, { executable: mode === "100755", size });
        for await (const piece of stream.take(size)) await ingestion.contents(piece);
      }
      for await (const _ of stream.take(1));
    }
    await running.end();
  } finally {
    running.stop();
  }
}

/** Lines and counted bytes out of a stream. */
class Pieces {
  readonly #source: AsyncIterator<Uint8Array>;
  #rest: Uint8Array = new Uint8Array(0);

  constructor(source: AsyncIterable<Uint8Array>) {
    this.#source = source[Symbol.asyncIterator]();
  }

  async line(): Promise<string> {
    for (;;) {
      const end = this.#rest.indexOf(0x0a);
      if (end >= 0) {
        const line = bytesToLatin1(this.#rest.subarray(0, end));
        this.#rest = this.#rest.subarray(end + 1);
        return line;
      }
      this.#rest = concatBytes([this.#rest, await this.#next()]);
    }
  }

  async *take(size: number): AsyncGenerator<Uint8Array, void, undefined> {
    for (let left = size; left > 0; ) {
      if (this.#rest.length === 0) this.#rest = await this.#next();
      const piece = this.#rest.subarray(0, left);
      this.#rest = this.#rest.subarray(piece.length);
      left -= piece.length;
      yield piece;
    }
  }

  async #next(): Promise<Uint8Array> {
    const next = await this.#source.next();
    if (next.done === true) throw new TvixError("ERR_FETCH_GIT", "git cat-file ended early");
    return next.value;
  }
}
