// Names and paths inside trees: byte strings with the few rules every file system agrees on.
import { displayBytes, encodeUtf8 } from "../base/text.ts";
import { TvixError } from "../base/error.ts";

/** Longest name of an entry, in bytes. */
export const MAX_NAME = 255;

/** Longest target of a symlink, in bytes. */
export const MAX_TARGET = 4095;

const SLASH = 0x2f;
const DOT = 0x2e;

/** Why `name` cannot name an entry, in words that follow the name; `undefined` when it can. */
export function nameProblem(name: Uint8Array): string | undefined {
  if (name.length === 0) return "is empty";
  if (name.length > MAX_NAME) return `is ${name.length} bytes long, at most ${MAX_NAME} are allowed`;
  if (name[0] === DOT && (name.length === 1 || (name.length === 2 && name[1] === DOT))) return "is reserved";
  if (name.includes(SLASH)) return "contains a slash";
  if (name.includes(0)) return "contains a NUL byte";
  return undefined;
}

/**
 * Checks the name of an entry: 1 to 255 bytes, not `.` or `..`, without `/` and NUL; any other bytes.
 * @throws TvixError `ERR_CASTORE_NAME`.
 */
export function checkName(name: Uint8Array): void {
  const problem = nameProblem(name);
  if (problem !== undefined) {
    throw new TvixError("ERR_CASTORE_NAME", `entry name "${displayBytes(name.subarray(0, 300))}" ${problem}`);
  }
}

/**
 * Checks the target of a symlink: 1 to 4095 bytes without NUL.
 * @throws TvixError `ERR_CASTORE_TARGET`.
 */
export function checkTarget(target: Uint8Array): void {
  if (target.length === 0) throw new TvixError("ERR_CASTORE_TARGET", "a symlink's target is empty");
  if (target.length > MAX_TARGET) {
    throw new TvixError(
      "ERR_CASTORE_TARGET",
      `a symlink's target has ${target.length} bytes, at most ${MAX_TARGET} are allowed`,
    );
  }
  if (target.includes(0)) throw new TvixError("ERR_CASTORE_TARGET", "a symlink's target contains a NUL byte");
}

/** A path below a root: its components from the root down; empty for the root itself. */
export type TreePath = readonly Uint8Array[];

/**
 * Reads a path below a root, `a/b/c`; leading, trailing and repeated slashes are dropped, so `/` is the root.
 * @throws TvixError `ERR_CASTORE_NAME` for `.`, `..` and what no entry can be called.
 */
export function parsePath(path: string | Uint8Array): TreePath {
  const bytes = typeof path === "string" ? encodeUtf8(path) : path;
  const out: Uint8Array[] = [];
  for (let start = 0; start <= bytes.length; ) {
    const slash = bytes.indexOf(SLASH, start);
    const end = slash < 0 ? bytes.length : slash;
    if (end > start) {
      const name = bytes.subarray(start, end);
      checkName(name);
      out.push(name);
    }
    start = end + 1;
  }
  return out;
}

/** A path as text for people, `.` for the root. */
export function displayPath(path: TreePath): string {
  return path.length === 0 ? "." : path.map(displayBytes).join("/");
}
