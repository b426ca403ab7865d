// EvalIO over the machine's file system and environment.

import {
  lstatSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  realpathSync,
  statSync,
  type Dirent,
  type Stats,
} from "node:fs";
import { bytesToLatin1, latin1ToBytes } from "../../base/text.ts";
import { EvalError } from "../error.ts";
import type { EvalIO, FileType } from "../io.ts";

/** The file system and environment of this process. */
export function fileSystemIO(): EvalIO {
  return {
    isHost: true,
    fileType: (path) => {
      try {
        return typeOf(lstatSync(native(path)));
      } catch (error) {
        const { code } = error as NodeJS.ErrnoException;
        if (code === "ENOENT" || code === "ENOTDIR") return undefined;
        throw ioError("get the status of", path, error);
      }
    },
    readFile: (path) => {
      try {
        return readFileSync(native(path), "latin1");
      } catch (error) {
        throw ioError("read", path, error);
      }
    },
    isExecutable: (path) => {
      try {
        return (statSync(native(path)).mode & 0o100) !== 0;
      } catch (error) {
        throw ioError("get the status of", path, error);
      }
    },
    readDirectory: (path) => {
      try {
        return readdirSync(native(path), { withFileTypes: true, encoding: "buffer" }).map(
          (entry) => [bytesToLatin1(entry.name as unknown as Uint8Array), typeOf(entry as unknown as Dirent)] as const,
        );
      } catch (error) {
        throw ioError("read the directory", path, error);
      }
    },
    readLink: (path) => {
      try {
        return readlinkSync(native(path), "latin1");
      } catch (error) {
        throw ioError("read the symlink", path, error);
      }
    },
    realPath: (path) => {
      try {
        return realpathSync.native(native(path), "latin1");
      } catch {
        return path;
      }
    },
    variable: (name) => {
      const value = process.env[Buffer.from(latin1ToBytes(name)).toString("utf8")];
      return value === undefined ? undefined : bytesToLatin1(Buffer.from(value, "utf8"));
    },
    time: () => Math.floor(Date.now() / 1000),
  };
}

/** ASCII paths go to the system as they are; others as bytes, because Node would encode the chars as UTF-8. */
function native(path: string): string | Buffer {
  return /^[\0-\x7f]*$/.test(path) ? path : Buffer.from(path, "latin1");
}

function typeOf(entry: Stats | Dirent): FileType {
  if (entry.isFile()) return "regular";
  if (entry.isDirectory()) return "directory";
  return entry.isSymbolicLink() ? "symlink" : "unknown";
}

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: "No such file or directory",
  ENOTDIR: "Not a directory",
  EISDIR: "Is a directory",
  EACCES: "Permission denied",
  ELOOP: "Too many levels of symbolic links",
  ENAMETOOLONG: "File name too long",
};

function ioError(verb: string, path: string, cause: unknown): EvalError {
  const code = (cause as NodeJS.ErrnoException).code ?? "";
  const missing = code === "ENOENT" || code === "ENOTDIR";
  const message = missing ? `path '${path}' does not exist` : `cannot ${verb} '${path}': ${REASONS[code] ?? code}`;
  return new EvalError("ERR_EVAL_IO", message, { cause });
}
