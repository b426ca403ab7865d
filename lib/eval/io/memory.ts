// EvalIO over a tree in memory, for browsers and tests.

import { EvalError } from "../error.ts";
import type { EvalIO, FileType } from "../io.ts";
import { textToByteString } from "../source.ts";
import { canonicalPath } from "../text/path.ts";

/** A file: its text, its bytes as a byte string under `bytes`, or the target of a symlink. */
export type MemoryFile =
  | string
  | { readonly bytes: string; readonly executable?: boolean }
  | { readonly symlink: string };

/** What a memory file system holds. */
export interface MemoryFiles {
  /** Files by absolute path; directories exist when something is in them. */
  readonly files: Readonly<Record<string, MemoryFile>> | ReadonlyMap<string, MemoryFile>;
  readonly variables?: Readonly<Record<string, string>>;
  /** Seconds since 1970; default 0. */
  readonly time?: number;
}

const LINK_LIMIT = 40;

/** I/O that sees only what it is given. */
export function memoryIO(contents: MemoryFiles): EvalIO {
  const files = new Map<string, MemoryFile>();
  const directories = new Map<string, Map<string, FileType>>([["/", new Map()]]);
  const given = contents.files instanceof Map ? contents.files : Object.entries(contents.files);
  for (const [name, file] of given as Iterable<[string, MemoryFile]>) {
    const path = canonicalPath(textToByteString(name));
    files.set(path, file);
    addEntry(directories, path, typeof file === "object" && "symlink" in file ? "symlink" : "regular");
  }

  /** Follows symlinks in the parents of a path, and at its end when `last`. */
  const follow = (path: string, last: boolean): string => {
    let current = "";
    let links = 0;
    const parts = path.split("/").filter((part) => part !== "");
    while (parts.length > 0) {
      const part = parts.shift() as string;
      const next = `${current}/${part}`;
      const file = files.get(next);
      if (typeof file === "object" && "symlink" in file && (last || parts.length > 0)) {
        if (++links > LINK_LIMIT) throw new EvalError("ERR_EVAL_IO", `too many symlinks at '${path}'`);
        const target = canonicalPath(file.symlink.startsWith("/") ? file.symlink : `${current}/${file.symlink}`);
        parts.unshift(...target.split("/").filter((step) => step !== ""));
        current = "";
      } else current = next;
    }
    return current === "" ? "/" : current;
  };
  const typeAt = (path: string): FileType | undefined => {
    const file = files.get(path);
    if (file === undefined) return directories.has(path) ? "directory" : undefined;
    return typeof file === "object" && "symlink" in file ? "symlink" : "regular";
  };
  const regular = (path: string): string | { readonly bytes: string; readonly executable?: boolean } => {
    const at = follow(path, true);
    const file = files.get(at);
    if (file !== undefined && (typeof file === "string" || "bytes" in file)) return file;
    if (directories.has(at)) throw new EvalError("ERR_EVAL_IO", `cannot read '${path}': Is a directory`);
    throw new EvalError("ERR_EVAL_IO", `path '${path}' does not exist`);
  };
  return {
    fileType: (path) => typeAt(follow(path, false)),
    readFile: (path) => {
      const file = regular(path);
      return typeof file === "string" ? textToByteString(file) : file.bytes;
    },
    isExecutable: (path) => {
      const file = regular(path);
      return typeof file === "object" && file.executable === true;
    },
    readDirectory: (path) => {
      const entries = directories.get(follow(path, true));
      if (entries === undefined) throw new EvalError("ERR_EVAL_IO", `path '${path}' is no directory`);
      return [...entries];
    },
    readLink: (path) => {
      const file = files.get(follow(path, false));
      if (typeof file === "object" && "symlink" in file) return file.symlink;
      throw new EvalError("ERR_EVAL_IO", `path '${path}' is no symlink`);
    },
    realPath: (path) => follow(path, true),
    variable: (name) => contents.variables?.[name],
    time: () => contents.time ?? 0,
  };
}

function addEntry(directories: Map<string, Map<string, FileType>>, path: string, type: FileType): void {
  const slash = path.lastIndexOf("/");
  const parent = slash === 0 ? "/" : path.slice(0, slash);
  let entries = directories.get(parent);
  if (entries === undefined) {
    entries = new Map();
    directories.set(parent, entries);
    addEntry(directories, parent, "directory");
  }
  entries.set(path.slice(slash + 1), type);
}
