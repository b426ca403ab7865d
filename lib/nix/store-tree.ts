// Trees that evaluation reads below a store path, whatever holds them: the host, a castore, or only a text in memory.
import { bytesToLatin1, latin1ToBytes } from "../base/text.ts";
import type { Node } from "../castore/node.ts";
import { EvalError } from "../eval/error.ts";
import type { EvalIO, FileType } from "../eval/io.ts";
import type { TreeReader } from "./store-reader.ts";

/** A file, symlink or directory. Its parents are real directories: symlinks are followed by who walks, not here. */
export interface TreeEntry {
  readonly type: FileType;
  readonly executable: boolean;
  /** The target of a symlink. */
  target(): string;
  /** The contents of a regular file, one char per byte. */
  contents(): string;
  /** An entry of a directory. */
  child(name: string): TreeEntry | undefined;
  /** The entries of a directory. */
  children(): readonly (readonly [name: string, type: FileType])[];
}

/** A text as a regular file. */
export function textEntry(text: string): TreeEntry {
  return {
    type: "regular",
    executable: false,
    target: () => wrongType("a symlink"),
    contents: () => text,
    child: () => undefined,
    children: () => wrongType("a directory"),
  };
}

/** A tree of the host; with `accepted`, only those paths of it (and its root). */
export function hostEntry(io: EvalIO, path: string, accepted: ReadonlySet<string> | null): TreeEntry | undefined {
  const type = io.fileType(path);
  if (type === undefined) return undefined;
  const below = (name: string): string => `${path === "/" ? "" : path}/${name}`;
  return {
    type,
    get executable() {
      return io.isExecutable(path);
    },
    target: () => io.readLink(path),
    contents: () => io.readFile(path),
    child: (name) =>
      type !== "directory" || (accepted !== null && !accepted.has(below(name)))
        ? undefined
        : hostEntry(io, below(name), accepted),
    children: () => {
      const all = io.readDirectory(path);
      return accepted === null ? all : all.filter(([name]) => accepted.has(below(name)));
    },
  };
}

/** A tree of a castore. */
export function nodeEntry(reader: TreeReader, node: Node): TreeEntry {
  const { type } = node;
  return {
    type: typeOf(node),
    executable: type === "file" && node.executable,
    target: () => (type === "symlink" ? bytesToLatin1(node.target) : wrongType("a symlink")),
    contents: () => (type === "file" ? bytesToLatin1(reader.file(node.digest)) : wrongType("a regular file")),
    child: (name) => {
      if (type !== "directory") return undefined;
      const found = reader.directory(node.digest).find(latin1ToBytes(name));
      return found && nodeEntry(reader, found);
    },
    children: () => {
      if (type !== "directory") return wrongType("a directory");
      const { entries } = reader.directory(node.digest);
      return entries.map((entry) => [bytesToLatin1(entry.name), typeOf(entry.node)] as const);
    },
  };
}

function typeOf({ type }: Node): FileType {
  return type === "file" ? "regular" : type;
}

function wrongType(wanted: string): never {
  throw new EvalError("ERR_EVAL_IO", `this is not ${wanted}`);
}
