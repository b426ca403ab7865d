// EvalIO: the only way from the evaluator to the outside, as an interface; implementations are beside this file.
//
// Everything is synchronous, because a lazy language may need a file in the middle of anything. Paths are absolute
// and canonical byte strings, one char per byte, and so is the text of files.

/** What a path is, as `builtins.readFileType` names it. */
export type FileType = "regular" | "directory" | "symlink" | "unknown";

/** Access to files, the environment and a store. Failures are EvalErrors with `ERR_EVAL_IO` unless said otherwise. */
export interface EvalIO {
  /** Whether paths are those of this machine's file system, where others find the same under them. */
  readonly isHost?: boolean;
  /** The type of what is at `path`, not following a symlink there (but following its parents); `undefined`: nothing. */
  fileType(path: string): FileType | undefined;
  /** The contents of a regular file, following symlinks. */
  readFile(path: string): string;
  /** Whether the owner may execute a regular file. */
  isExecutable(path: string): boolean;
  /** The entries of a directory, in any order. */
  readDirectory(path: string): readonly (readonly [name: string, type: FileType])[];
  /** The target of a symlink, as it is stored. */
  readLink(path: string): string;
  /** The path with all symlinks resolved; a path that does not exist is returned as it is. */
  realPath(path: string): string;
  /** An environment variable. */
  variable(name: string): string | undefined;
  /** Seconds since 1970; asked once by an evaluation that wants to know. */
  time(): number;
}
